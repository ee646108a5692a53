package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// cloudModel is a cloud drive in memory that does what a server may do, and says it in packets. Beside
// it programs change the tree. After each step the invariants hold; and once nothing is pending here
// (all that was is forgotten) and the tree was fetched, it shows what the model holds.
type cloudModel struct {
	h     *house
	nodes map[megaclient.Handle]*megaclient.Node
	next  int
}

var modelNames = []string{"a", "b", "a.txt", "b/c", "..", "a (H0000003)"}

// draw gives one of the model's nodes for which ok holds; nil if there is none.
func (m *cloudModel) draw(t *rapid.T, what string, ok func(*megaclient.Node) bool) *megaclient.Node {
	var list []megaclient.Handle
	for h, n := range m.nodes {
		if ok(n) {
			list = append(list, h)
		}
	}
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	return m.nodes[rapid.SampledFrom(list).Draw(t, what)]
}

func isFolder(n *megaclient.Node) bool { return n.Type != megaclient.FileNode }
func isTop(n *megaclient.Node) bool    { return n.Type > megaclient.FolderNode }

// listed says whether a node is in a folder, and so no older version.
func (m *cloudModel) listed(n *megaclient.Node) bool {
	return !isTop(n) && m.nodes[n.Parent].Type != megaclient.FileNode
}

func (m *cloudModel) below(n *megaclient.Node, top megaclient.Handle) bool {
	for n != nil && n.Handle != top {
		n = m.nodes[n.Parent]
	}
	return n != nil
}

// subtree lists a node and what is below it, parents first.
func (m *cloudModel) subtree(top megaclient.Handle) []*megaclient.Node {
	list := []*megaclient.Node{m.nodes[top]}
	for i := 0; i < len(list); i++ {
		var below []*megaclient.Node
		for _, n := range m.nodes {
			if n.Parent == list[i].Handle {
				below = append(below, n)
			}
		}
		slices.SortFunc(below, func(a, b *megaclient.Node) int { return cmpHandles(a.Handle, b.Handle) })
		list = append(list, below...)
	}
	return list
}

func cmpHandles(a, b megaclient.Handle) int {
	return slices.Compare([]byte(a), []byte(b))
}

// say applies nodes, all at once or one by one.
func (m *cloudModel) say(t *rapid.T, nodes ...*megaclient.Node) {
	each := rapid.Bool().Draw(t, "one by one")
	var copies []*megaclient.Node
	for _, n := range nodes {
		c := *n
		copies = append(copies, &c)
	}
	if each {
		m.h.applyEach(copies...)
	} else {
		m.h.apply(copies...)
	}
}

func (m *cloudModel) add(t *rapid.T, n *megaclient.Node) *megaclient.Node {
	n.Created = int64(rapid.IntRange(1, 5).Draw(t, "created"))
	m.nodes[n.Handle] = n
	return n
}

func (m *cloudModel) newHandle() megaclient.Handle { m.next++; return handle(m.next) }

func drawName(t *rapid.T) string { return rapid.SampledFrom(modelNames).Draw(t, "name") }

func (m *cloudModel) remoteCreate(t *rapid.T) {
	p := m.draw(t, "parent", isFolder)
	make := file
	if rapid.Bool().Draw(t, "folder") {
		make = folder
	}
	m.say(t, m.add(t, make(m.newHandle(), p.Handle, drawName(t))))
}

func (m *cloudModel) remoteMove(t *rapid.T) {
	n, p := m.draw(t, "node", m.listed), m.draw(t, "parent", isFolder)
	if n == nil || m.below(p, n.Handle) {
		return
	}
	n.Parent = p.Handle
	m.say(t, m.subtree(n.Handle)...)
}

func (m *cloudModel) remoteRename(t *rapid.T) {
	n := m.draw(t, "node", m.listed)
	if n == nil {
		return
	}
	n.Attrs = attrs(drawName(t), int64(rapid.IntRange(1, 3).Draw(t, "mtime")))
	if rapid.Bool().Draw(t, "as node") {
		m.say(t, n)
		return
	}
	name, _ := n.Name()
	mtime := int64(0)
	if n.Type == megaclient.FileNode {
		mtime = n.Mtime().Unix()
	}
	m.h.update(func(tx *Tx) error { return tx.ApplyAttrs(n.Handle, encrypted(m.h.t, n, name, mtime), "") })
}

func (m *cloudModel) remoteSave(t *rapid.T) {
	n := m.draw(t, "file", func(n *megaclient.Node) bool { return !isFolder(n) && m.listed(n) })
	if n == nil {
		return
	}
	name, _ := n.Name()
	top := m.add(t, file(m.newHandle(), n.Parent, name))
	n.Parent = top.Handle
	m.say(t, m.subtree(top.Handle)...)
}

func (m *cloudModel) remoteRemove(t *rapid.T) {
	n := m.draw(t, "node", func(n *megaclient.Node) bool { return !isTop(n) })
	if n == nil {
		return
	}
	list := m.subtree(n.Handle)
	if m.nodes[n.Parent].Type == megaclient.FileNode {
		list = list[:1] // a version: the rest stays in the chain
		for _, o := range m.nodes {
			if o.Parent == n.Handle {
				o.Parent = n.Parent
			}
		}
	}
	for _, o := range list {
		delete(m.nodes, o.Handle)
	}
	m.h.update(func(tx *Tx) error { return tx.ApplyRemove(n.Handle, false) })
}

// fetch is a full fetch in any order.
func (m *cloudModel) fetch(t *rapid.T) {
	ctx := context.Background()
	var list []*megaclient.Node
	for _, n := range m.nodes {
		c := *n
		list = append(list, &c)
	}
	slices.SortFunc(list, func(a, b *megaclient.Node) int { return cmpHandles(a.Handle, b.Handle) })
	list = rapid.Permutation(list).Draw(t, "order")
	epoch, err := m.h.BeginFetch(ctx)
	require.NoError(m.h.t, err)
	for chunk := range slices.Chunk(list, 3) {
		m.h.apply(chunk...)
	}
	require.NoError(m.h.t, m.h.EndFetch(ctx, epoch))
}

// allowed says whether an error is one that a program may get.
func allowed(err error) bool {
	for _, e := range []error{ErrNotFound, ErrExist, ErrNotDir, ErrIsDir, ErrNotEmpty, ErrCircular, ErrReadOnly, ErrShareRoot, ErrAccess} {
		if errors.Is(err, e) {
			return true
		}
	}
	return err == nil
}

// shown gives one of the tree's inodes that are shown.
func (m *cloudModel) shown(t *rapid.T, kind Kind) (Inode, bool) {
	dirs, list := []Ino{DriveIno, BinIno}, []Inode{}
	for i := 0; i < len(dirs); i++ {
		all, err := m.h.ReadDir(dirs[i], "", 0)
		require.NoError(m.h.t, err)
		for _, in := range all {
			if in.Kind == Dir {
				dirs = append(dirs, in.Ino)
			}
			if kind == 0 || in.Kind == kind {
				list = append(list, in)
			}
		}
	}
	if len(list) == 0 {
		return Inode{}, false
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(t, "inode")], true
}

func (m *cloudModel) local(t *rapid.T, fn func(tx *Tx) error) {
	err := m.h.Update(context.Background(), fn)
	require.True(m.h.t, allowed(err), "%v", err)
}

func (m *cloudModel) localDir(t *rapid.T) Ino {
	if in, ok := m.shown(t, Dir); ok && rapid.Bool().Draw(t, "deep") {
		return in.Ino
	}
	return DriveIno
}

func (m *cloudModel) localCreate(t *rapid.T) {
	in := Inode{Parent: m.localDir(t), Kind: rapid.SampledFrom([]Kind{File, Dir}).Draw(t, "kind"), Name: Shown(drawName(t))}
	if in.Kind == File {
		in.Pending = PendingContent
	}
	m.local(t, func(tx *Tx) error { return tx.Create(&in) })
}

func (m *cloudModel) localMove(t *rapid.T) {
	in, ok := m.shown(t, 0)
	if !ok {
		return
	}
	to, name := m.localDir(t), Shown(drawName(t))
	m.local(t, func(tx *Tx) error {
		if err := tx.Move(in.Ino, to, name); err != nil {
			return err
		}
		return pend(tx, in.Ino, PendingPlace, nil)
	})
}

func (m *cloudModel) localEdit(t *rapid.T) {
	if in, ok := m.shown(t, File); ok {
		bits := rapid.SampledFrom([]Pending{PendingContent, PendingAttrs}).Draw(t, "bits")
		m.local(t, func(tx *Tx) error { return pend(tx, in.Ino, bits, nil) })
	}
}

func (m *cloudModel) localUnlink(t *rapid.T) {
	in, ok := m.shown(t, 0)
	if !ok {
		return
	}
	m.local(t, func(tx *Tx) error {
		if in.Kind == Dir {
			if empty, err := tx.IsEmptyDir(in.Ino); err != nil || !empty {
				return errors.Join(err, ErrNotEmpty)
			}
		}
		return tx.Unlink(in.Ino)
	})
}

func (m *cloudModel) localOpen(t *rapid.T) {
	if in, ok := m.shown(t, File); ok {
		m.h.mu.Lock()
		m.h.open[in.Ino] = !m.h.open[in.Ino]
		m.h.mu.Unlock()
	}
}

// forget gives up all that is pending here: what is in a folder made here before the folder.
func (m *cloudModel) forget() {
	for pending := m.h.Pending(); len(pending) > 0; pending = m.h.Pending() {
		for _, ino := range pending {
			m.h.update(func(tx *Tx) error { return forgetOne(tx, ino) })
		}
	}
}

func forgetOne(tx *Tx, ino Ino) error {
	in, err := tx.Get(ino)
	if err != nil || in.Pending == 0 {
		return err
	}
	if in.Cloud == nil && !in.Removed {
		if in.Kind == Dir {
			if empty, err := tx.IsEmptyDir(ino); err != nil || !empty {
				return err
			}
		}
		if err := tx.Unlink(ino); err != nil {
			return err
		}
		if in, err = tx.Get(ino); err != nil {
			return err
		}
	}
	in.Pending = 0
	return tx.Put(&in)
}

// compare requires that the tree shows the model.
func (m *cloudModel) compare() {
	top := map[Ino]megaclient.Handle{DriveIno: rootH, BinIno: binH, VaultIno: inH}
	for dir, h := range top {
		m.compareDir(dir, h)
	}
}

func (m *cloudModel) compareDir(dir Ino, h megaclient.Handle) {
	want := map[string]*megaclient.Node{}
	var list []*megaclient.Node
	for _, n := range m.nodes {
		if n.Parent == h {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *megaclient.Node) int {
		if a.Created != b.Created {
			return int(a.Created - b.Created)
		}
		return cmpHandles(a.Handle, b.Handle)
	})
	plain := map[string]bool{}
	for _, n := range list {
		name, _ := n.Name()
		plain[Shown(name)] = true
	}
	for _, n := range list {
		name, _ := n.Name()
		shown := Shown(name)
		for i := 1; want[shown] != nil || i > 1 && plain[shown]; i++ {
			shown = DoubleName(Shown(name), n.Handle, i)
		}
		want[shown] = n
	}
	got, err := m.h.ReadDir(dir, "", 0)
	require.NoError(m.h.t, err)
	require.Len(m.h.t, got, len(want))
	for _, in := range got {
		require.Equal(m.h.t, h, m.nodes[in.Cloud.Handle].Parent)
		require.Contains(m.h.t, want, in.Name)
		require.Equal(m.h.t, want[in.Name].Handle, in.Cloud.Handle, in.Name)
		if in.Kind == Dir {
			m.compareDir(in.Ino, in.Cloud.Handle)
		} else {
			require.Equal(m.h.t, len(m.subtree(in.Cloud.Handle))-1, in.Cloud.Versions)
			require.Equal(m.h.t, m.nodes[in.Cloud.Handle].Mtime().UnixNano(), in.Mtime, fmt.Sprint(in.Ino))
		}
	}
}

func TestModel(t *testing.T) {
	h := newHouse(t)
	rapid.Check(t, func(rt *rapid.T) {
		h.t = rt
		defer func() { h.t = t }()
		h.wipe()
		drawn := byte(0)
		h.draw = func(b []byte) { drawn++; clear(b); b[0], b[1] = drawn, drawn/32 }
		m := &cloudModel{h: h, nodes: map[megaclient.Handle]*megaclient.Node{}}
		for _, n := range roots() {
			m.nodes[n.Handle] = n
		}
		m.h.open = map[Ino]bool{}
		m.fetch(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"remote create": m.remoteCreate, "remote move": m.remoteMove, "remote rename": m.remoteRename,
			"remote save": m.remoteSave, "remote remove": m.remoteRemove, "fetch": m.fetch,
			"local create": m.localCreate, "local move": m.localMove, "local edit": m.localEdit,
			"local unlink": m.localUnlink, "local open": m.localOpen,
			"": func(*rapid.T) { h.check() },
		})
		m.forget()
		h.check()
		m.fetch(rt)
		h.check()
		m.compare()
	})
}

// wipe empties the database, which is quicker than to make another.
func (h *house) wipe() {
	h.t.Helper()
	require.NoError(h.t, h.Settled(context.Background()))
	require.NoError(h.t, h.db.DropAll())
	h.memory = newMemory(100)
	h.stateMu.Lock()
	defer h.stateMu.Unlock()
	require.NoError(h.t, h.load())
}

package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
)

const (
	rootH = megaclient.Handle("ROOTAAAA")
	binH  = megaclient.Handle("RUBBISHA")
	inH   = megaclient.Handle("VAULTAAA")
)

// house is a tree with the three top folders, fetched once, and knobs for what it asks.
type house struct {
	*Tree
	t interface {
		require.TestingT
		Helper()
	}

	mu      sync.Mutex
	open    map[Ino]bool
	keys    map[string]Ino
	own     map[string]bool
	unlock  func(*megaclient.Node) bool
	changes []Change
}

func (h *house) options() Options {
	return Options{
		InMemory: true, Host: "box", Now: func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) },
		IsOpen: func(i Ino) bool { h.mu.Lock(); defer h.mu.Unlock(); return h.open[i] },
		PendingKey: func(k []byte, _ megaclient.Handle, _ string) (Ino, bool) {
			h.mu.Lock()
			defer h.mu.Unlock()
			i, ok := h.keys[string(k)]
			return i, ok
		},
		OwnTag:  func(tag string) bool { return h.own[tag] },
		Decrypt: func(n *megaclient.Node) bool { return h.unlock != nil && h.unlock(n) },
	}
}

func newHouse(t *testing.T, change ...func(*Options)) *house {
	h := &house{t: t, open: map[Ino]bool{}, keys: map[string]Ino{}, own: map[string]bool{}}
	o := h.options()
	for _, c := range change {
		c(&o)
	}
	var err error
	h.Tree, err = Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	h.Subscribe(func(c []Change) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changes = append(h.changes, c...)
	})
	h.fetch()
	return h
}

// fetch is a full fetch of the top folders and these nodes.
func (h *house) fetch(nodes ...*megaclient.Node) {
	h.t.Helper()
	ctx := context.Background()
	epoch, err := h.BeginFetch(ctx)
	require.NoError(h.t, err)
	h.apply(roots()...)
	h.apply(nodes...)
	require.NoError(h.t, h.EndFetch(ctx, epoch))
	h.check()
}

func roots() []*megaclient.Node {
	return []*megaclient.Node{
		{Handle: rootH, Type: megaclient.RootNode}, {Handle: binH, Type: megaclient.RubbishNode}, {Handle: inH, Type: megaclient.VaultNode},
	}
}

// update runs a transaction that must succeed, and waits for the sweep.
func (h *house) update(fn func(tx *Tx) error) {
	h.t.Helper()
	require.NoError(h.t, h.Update(context.Background(), fn))
	require.NoError(h.t, h.Settled(context.Background()))
}

func (h *house) check() {
	h.t.Helper()
	require.NoError(h.t, h.CheckInvariants())
}

func (h *house) apply(nodes ...*megaclient.Node) {
	h.t.Helper()
	h.update(func(tx *Tx) error {
		for _, n := range nodes {
			if err := tx.ApplyNode(n, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// applyEach applies each node in a transaction of its own.
func (h *house) applyEach(nodes ...*megaclient.Node) {
	h.t.Helper()
	for _, n := range nodes {
		h.apply(n)
	}
}

func (h *house) removeNode(handle megaclient.Handle) {
	h.t.Helper()
	h.update(func(tx *Tx) error { return tx.ApplyRemove(handle, false) })
	h.check()
}

// names lists a folder: names, folders with a slash at the end.
func (h *house) names(dir Ino) []string {
	h.t.Helper()
	list, err := h.ReadDir(dir, "", 0)
	require.NoError(h.t, err)
	names := []string{}
	for _, in := range list {
		if in.Kind == Dir {
			in.Name += "/"
		}
		names = append(names, in.Name)
	}
	return names
}

func (h *house) at(path string) Inode {
	h.t.Helper()
	ino, err := h.Resolve(path)
	require.NoError(h.t, err, path)
	in, err := h.Get(ino)
	require.NoError(h.t, err)
	return in
}

func (h *house) get(ino Ino) Inode {
	h.t.Helper()
	in, err := h.Get(ino)
	require.NoError(h.t, err)
	return in
}

func (h *house) absent(path string) {
	h.t.Helper()
	_, err := h.Resolve(path)
	require.True(h.t, errors.Is(err, ErrNotFound), "%s: %v", path, err)
}

// create makes something here, as a program would.
func (h *house) create(parent Ino, name string, kind Kind) Ino {
	h.t.Helper()
	in := Inode{Kind: kind, Parent: parent, Name: name}
	if kind == File {
		in.Pending = PendingContent
	}
	h.update(func(tx *Tx) error { return tx.Create(&in) })
	return in.Ino
}

// pend sets Pending bits, and what fn changes.
func (h *house) pend(ino Ino, bits Pending, fn func(*Inode)) {
	h.t.Helper()
	h.update(func(tx *Tx) error { return pend(tx, ino, bits, fn) })
}

func pend(tx *Tx, ino Ino, bits Pending, fn func(*Inode)) error {
	in, err := tx.Get(ino)
	if err != nil {
		return err
	}
	in.Pending |= bits
	if fn != nil {
		fn(&in)
	}
	return tx.Put(&in)
}

// move renames here, as a program would.
func (h *house) move(ino, parent Ino, name string) {
	h.t.Helper()
	h.update(func(tx *Tx) error {
		if err := tx.Move(ino, parent, name); err != nil {
			return err
		}
		return pend(tx, ino, PendingPlace, nil)
	})
}

func (h *house) unlink(ino Ino) {
	h.t.Helper()
	h.update(func(tx *Tx) error { return tx.Unlink(ino) })
}

// takeChanges gives all changes reported so far.
func (h *house) takeChanges() []Change {
	h.t.Helper()
	done := make(chan struct{})
	mark := new(int)
	cancel := h.Subscribe(func(cs []Change) {
		for _, c := range cs {
			if c.Origin == mark {
				close(done)
			}
		}
	})
	h.update(func(tx *Tx) error { tx.Note(Change{Origin: mark}); return nil })
	<-done
	cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.changes
	h.changes = nil
	return slices.DeleteFunc(all, func(c Change) bool { return c.Origin == mark })
}

func attrs(name string, mtime int64) megacrypto.Attributes {
	a := megacrypto.Attributes{}
	a.SetString("n", name)
	if mtime != 0 {
		a.SetString("c", megacrypto.Fingerprint{Mtime: mtime}.String())
	}
	return a
}

func nodeKey(h megaclient.Handle, size int) []byte {
	k := make([]byte, size)
	copy(k, h)
	return k
}

// file makes a node of a file whose size, creation and key follow from its handle.
func file(h, parent megaclient.Handle, name string) *megaclient.Node {
	return &megaclient.Node{
		Handle: h, Parent: parent, Owner: "USERAAAAAAA", Type: megaclient.FileNode, Size: 100 + int64(h[0]),
		Created: 1_700_000_000, Key: nodeKey(h, 32), Attrs: attrs(name, 1_600_000_000), Access: megaclient.AccessOwner,
	}
}

func folder(h, parent megaclient.Handle, name string) *megaclient.Node {
	return &megaclient.Node{
		Handle: h, Parent: parent, Owner: "USERAAAAAAA", Type: megaclient.FolderNode,
		Created: 1_700_000_000, Key: nodeKey(h, 16), Attrs: attrs(name, 0), Access: megaclient.AccessOwner,
	}
}

func created(n *megaclient.Node, at int64) *megaclient.Node { n.Created = at; return n }

// rename encrypts attributes with a new name, as a packet brings them.
func encrypted(t require.TestingT, n *megaclient.Node, name string, mtime int64) string {
	k := megacrypto.Key{}
	if n.Type == megaclient.FileNode {
		f, err := megacrypto.UnpackFileKey(n.Key)
		require.NoError(t, err)
		k = f.Key
	} else {
		k = megacrypto.Key(n.Key)
	}
	s, err := megacrypto.EncryptAttributes(k, attrs(name, mtime))
	require.NoError(t, err)
	return s
}

func handle(i int) megaclient.Handle { return megaclient.Handle(fmt.Sprintf("H%07d", i)) }

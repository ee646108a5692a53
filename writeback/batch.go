package writeback

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// flight is the batch that was sent (or is about to be) and has no answer yet.
type flight struct {
	batchRow
	inos map[tree.Ino]bool
	tags map[string]int // tag: index of its item
	seq  uint64         // commands of ours before it
	at   uint64         // queue.clock when it was made
}

// seqOf gives a command's place among ours, 0 if it isn't one of this batch.
func (f *flight) seqOf(tag string) uint64 {
	if f == nil {
		return 0
	}
	i, ok := f.tags[tag]
	if !ok {
		return 0
	}
	return f.seq + uint64(i) + 1
}

// newFlight makes a flight of a row; sent counts commands and is moved on.
func newFlight(row batchRow, sent *uint64) *flight {
	f := &flight{batchRow: row, inos: map[tree.Ino]bool{}, tags: map[string]int{}, seq: *sent}
	*sent += uint64(len(row.Items))
	for i, it := range row.Items {
		f.inos[it.Ino] = true
		if it.Over != 0 {
			f.inos[it.Over] = true
		}
		f.tags[row.Batch.Tags[i]] = i
	}
	return f
}

func (f *flight) list() []tree.Ino {
	all := make([]tree.Ino, 0, len(f.inos))
	for ino := range f.inos {
		all = append(all, ino)
	}
	return all
}

// batchBuilder turns tasks into commands, inside one transaction.
type batchBuilder struct {
	c     *change
	bin   megaclient.Handle
	ops   []megaclient.Op
	items []item
	gens  []*generation
	busy  map[tree.Ino]bool // replaced by a file of this batch
}

// batchText bounds what was set of the inodes in a batch: its answer writes all of their rows in one transaction.
const batchText = 256 << 10

// versionText is what an older version counts for among that: it has rows of its own.
const versionText = 1 << 10

// buildBatch decides what local steps need no command, and stores the batch of
// the others before anything is sent. Nil: nothing is to be sent.
func (e *Engine) buildBatch(ctx context.Context, tasks []task) (*flight, error) {
	commands, err := e.localSteps(ctx, tasks)
	if err != nil || len(commands) == 0 {
		return nil, err
	}
	if err := e.storeSpread(ctx, commands); err != nil {
		return nil, err
	}
	if err := e.doom(ctx, commands); err != nil {
		return nil, err
	}
	var f *flight
	at := e.queue.now()
	err = e.update(ctx, func(c *change) error {
		if e.flight != nil {
			return nil // its fate isn't known yet
		}
		b := &batchBuilder{c: c, busy: map[tree.Ino]bool{}}
		if bin, err := c.Get(tree.BinIno); err == nil && bin.Cloud != nil {
			b.bin = bin.Cloud.Handle
		}
		text := 0
		for _, t := range commands {
			if len(b.ops) >= e.opts.BatchMax || text >= batchText {
				break
			}
			text += c.answerText(t)
			if err := b.add(t); err != nil {
				return err
			}
		}
		if len(b.ops) == 0 {
			return nil
		}
		f, err = b.store()
		return err
	})
	if err != nil {
		return nil, err
	}
	if f != nil {
		f.at = at
		e.queue.setSending(f.list(), true)
	}
	return f, nil
}

// answerText is how much the answer to a task's command has to write, about: older versions only where they go, or come to
// another file.
func (c *change) answerText(t task) (size int) {
	if in, err := c.Get(t.ino); err == nil {
		size += in.Text()
		if t.step == stepTrash || t.step == stepDelete {
			size += versionText * versionsOf(&in)
		}
	}
	if over, err := c.Get(t.over); err == nil {
		size += versionText * versionsOf(&over)
	}
	return size
}

// store writes the batch's row, and those of the generations in it.
func (b *batchBuilder) store() (*flight, error) {
	e := b.c.e
	batch, err := e.client.Prepare(b.ops...)
	if err != nil {
		return nil, fmt.Errorf("encoding commands: %w", err)
	}
	f := newFlight(batchRow{Batch: *batch, Items: b.items}, &e.sent)
	if err := putRow(b.c.b, stringKey(rowBatch, batch.ID), f.batchRow); err != nil {
		return nil, err
	}
	for _, g := range b.gens {
		if err := b.c.putLimit(g); err != nil {
			return nil, err
		}
		if err := b.c.putGeneration(g); err != nil {
			return nil, err
		}
	}
	b.c.after = append(b.c.after, func() {
		for _, g := range b.gens {
			g.stored.Store(true)
		}
		e.flight = f
		e.setKeys(f.Items, true)
		e.ownTags(1, f.Batch.Tags...)
	})
	return f, nil
}

// storeSpread stores large generations, which don't fit the batch's own
// transaction.
func (e *Engine) storeSpread(ctx context.Context, tasks []task) error {
	for _, t := range tasks {
		g := e.queue.generation(t.ino)
		if t.step == stepFile && g != nil && g.Spread && !g.stored.Load() {
			if err := e.storeGeneration(ctx, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// add makes the command of one task, if the task still makes sense.
func (b *batchBuilder) add(t task) error {
	in, err := b.c.Get(t.ino)
	if err != nil || in.Parent != t.parent || in.Name != t.name || b.busy[t.ino] {
		return nil
	}
	ent, ok, err := b.c.entry(t.ino)
	if err != nil || !ok {
		return err
	}
	it := item{Ino: t.ino, Parent: t.target, Name: in.RawName(),
		LocalParent: in.Parent, LocalName: in.Name, Mtime: in.Mtime}
	switch t.step {
	case stepFolder:
		return b.addFolder(&in, ent, it)
	case stepFile:
		if b.c.e.queue.generation(t.ino) == nil {
			return b.addCopy(&in, ent, t, it)
		}
		return b.addFile(&in, t, it)
	case stepAttrs:
		return b.addAttrs(&in, it)
	case stepMove:
		return b.addMove(&in, it)
	case stepTrash:
		return b.addTrash(&in, it)
	case stepDelete:
		return b.addDelete(&in, ent, it)
	}
	return nil
}

// push adds a command, unless its attributes are more than a node holds: then
// this change alone is refused.
func (b *batchBuilder) push(op megaclient.Op, it item) error {
	if !fitsNode(it.Attrs) {
		return b.c.refuse(it.Ino, ErrXattrRoom, false)
	}
	b.ops = append(b.ops, op)
	b.items = append(b.items, it)
	return nil
}

// fitsNode tells whether the server would take the attributes.
func fitsNode(attrs megacrypto.Attributes) bool {
	size := 0
	for name, value := range attrs {
		size += len(name) + len(value)
	}
	if size < megacrypto.MaxAttributes/16 {
		return true // whatever JSON makes of the names
	}
	_, err := megacrypto.EncryptAttributes(megacrypto.Key{}, attrs)
	return err == nil
}

// parentStands tells whether the folder that something is to be put into is
// still there.
func (b *batchBuilder) parentStands(ino tree.Ino, h megaclient.Handle) bool {
	p, err := b.c.Get(ino)
	return err == nil && !p.Removed && p.Cloud != nil && p.Cloud.Handle == h
}

func (b *batchBuilder) addFolder(in *tree.Inode, ent entry, it item) error {
	if in.Removed || in.Cloud != nil || !b.parentStands(in.Parent, it.Parent) {
		return nil
	}
	if len(ent.Key) == 0 { // it was in the cloud, and is made anew
		key := megacrypto.NewKey()
		ent.Key = key[:]
		if err := b.c.putEntry(in.Ino, ent); err != nil {
			return err
		}
	}
	shares, err := b.c.SharesOf(in.Parent)
	if err != nil {
		return err
	}
	it.Kind, it.Key, it.Attrs = itemFolder, ent.Key, megacrypto.Attributes{}
	it.Attrs.SetString("n", it.Name)
	in.StoreExtra(it.Attrs)
	return b.push(megaclient.PutNodes{Parent: it.Parent, Shares: shares, Nodes: []megaclient.NewNode{{
		Type: megaclient.FolderNode, Key: it.Key, Attrs: it.Attrs,
	}}}, it)
}

func (b *batchBuilder) addFile(in *tree.Inode, t task, it item) error {
	g := b.c.e.queue.uploaded(t.ino)
	if in.Removed || g == nil || !b.parentStands(in.Parent, it.Parent) {
		return nil
	}
	old := in.Cloud
	if old == nil && t.over != 0 {
		var err error
		if old, err = b.replaced(t, &it); old == nil || err != nil {
			return err
		}
	} else if old != nil && old.Handle != in.Base.Handle {
		return nil
	}
	shares, err := b.c.SharesOf(in.Parent)
	if err != nil {
		return err
	}
	it.Kind, it.Key, it.Content, it.Attrs = itemFile, g.State.Key.Pack(), g.Content, fileAttrs(in, old, it, g.CRC)
	node := megaclient.NewNode{Token: g.State.Token, Type: megaclient.FileNode, Key: it.Key, Attrs: it.Attrs}
	if old != nil {
		it.Handle, node.Replaces = old.Handle, old.Handle
		it.Thin = g.Thins == old.Handle
		it.Keep = b.c.e.queue.interrupted(t.ino)
		it.Set = fieldsSet(old, it)
	}
	b.gens = append(b.gens, g)
	b.busy[t.ino], b.busy[it.Over] = true, true
	return b.push(megaclient.PutNodes{Parent: it.Parent, Shares: shares, Nodes: []megaclient.NewNode{node}}, it)
}

// replaced gives the node of the removed file whose place a new one takes; nil
// if that has changed.
func (b *batchBuilder) replaced(t task, it *item) (*tree.Cloud, error) {
	over, err := b.c.Get(t.over)
	ent, ok, eerr := b.c.entry(t.over)
	if eerr != nil {
		return nil, eerr
	}
	if err != nil || !ok || over.Cloud == nil || !over.Removed || b.busy[t.over] {
		return nil, nil
	}
	if ent.RemovedAs != "" && over.Cloud.Handle != ent.RemovedAs {
		return nil, nil
	}
	it.Over = t.over
	return over.Cloud, nil
}

// fileAttrs makes the attributes of a new version: name, fingerprint and what
// programs set are the inode's, everything that we don't know is kept from the
// version replaced.
func fileAttrs(in *tree.Inode, old *tree.Cloud, it item, crc [16]byte) megacrypto.Attributes {
	attrs := megacrypto.Attributes{}
	if old != nil && old.Attrs != nil {
		if attrs = old.Attrs.Clone(); old == in.Cloud {
			attrs = in.CloudAttrs()
		}
		delete(attrs, "c0") // the fingerprint of what was there before
		if it.Over != 0 {
			delete(attrs, tree.ExtraName) // another inode's
		}
	}
	attrs.SetString("n", it.Name)
	attrs.SetString("c", megacrypto.Fingerprint{CRC: crc, Mtime: unixSeconds(it.Mtime)}.String())
	in.StoreExtra(attrs)
	return attrs
}

// fieldsSet lists the fields of attributes in which a new version is to differ from the one that it replaces. What
// programs set is the new file's if that takes the place of another.
func fieldsSet(old *tree.Cloud, it item) []string {
	set := tree.ChangedFields(old.Attrs, it.Attrs)
	if it.Over != 0 {
		set = append(set, tree.OwnFields()...)
	}
	return set
}

func (b *batchBuilder) addAttrs(in *tree.Inode, it item) error {
	if in.Removed || in.Cloud == nil {
		return nil
	}
	if in.Cloud.Attrs == nil || in.Cloud.Key == nil {
		return b.c.refuse(in.Ino, fmt.Errorf("its attributes can't be decrypted: %w", megaclient.EKEY), false)
	}
	it.Kind, it.Handle, it.Attrs = itemAttrs, in.Cloud.Handle, in.CloudAttrs()
	it.Attrs.SetString("n", it.Name)
	if text, ok := it.Attrs.String("c"); ok && in.Kind == tree.File && !in.Pending.Has(tree.PendingContent) {
		if f, err := megacrypto.ParseFingerprint(text); err == nil && f.Mtime != unixSeconds(in.Mtime) {
			f.Mtime = unixSeconds(in.Mtime)
			it.Attrs.SetString("c", f.String())
		}
	}
	in.StoreExtra(it.Attrs)
	it.Set = tree.ChangedFields(in.Cloud.Attrs, it.Attrs)
	return b.push(megaclient.SetAttrs{Node: it.Handle, Type: in.Cloud.Type, Key: in.Cloud.Key, Attrs: it.Attrs}, it)
}

func (b *batchBuilder) addMove(in *tree.Inode, it item) error {
	if in.Removed || in.Cloud == nil || !b.parentStands(in.Parent, it.Parent) {
		return nil
	}
	shares, err := b.c.SharesOf(in.Parent)
	if err != nil {
		return err
	}
	it.Kind, it.Handle = itemMove, in.Cloud.Handle
	op := megaclient.MoveNode{Node: it.Handle, Parent: it.Parent, Shares: shares}
	if len(shares) > 0 {
		if op.Moved, err = b.keysBelow(in.Ino, nil); err != nil {
			return err
		}
	}
	return b.push(op, it)
}

// keysBelow lists the keys of a node and of all below it, for a share.
func (b *batchBuilder) keysBelow(ino tree.Ino, all []megaclient.KeyedNode) ([]megaclient.KeyedNode, error) {
	in, err := b.c.Get(ino)
	if err != nil {
		return all, err
	}
	if in.Cloud != nil && in.Cloud.Key != nil {
		all = append(all, megaclient.KeyedNode{Handle: in.Cloud.Handle, Key: in.Cloud.Key})
	}
	if in.Kind != tree.Dir {
		return all, nil
	}
	for after := ""; ; {
		page, err := b.c.ReadDir(ino, after, 1000)
		if err != nil || len(page) == 0 {
			return all, err
		}
		for _, child := range page {
			if all, err = b.keysBelow(child.Ino, all); err != nil {
				return all, err
			}
		}
		after = page[len(page)-1].Name
	}
}

// addTrash moves to the bin what was removed, or put into the trash here: for that it is a move like any other.
func (b *batchBuilder) addTrash(in *tree.Inode, it item) error {
	if !in.Removed && !isTrashed(in, b.c.row) || in.Cloud == nil || b.bin == "" {
		return nil
	}
	it.Handle, it.Name = in.Cloud.Handle, in.Cloud.Name
	if in.Cloud.Attrs != nil && in.Cloud.Key != nil {
		mark := it
		mark.Kind, mark.Attrs = itemAttrs, in.Cloud.Attrs.Clone()
		mark.Attrs.SetString("rr", string(in.Cloud.Parent))
		mark.Set = tree.ChangedFields(in.Cloud.Attrs, mark.Attrs)
		op := megaclient.SetAttrs{Node: it.Handle, Type: in.Cloud.Type, Key: in.Cloud.Key, Attrs: mark.Attrs}
		if fitsNode(mark.Attrs) { // it can go to the bin without, too
			if err := b.push(op, mark); err != nil {
				return err
			}
		}
	}
	it.Kind, it.Parent = itemTrash, b.bin
	if !in.Removed {
		it.Kind = itemMove
	}
	return b.push(megaclient.MoveNode{Node: it.Handle, Parent: b.bin}, it)
}

func (b *batchBuilder) addDelete(in *tree.Inode, ent entry, it item) error {
	if !in.Removed || in.Cloud == nil || !ent.ForGood || in.Cloud.Handle != ent.RemovedAs {
		return nil
	}
	it.Kind, it.Handle = itemDelete, in.Cloud.Handle
	return b.push(megaclient.RemoveNode{Node: it.Handle}, it)
}

// replayBatch finds the batch that the last run left without an answer.
func (e *Engine) replayBatch(b *badger.Txn) error {
	return scanRows(b, []byte{rowPrefix, rowBatch}, func(_, raw []byte) error {
		var row batchRow
		if err := decodeRow(raw, &row); err != nil {
			return fmt.Errorf("row of a batch: %w", err)
		}
		e.flight = newFlight(row, &e.sent)
		e.setKeys(row.Items, true)
		e.ownTags(1, row.Batch.Tags...)
		return nil
	})
}

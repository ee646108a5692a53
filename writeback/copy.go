package writeback

import (
	"context"

	"github.com/dgraph-io/badger/v4"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// Copying within the mount moves as few bytes as it can. Staged bytes aren't
// copied: both files' maps refer to the same records. What lies only in the
// cloud isn't fetched when a new file is made of it from its beginning on: the
// copy then has the other file's version as its base. If in the end it is that
// version and nothing else, the server makes its node, and nothing is uploaded
// either (stepFile without a generation); otherwise it goes up like any file,
// and the base is fetched then.

// copyAtOnce bounds the bytes that one copy brings over from the cloud, so that
// it can be interrupted.
const copyAtOnce = 8 << 20

// CopyFrom copies n bytes of another file, from its offset srcOff on, to off.
// Fewer, and no error: the other file ends there, or that was enough for one
// call. Both may be the same file, if the ranges don't overlap. Errors: those
// of ReadAt and WriteAt.
func (f *File) CopyFrom(ctx context.Context, src *File, srcOff, off, n int64) (int64, error) {
	if !f.write {
		return 0, ErrNotWritable
	}
	if srcOff < 0 {
		return 0, tree.ErrInvalid
	}
	if err := checkRange(off, n); err != nil {
		return 0, err
	}
	if err := f.e.roomFor(ctx, f.st, min(n, copyAtOnce)); err != nil {
		return 0, err
	}
	if err := f.e.storable(f.st.ino, off+n); err != nil {
		return 0, err
	}
	src.st.mu.Lock()
	v := f.e.viewLocked(src.st, srcOff, n, nil)
	src.st.mu.Unlock()
	defer f.e.releaseView(v)
	if v.n == 0 {
		return 0, nil
	}
	if done, err := f.copyBase(ctx, v, srcOff, off); done || err != nil {
		return v.n, err
	}
	var copied, fetched int64
	for _, p := range v.pieces {
		for p.Len > 0 && fetched < copyAtOnce {
			part, got, err := f.copyPiece(ctx, src, v, p, off+p.Off-srcOff)
			if err != nil {
				if copied > 0 {
					return copied, nil // the rest comes again, and then brings the error
				}
				return 0, err
			}
			copied, fetched = copied+part, fetched+got
			p.Off, p.Len = p.Off+part, p.Len-part
		}
	}
	return copied, nil
}

// copyPiece copies what it can of one piece; fetched is how much of that was
// read from a version in the cloud.
func (f *File) copyPiece(ctx context.Context, src *File, v view, p staging.Piece, to int64) (n, fetched int64, err error) {
	held := int64(0) // bytes of the base at the piece's beginning
	if p.Extent == nil && v.base.Handle != "" {
		held = max(0, min(p.Len, v.base.Limit-p.Off, 1<<20))
	}
	var buf []byte
	if held > 0 {
		buf = make([]byte, held)
		pieces := []staging.Piece{{Off: p.Off, Len: held}}
		if _, err := f.e.readPieces(ctx, pieces, v.base, p.Off, buf, src.reader); err != nil {
			return 0, 0, err
		}
	}
	st := f.st
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := f.e.markContentLocked(ctx, st); err != nil {
		return 0, 0, err
	}
	n = p.Len
	switch {
	case p.Extent != nil:
		e := *p.Extent
		e.Off = to
		f.e.staging.Retain(e)
		st.garbage = append(st.garbage, st.m.Insert(e)...)
		st.unsaved += n
	case held > 0:
		if err := f.e.appendLocked(st, buf, to); err != nil {
			return 0, 0, err
		}
		n, fetched = held, held
	default:
		if err := f.e.zeroLocked(st, to, to+n); err != nil {
			return 0, 0, err
		}
	}
	st.size = max(st.size, to+n)
	f.e.writtenLocked(st)
	if st.cut || st.unsaved >= commitBytes {
		return n, fetched, f.e.commitLocked(ctx, st)
	}
	return n, fetched, nil
}

// copyBase lets a file that is only here have another one's version as its
// base, as far as it was copied from the beginning on; false if it can't.
func (f *File) copyBase(ctx context.Context, v view, srcOff, off int64) (bool, error) {
	end := srcOff + v.n
	if srcOff != off || v.base.Handle == "" || end > v.base.Limit || len(v.pieces) != 1 || v.pieces[0].Extent != nil {
		return false, nil
	}
	st := f.st
	st.mu.Lock()
	defer st.mu.Unlock()
	fresh := st.base.Handle == "" && off == 0
	goesOn := st.base.Handle == v.base.Handle && st.base.Limit == off && string(st.base.Key) == string(v.base.Key)
	if st.size != off || st.m.Len() > 0 || st.gen != nil || !fresh && !goesOn {
		return false, nil
	}
	here := false
	err := f.e.update(ctx, func(c *change) error {
		in, err := c.Get(st.ino)
		if err != nil {
			return err
		}
		if here = in.Cloud == nil && !in.Removed && !c.inFlight(st.ino); !here {
			return nil
		}
		return c.markContent(&in)
	})
	if err != nil || !here {
		return false, err
	}
	st.marked = true
	st.base, st.size = v.base, end
	st.base.Limit = end
	f.e.writtenLocked(st)
	return true, f.e.commitLocked(ctx, st)
}

// isCopy tells whether a file that isn't in the cloud is, as a whole, a version
// that the cloud has. What is staged must be looked at too (hasExtents).
func isCopy(in *tree.Inode) bool {
	return in.Kind == tree.File && in.Cloud == nil && !in.Removed && in.Size > 0 && in.Base.Handle != "" &&
		in.Size == in.Base.Size && in.Base.Limit == in.Base.Size
}

// hasExtents tells whether rows say that bytes of a file are staged.
func hasExtents(b *badger.Txn, ino tree.Ino) bool {
	return hasRows(b, inoKey(rowExtents, ino)) || hasRows(b, inoKey(rowNext, ino))
}

func hasRows(b *badger.Txn, prefix []byte) bool {
	it := b.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	it.Rewind()
	return it.Valid()
}

// copySource gives the fingerprint of the version that a file is a copy of, by
// the attributes of its node; false if the file isn't such a copy, they are
// unknown, or its key may not be used for a node of ours (Node.Foreign).
func copySource(tx *tree.Tx, in *tree.Inode, ent entry) (f megacrypto.Fingerprint, ok bool) {
	if !isCopy(in) || ent.NoCopy || hasExtents(tx.Badger(), in.Ino) {
		return f, false
	}
	ino, known := tx.ByHandle(in.Base.Handle)
	if !known {
		return f, false
	}
	src, err := tx.Get(ino)
	if err != nil || src.Cloud == nil || src.Cloud.Handle != in.Base.Handle || src.Cloud.Foreign {
		return f, false
	}
	text, _ := src.Cloud.Attrs.String("c")
	f, err = megacrypto.ParseFingerprint(text)
	return f, err == nil
}

// addCopy makes the command that lets the server copy a node: same content,
// same key, wrapped anew.
func (b *batchBuilder) addCopy(in *tree.Inode, ent entry, t task, it item) error {
	f, ok := copySource(b.c.Tx, in, ent)
	if !ok || !b.parentStands(in.Parent, it.Parent) {
		return nil
	}
	var old *tree.Cloud
	if t.over != 0 {
		var err error
		if old, err = b.replaced(t, &it); old == nil || err != nil {
			return err
		}
	}
	shares, err := b.c.SharesOf(in.Parent)
	if err != nil {
		return err
	}
	it.Kind, it.Copy, it.Key, it.Content = itemFile, true, in.Base.Key, ent.Content
	it.Attrs = fileAttrs(in, old, it, f.CRC)
	node := megaclient.NewNode{Token: string(in.Base.Handle), Type: megaclient.FileNode, Key: it.Key, Attrs: it.Attrs}
	if old != nil {
		it.Handle, node.Replaces = old.Handle, old.Handle
		it.Set = fieldsSet(old, it)
	}
	b.busy[t.ino], b.busy[it.Over] = true, true
	return b.push(megaclient.PutNodes{Parent: it.Parent, Shares: shares, Nodes: []megaclient.NewNode{node}}, it)
}

// settleCopy: the copy's own node is the file's base now. What was written
// since lies over it as before.
func (c *change) settleCopy(in *tree.Inode, it item, made *tree.Cloud, st *fileState) error {
	ent, _, err := c.entry(it.Ino)
	if err != nil {
		return err
	}
	in.Pending &^= tree.PendingContent
	if ent.Content != it.Content && !in.Removed {
		in.Pending |= tree.PendingContent
	}
	in.Base.Handle = made.Handle
	if st == nil {
		return nil
	}
	pending := in.Pending
	c.after = append(c.after, func() {
		if string(st.base.Key) == string(it.Key) {
			st.base.Handle = made.Handle
			st.owner.Base = string(made.Handle)
		}
		st.marked = pending.Has(tree.PendingContent)
	})
	return nil
}

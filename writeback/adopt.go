package writeback

import (
	"context"
	"errors"
	"io"

	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// Two sides that made the same content are in no conflict: what the cloud has is adopted, and nothing goes up. That
// the contents are the same is shown by the MAC in the other node's key, so nothing is fetched for it.

// adoptSame adopts the node that stands where the content of an inode was to go, if it has the same content. done:
// there is nothing to send any more. The later of two times of modification stays.
func (e *Engine) adoptSame(ctx context.Context, ino tree.Ino) (done bool, err error) {
	rival, err := e.rival(ino)
	if rival == nil || err != nil {
		return false, err
	}
	g, err := e.frozen(ctx, ino)
	if g == nil || err != nil || g.State.Size != rival.Cloud.Size {
		return false, err
	}
	for _, p := range g.m.Pieces(0, g.State.Size) {
		if p.Extent == nil && p.Off < g.Base.Limit {
			return false, nil // it would have to be fetched to be compared
		}
	}
	src := &generationReader{ctx: ctx, e: e, g: g}
	defer src.close()
	same, err := sameContent(src, g.State.Size, rival.Cloud.Key)
	if !same || err != nil {
		return false, err
	}
	st, err := e.pin(ino)
	if err != nil {
		return false, err
	}
	defer e.unpin(st)
	st.mu.Lock()
	defer st.mu.Unlock()
	err = e.update(ctx, func(c *change) error {
		done = false
		in, err := c.Get(ino)
		if err != nil || in.Removed || c.inFlight(ino) || e.queue.generation(ino) != g {
			return err
		}
		now, err := c.Get(rival.Ino)
		if err != nil || now.Cloud == nil || now.Cloud.Handle != rival.Cloud.Handle || (rival.Ino != ino && (in.Cloud != nil || now.Pending != 0 || e.isOpen(now.Ino))) {
			return err
		}
		if ent, _, err := c.entry(ino); err != nil || st.content || ent.Content != g.Content {
			return err // written since: what was compared isn't what is here
		}
		done = true
		return c.adopt(in, now, g, st)
	})
	if errors.Is(err, tree.ErrStale) {
		err = nil
	}
	return done, err
}

// rival gives the inode whose node stands where a file's content was to go, and might be the same; nil if there is none.
func (e *Engine) rival(ino tree.Ino) (rival *tree.Inode, err error) {
	err = e.tree.View(func(tx *tree.Tx) error {
		in, err := tx.Get(ino)
		if err != nil || in.Removed || in.Kind != tree.File {
			return err
		}
		there := in
		if in.Cloud == nil {
			if in.Was.Parent == 0 {
				return nil
			}
			if there, err = tx.Lookup(in.Was.Parent, in.Was.Name); err != nil {
				return err
			}
		}
		if there.Kind == tree.File && there.Cloud != nil && len(there.Cloud.Key) > 0 && !there.Cloud.Damaged &&
			there.Cloud.Size == in.Size && there.Cloud.Handle != in.Base.Handle && there.Link == in.Link {
			rival = &there
		}
		return nil
	})
	if isGone(err) || errors.Is(err, tree.ErrNotDir) {
		err = nil
	}
	return rival, err
}

// sameContent tells whether bytes are those of a node, by its key.
func sameContent(src io.ReaderAt, size int64, packed []byte) (bool, error) {
	key, err := megacrypto.UnpackFileKey(packed)
	if err != nil {
		return false, nil
	}
	if size == 0 {
		return true, nil
	}
	cipher := megacrypto.NewCipher(key)
	macs := make([]megacrypto.ChunkMAC, megacrypto.ChunkCount(size))
	buf := make([]byte, 0, 1<<20)
	for i := range macs {
		from, to := megacrypto.ChunkBounds(i, size)
		buf = buf[:to-from]
		if n, err := src.ReadAt(buf, from); n < len(buf) {
			return false, err
		}
		macs[i] = cipher.ChunkMAC(buf)
	}
	variant, err := cipher.CheckMAC(size, macs, key.MAC)
	return err == nil && (variant == megacrypto.MACExact || variant == megacrypto.MACExtraEnd), nil
}

// adopt makes a node a file's own, whose content it has. there is the inode that has the node, maybe the file itself.
func (c *change) adopt(in, there tree.Inode, g *generation, st *fileState) error {
	mtime, exact, theirs := in.Mtime, in.Exact, there.Mtime
	if there.Ino != in.Ino {
		if err := c.Adopt(in.Ino, there.Ino); err != nil {
			return err
		}
		var err error
		if in, err = c.Get(in.Ino); err != nil {
			return err
		}
	} else {
		theirs = c.cloudMtime(&in)
	}
	in.Pending &^= tree.PendingContent
	in.Base = baseOf(in.Cloud)
	in.Mtime, in.Exact = theirs, false
	if unixSeconds(mtime) > unixSeconds(theirs) {
		in.Mtime, in.Exact = mtime, exact
		in.Claim(tree.OwnMtime)
	}
	if err := c.uncover(st, g, &in); err != nil {
		return err
	}
	if err := c.dropGeneration(in.Ino); err != nil {
		return err
	}
	c.after = append(c.after, func() { st.mtime, st.exact = in.Mtime, in.Exact })
	if err := c.Put(&in); err != nil {
		return err
	}
	if in.Pending != 0 {
		return c.touch(in.Ino, nil)
	}
	return c.settle(in.Ino)
}

// cloudMtime gives the time of modification that a file's node has.
func (c *change) cloudMtime(in *tree.Inode) int64 {
	return nodeOf(in.Cloud).Mtime().UnixNano()
}

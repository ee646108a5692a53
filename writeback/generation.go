package writeback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

const (
	// inlineExtents is the largest extent list that stands in the generation's
	// own row; longer ones are spread over one row a region.
	inlineExtents = 256
	// resumeSize is the size from which on an upload's progress is stored. What
	// is smaller is sent again after a restart, under a new key.
	resumeSize = 4 << 20
	// rowsAtOnce bounds the rows that one transaction writes for a file.
	rowsAtOnce = 1000
)

// generation is one frozen state of a file's content, with the key under which
// it goes up. Its row is written before the key can matter to anybody: before
// progress of a large upload is kept, or its node is created.
type generation struct {
	Ino     tree.Ino               `cbor:"1,keyasint"`
	Content uint64                 `cbor:"2,keyasint,omitempty"` // entry.Content when frozen
	Base    tree.Base              `cbor:"3,keyasint,omitempty"`
	State   megaclient.UploadState `cbor:"4,keyasint"`
	CRC     [16]byte               `cbor:"5,keyasint,omitempty"`  // fingerprint
	Digest  []byte                 `cbor:"6,keyasint"`            // of the extent list
	Spread  bool                   `cbor:"8,keyasint,omitempty"`  // the list is in rowFrozen rows
	Thins   megaclient.Handle      `cbor:"10,keyasint,omitempty"` // the version made earlier while the file was open
	Packed  []byte                 `cbor:"9,keyasint,omitempty"`  // the list otherwise (staging.EncodeExtents)

	m        *staging.Map // the extents again, to read from
	limit    int64        // GUARDED_BY(fileState.mu): bytes of it not cut off since
	kept     int64        // GUARDED_BY(Engine.writeMu): the same, as far as the cutting is committed
	stored   atomic.Bool  // its row exists
	restored bool         // it comes from an earlier run: to be verified
	session  *session     // the file is open on, and what is written later belongs to it; nil: it isn't
}

// cacheFile is the generation as the cache will know it.
func (g *generation) cacheFile() cache.File {
	return cache.File{Key: g.State.Key, Size: g.State.Size}
}

// extentsDigest identifies a list of extents.
func extentsDigest(es []staging.Extent, base tree.Base, size int64) []byte {
	h := sha256.New()
	var buf []byte
	for _, e := range es {
		for _, v := range []uint64{uint64(e.Off), uint64(e.Len), e.Seg, uint64(e.Pos), uint64(e.Skip)} {
			buf = binary.BigEndian.AppendUint64(buf, v)
		}
	}
	buf = binary.BigEndian.AppendUint64(buf, uint64(size))
	buf = binary.BigEndian.AppendUint64(buf, uint64(base.Limit))
	buf = append(buf, base.Handle...)
	h.Write(append(buf, base.Key...))
	return h.Sum(nil)
}

// freeze makes a generation of the file's present content. Nil: there is
// nothing to freeze any more.
func (e *Engine) freeze(ctx context.Context, st *fileState) (*generation, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := e.commitLocked(ctx, st); err != nil {
		return nil, err
	}
	var content uint64
	wanted := false
	in, err := e.tree.Get(st.ino)
	if err != nil {
		return nil, err
	}
	e.queue.with(st.ino, func(d *dirtyInode) { content, wanted = d.entry.Content, true })
	if !wanted || in.Removed || !in.Pending.Has(tree.PendingCreate|tree.PendingContent) {
		return nil, nil
	}
	es := st.m.Extents()
	g := &generation{
		Ino: st.ino, Content: content, Base: st.base,
		State:  megaclient.UploadState{Size: st.size, Key: megacrypto.NewFileKey()},
		Digest: extentsDigest(es, st.base, st.size),
		m:      st.m.Clone(),
	}
	g.limit, g.kept = st.size, st.size
	e.joinSession(st, g)
	if g.Spread = len(es) > inlineExtents; !g.Spread {
		g.Packed = staging.EncodeExtents(es)
	}
	e.staging.Retain(es...)
	st.gen, st.lastFroze = g, e.now()
	e.queue.with(st.ino, func(d *dirtyInode) { d.gen = g })
	return g, nil
}

// putGeneration writes the generation's own row. Only who owns its state may
// call it: the upload, and the sender when that is over.
func (c *change) putGeneration(g *generation) error {
	return putRow(c.b, inoKey(rowGeneration, g.Ino), g)
}

// putLimit stores how much of a generation isn't cut off by what is committed.
func (c *change) putLimit(g *generation) error {
	return putRow(c.b, inoKey(rowLimit, g.Ino), g.kept)
}

// cutGeneration stores how much of a generation isn't cut off with this transaction, whose row says that the file is as short.
func (c *change) cutGeneration(g *generation, limit int64) error {
	c.after = append(c.after, func() { g.kept = limit })
	return putRow(c.b, inoKey(rowLimit, g.Ino), limit)
}

// storeGeneration writes the row of a generation, after those of its extents.
func (e *Engine) storeGeneration(ctx context.Context, g *generation) error {
	if g.Spread {
		if err := e.storeFrozen(ctx, g); err != nil {
			return fmt.Errorf("storing a frozen file: %w", err)
		}
	}
	err := e.update(ctx, func(c *change) error {
		current := false
		c.e.queue.with(g.Ino, func(d *dirtyInode) { current = d.gen == g })
		if !current {
			return nil
		}
		if err := c.putLimit(g); err != nil {
			return err
		}
		return c.putGeneration(g)
	})
	if err != nil {
		return fmt.Errorf("storing a frozen file: %w", err)
	}
	g.stored.Store(true)
	return nil
}

// storeFrozen writes the extents of a large generation, in the place of what a
// run that died may have left of another one's.
func (e *Engine) storeFrozen(ctx context.Context, g *generation) error {
	if g.stored.Load() {
		return nil
	}
	for more := true; more; {
		err := e.update(ctx, func(c *change) (err error) {
			more, err = c.clearSome(rowFrozen, g.Ino, clearStep)
			return err
		})
		if err != nil {
			return err
		}
	}
	rows, err := e.regionsOf(ctx, rowFrozen, g.Ino, g.m, g.m.Regions())
	if err != nil {
		return err
	}
	if rows, err = e.putRegions(ctx, rows); err != nil {
		return err
	}
	return e.update(ctx, func(c *change) error {
		for _, r := range rows {
			if err := c.storeRegion(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropGeneration forgets the frozen content of a file, if there is any.
func (c *change) dropGeneration(ino tree.Ino) error {
	if err := c.b.Delete(inoKey(rowGeneration, ino)); err != nil {
		return err
	}
	if err := c.b.Delete(inoKey(rowLimit, ino)); err != nil {
		return err
	}
	g := c.e.queue.generation(ino)
	if g == nil {
		return nil
	}
	if g.Spread {
		c.later = append(c.later, func() { c.e.clearLater(rowFrozen, ino) })
	}
	c.after = append(c.after, func() {
		c.e.queue.with(ino, func(d *dirtyInode) {
			if d.gen == g {
				d.gen, d.uploaded = nil, false
			}
		})
		c.e.staging.Release(g.m.Extents()...)
	})
	return nil
}

// replayGenerations brings back what was frozen when the last run ended.
func (e *Engine) replayGenerations(b *badger.Txn) error {
	return scanRows(b, []byte{rowPrefix, rowGeneration}, func(_, raw []byte) error {
		g := &generation{m: &staging.Map{}, restored: true}
		g.stored.Store(true)
		if err := decodeRow(raw, g); err != nil {
			return fmt.Errorf("row of a frozen file: %w", err)
		}
		if g.Spread {
			if err := loadMap(b, rowFrozen, g.Ino, g.m); err != nil {
				return err
			}
		} else {
			es, err := staging.DecodeExtents(g.Packed)
			if err != nil {
				return fmt.Errorf("row of a frozen file: %w", err)
			}
			g.m.Insert(es...)
		}
		e.staging.Retain(g.m.Extents()...)
		g.kept = g.State.Size
		if _, err := getRow(b, inoKey(rowLimit, g.Ino), &g.kept); err != nil {
			return fmt.Errorf("limit of a frozen file: %w", err)
		}
		g.limit = g.kept
		e.restored = append(e.restored, g)
		return nil
	})
}

// verifyRestored tells whether a generation of an earlier run is still what it
// was. Only then may its key be used on.
func (e *Engine) verifyRestored(ctx context.Context, g *generation) error {
	es := g.m.Extents()
	if !bytes.Equal(extentsDigest(es, g.Base, g.State.Size), g.Digest) {
		return fmt.Errorf("%w: the extent list changed", ErrHeldBack)
	}
	if err := e.staging.Verify(ctx, es...); err != nil {
		return fmt.Errorf("verifying a frozen file: %w", err) // perhaps only not to be read now
	}
	g.restored = false
	return nil
}

// generationReader reads a generation's plaintext for the upload.
type generationReader struct {
	ctx    context.Context
	e      *Engine
	g      *generation
	mu     sync.Mutex
	reader *cache.Reader // GUARDED_BY(mu)
}

func (r *generationReader) ReadAt(p []byte, off int64) (int, error) {
	size := r.g.State.Size
	if off >= size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), size-off)
	done, err := r.e.readPieces(r.ctx, r.g.m.Pieces(off, n), r.g.Base, off, p[:n], r.base)
	if err == nil && n < int64(len(p)) {
		err = io.EOF
	}
	return done, err
}

func (r *generationReader) base(b tree.Base) (*cache.Reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reader != nil {
		return r.reader, nil
	}
	f, err := cacheFile(b)
	if err != nil {
		return nil, err
	}
	r.reader = r.e.cache.NewReader(f)
	return r.reader, nil
}

func (r *generationReader) close() {
	if r.reader != nil {
		r.reader.Close()
	}
}

package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"

	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// replaceAtOnce is how much is staged at a time.
const replaceAtOnce = 4 << 20

// ReplaceContent gives a file new content, as one step: until all of it is
// staged, everybody sees the old content, and a crash leaves it. Handles that
// are open see the new one. Errors: those of File.WriteAt, and read's.
func (e *Engine) ReplaceContent(ctx context.Context, ino tree.Ino, size int64, read func(p []byte, off int64) (int, error)) error {
	if err := checkRange(0, size); err != nil {
		return err
	}
	f, err := e.Open(ctx, ino, true, false)
	if err != nil {
		return err
	}
	defer f.Release()
	es, err := e.stageWhole(ctx, f.st.owner, size, read)
	if err != nil {
		e.staging.Release(es...)
		return err
	}
	f.st.mu.Lock()
	e.beginSession(f.st) // what is there stays a version, also if the file has been open since before that was made
	err = e.replaceLocked(ctx, f.st, es, size)
	f.st.mu.Unlock()
	if err != nil {
		return err
	}
	return e.update(ctx, func(c *change) error {
		c.Note(tree.Change{Ino: ino, Content: true, Attr: true})
		return nil
	})
}

// stageWhole appends content to the staging without any file referring to it.
func (e *Engine) stageWhole(ctx context.Context, owner staging.Owner, size int64, read func([]byte, int64) (int, error)) (es []staging.Extent, err error) {
	buf := make([]byte, min(replaceAtOnce, size))
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return es, err
		}
		if err := e.room(); err != nil {
			return es, err
		}
		n, err := read(buf[:min(int64(len(buf)), size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return es, err
		}
		if n == 0 {
			return es, io.ErrUnexpectedEOF
		}
		more, err := e.staging.Append(owner, off, buf[:n])
		if err != nil {
			return es, fmt.Errorf("staging new content: %w", err)
		}
		es, off = append(es, more...), off+int64(n)
	}
	return es, nil
}

// replaceLocked makes staged bytes the whole content of a file.
func (e *Engine) replaceLocked(ctx context.Context, st *fileState, es []staging.Extent, size int64) error {
	if err := e.markContentLocked(ctx, st); err != nil {
		e.staging.Release(es...)
		return err
	}
	st.cutLocked(0)
	st.garbage = append(st.garbage, st.m.Insert(es...)...)
	now := e.now()
	st.size, st.mtime, st.exact, st.lastWrite = size, now.UnixNano(), false, now
	st.dirty, st.content = true, true
	return e.commitLocked(ctx, st)
}

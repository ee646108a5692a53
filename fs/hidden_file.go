package fs

import (
	"context"
	"io"

	"megadisk/cache"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// readOnly is a file that can't be changed.
type readOnly struct{}

// Lend leaves it to ReadAt.
func (readOnly) Lend(context.Context, int64, int64) (*cache.Loan, error) { return nil, nil }

func (readOnly) WriteAt(context.Context, []byte, int64) (int, error) {
	return 0, writeback.ErrNotWritable
}
func (readOnly) Flush(context.Context) error                    { return nil }
func (readOnly) Fsync(context.Context) error                    { return nil }
func (readOnly) Grow(context.Context, int64) error              { return writeback.ErrNotWritable }
func (readOnly) Zero(context.Context, int64, int64, bool) error { return writeback.ErrNotWritable }
func (readOnly) Release()                                       {}
func (readOnly) copyFrom(context.Context, file, int64, int64, int64) (int64, error) {
	return 0, writeback.ErrNotWritable
}

// textFile is a text as it was when it was opened.
type textFile struct {
	readOnly
	text []byte
}

func (f textFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if off >= int64(len(f.text)) {
		return 0, io.EOF
	}
	return copy(p, f.text[off:]), nil
}

func (f textFile) FindData(off int64, hole bool) (int64, error) {
	return solid(int64(len(f.text)), off, hole)
}

// versionFile is an open earlier version.
type versionFile struct {
	readOnly
	r *writeback.VersionReader
}

func (f versionFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return f.r.ReadAt(ctx, p, off)
}

func (f versionFile) Release() { f.r.Close() }

func (f versionFile) FindData(off int64, hole bool) (int64, error) { return solid(f.r.Size, off, hole) }

// solid finds data, or the hole at the end, in a file without holes.
func solid(size, off int64, hole bool) (int64, error) {
	switch {
	case off < 0:
		return 0, tree.ErrInvalid
	case off >= size:
		return 0, writeback.ErrNoData
	case hole:
		return size, nil
	}
	return off, nil
}

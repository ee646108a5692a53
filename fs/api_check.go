package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// What must fit is gathered here, and the compiler proves it.
var (
	_ fuse.RawFileSystem = (*bridge)(nil)
	_ engine             = (*mounted)(nil)
	_ file               = (*writeback.File)(nil)
	_ table              = (*tree.Tree)(nil)
	_ kernel             = (*fuse.Server)(nil)
	_ context.Context    = (*request)(nil)
)

package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback"
)

// What must fit is gathered here, and the compiler proves it.
var (
	_ fuse.RawFileSystem = (*bridge)(nil)
	_ engine             = realEngine{}
	_ file               = (*writeback.File)(nil)
	_ table              = realTable{}
	_ kernel             = (*fuse.Server)(nil)
	_ context.Context    = (*request)(nil)
)

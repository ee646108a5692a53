package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// What must fit is gathered here, and the compiler proves it.
var (
	_ fuse.RawFileSystem = (*bridge)(nil)
	_ engine             = realEngine{}
	_ file               = realFile{}
	_ table              = realTable{}
	_ kernel             = (*fuse.Server)(nil)
	_ context.Context    = (*request)(nil)
)

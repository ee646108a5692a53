package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// What must fit is gathered here, and the compiler proves it.
var (
	_ fuse.RawFileSystem = front{}
	_ engine             = realEngine{}
	_ file               = realFile{}
	_ file               = textFile{}
	_ file               = versionFile{}
	_ table              = realTable{}
	_ kernel             = (*fuse.Server)(nil)
	_ context.Context    = (*request)(nil)
)

package fs

import (
	"math"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback"
)

// SetAttr changes mode, size and times. Everything belongs to the user who mounted, so that chown to that user is
// allowed and any other is EPERM. O_TRUNC arrives here as well, as a size of 0 without a handle.
func (b *bridge) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if uid, ok := in.GetUID(); ok && uid != b.uid {
		return fuse.EPERM
	}
	if gid, ok := in.GetGID(); ok && gid != b.gid {
		return fuse.EPERM
	}
	want, err := attrOf(in)
	if err != nil {
		return b.status("setattr", err)
	}
	ctx := b.request(cancel)
	defer ctx.end()
	row, err := b.engine.SetAttr(ctx, b.ino(in.NodeId), want)
	if err != nil {
		return b.status("setattr", err)
	}
	if want.Size != nil {
		b.rewrote(row.Ino)
	}
	b.fillAttr(out, &row, b.timeoutsNow())
	return fuse.OK
}

// attrOf picks what the request asks to change.
func attrOf(in *fuse.SetAttrIn) (writeback.Attr, error) {
	var a writeback.Attr
	if mode, ok := in.GetMode(); ok {
		mode &= modeBits
		a.Mode = &mode
	}
	if size, ok := in.GetSize(); ok {
		if size > math.MaxInt64 {
			return a, writeback.ErrTooBig
		}
		n := int64(size)
		a.Size = &n
	}
	if t, ok := in.GetMTime(); ok {
		a.Mtime, a.Now = &t, in.Valid&fuse.FATTR_MTIME_NOW != 0
	}
	if t, ok := in.GetATime(); ok {
		a.Atime = &t
	}
	return a, nil
}

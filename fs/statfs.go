package fs

import "github.com/hanwen/go-fuse/v2/fuse"

const statfsBlock = 4096

// StatFs tells the account's quota as the size of the disk. MEGA doesn't limit the number of files, which is said with
// zeros (`df -i` then shows a dash).
func (b *bridge) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	total, used := b.engine.Statfs()
	free := max(total-used, 0)
	*out = fuse.StatfsOut{
		Bsize:   statfsBlock,
		Frsize:  statfsBlock,
		Blocks:  uint64(max(total, 0)) / statfsBlock,
		Bfree:   uint64(free) / statfsBlock,
		Bavail:  uint64(free) / statfsBlock,
		NameLen: maxName,
	}
	return fuse.OK
}

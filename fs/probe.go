package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/writeback/tree"
)

// Programs that go through everything by themselves (indexers, makers of thumbnails) would bring the whole drive here,
// file by file. They may read what is here; anything else is refused to them when they open it, and nothing is fetched.
// What they would make of a picture, MEGA has already.

// isRefused tells whether an opening is a probe of what isn't here.
func (b *bridge) isRefused(in *fuse.OpenIn) bool {
	return len(b.probes) > 0 && !writes(in.Flags) && !b.isHere(b.ino(in.NodeId)) && isOne(b.probes, ProcessName(in.Pid))
}

// isHere tells whether a file can be read whole without the network, as far as is known.
func (b *bridge) isHere(ino tree.Ino) bool {
	row, err := b.engine.Stat(ino)
	if err != nil || row.Base.Limit == 0 {
		return true // nothing of it is in the cloud alone
	}
	state, ok := b.cacheState(&row)
	return !ok || state.Cached >= row.Base.Size
}

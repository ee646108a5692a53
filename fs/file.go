package fs

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// fileHandle is one open of a file, from OPEN or CREATE to RELEASE. Descriptors made by dup(2) or fork(2) and memory
// maps share it; it is read and written until the last of them is gone, also after FLUSH.
type fileHandle struct {
	id    uint64
	ino   tree.Ino
	file  file
	begun atomic.Bool // something was read from it
}

// handles gives numbers to what is open. The kernel passes a number back with each request.
type handles[T any] struct {
	mu   sync.RWMutex
	next uint64       // GUARDED_BY(mu)
	open map[uint64]T // GUARDED_BY(mu)
}

// add keeps what make returns under a new number.
func (t *handles[T]) add(make func(id uint64) T) T {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[uint64]T{}
	}
	t.next++
	v := make(t.next)
	t.open[t.next] = v
	return v
}

func (t *handles[T]) get(id uint64) (T, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.open[id]
	return v, ok
}

func (t *handles[T]) remove(id uint64) (T, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.open[id]
	delete(t.open, id)
	return v, ok
}

// drain removes everything.
func (t *handles[T]) drain() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []T
	for _, v := range t.open {
		all = append(all, v)
	}
	t.open = nil
	return all
}

// Open opens a file. Its pages stay in the kernel from the last time, unless they are old.
func (b *bridge) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if b.isRefused(in) {
		return fuse.EACCES
	}
	ctx := b.request(cancel)
	defer ctx.end()
	h, err := b.open(ctx, b.ino(in.NodeId), in.Flags)
	if err != nil {
		return b.status("open", err)
	}
	out.Fh = h.id
	out.OpenFlags = b.pages(ctx, h.ino)
	return fuse.OK
}

// opened is what a file was when it was opened last.
type opened struct {
	version megaclient.Handle
	stamp   int64 // of cache.Standing
}

// pages tells what the kernel is to do with its pages of a file that was just opened. They stay if they are of the version
// that was opened. A change made elsewhere is told by an event (notify.go), which may still be on its way to the kernel:
// where the version isn't the one of the last open, that is waited for, or the program would see the new bytes with the
// old length. From now on the handle keeps its version.
//
// They go when the cache can't answer for them. If who had the file open before may have had wrong bytes, he must not get
// the rest from the pages of the next one and never hear of it: that one reads past them.
func (b *bridge) pages(ctx context.Context, ino tree.Ino) (flags uint32) {
	row, err := b.engine.Stat(ino)
	if err != nil {
		return 0
	}
	last, ok := b.versions.Get(ino)
	now, standing := b.standing(&row, last.stamp)
	if ok && last.version != row.Base.Handle || !ok && isFresh(&row) {
		if b.told(ctx, ino) != nil {
			return 0
		}
	}
	b.versions.Add(ino, opened{row.Base.Handle, now}) // not before: who opens it meanwhile must wait as well
	return b.worth(ino, standing)
}

// worth tells what the kernel is to do with its pages by what they are worth.
func (b *bridge) worth(ino tree.Ino, standing cache.Standing) (flags uint32) {
	switch {
	case standing == cache.Refuted && b.notify.isShared(ino):
		return fuse.FOPEN_DIRECT_IO
	case standing != cache.Good || b.notify.isStale(ino):
		return 0
	}
	return fuse.FOPEN_KEEP_CACHE
}

// isFresh tells whether a file that wasn't opened before changed so lately that the kernel, which may know its length,
// may not have been told yet.
func isFresh(row *tree.Inode) bool {
	return row.Cloud != nil && time.Since(time.Unix(0, row.Ctime)) < freshFor
}

const freshFor = 10 * time.Second

// toldWithin bounds how long an open waits for the kernel to be told of a change. A worker can be held up by a folder
// that the kernel is busy with, and no open may hang on that.
const toldWithin = 2 * time.Second

// told waits until the kernel has been told of what was committed for a file before.
func (b *bridge) told(ctx context.Context, ino tree.Ino) error {
	limited, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	if err := b.delivered(limited); err != nil {
		return err
	}
	return b.notify.sent(limited, ino)
}

// open opens an inode with the flags of open(2).
func (b *bridge) open(ctx context.Context, ino tree.Ino, flags uint32) (*fileHandle, error) {
	write := writes(flags)
	// Counted before the engine looks, so that no content notify starts for a file that is being opened.
	b.notify.opened(ino)
	truncate := write && flags&syscall.O_TRUNC != 0
	f, err := b.engine.open(ctx, ino, write, truncate)
	if err != nil {
		b.notify.closed(ino)
		return nil, err
	}
	if truncate {
		b.rewrote(ino)
	}
	return b.addHandle(ino, f), nil
}

// writes tells whether flags of open(2) ask for writing.
func writes(flags uint32) bool { return flags&syscall.O_ACCMODE != syscall.O_RDONLY }

func (b *bridge) addHandle(ino tree.Ino, f file) *fileHandle {
	return b.files.add(func(id uint64) *fileHandle { return &fileHandle{id: id, ino: ino, file: f} })
}

// Flush is one close(2) of possibly several. What was written is then safe from a crash of this process.
func (b *bridge) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h, ok := b.files.get(in.Fh)
	if !ok {
		return fuse.EBADF
	}
	return b.status("flush", h.file.Flush(b.unbreakable()))
}

// Fsync makes what was written safe from a power cut.
func (b *bridge) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h, ok := b.files.get(in.Fh)
	if !ok {
		return fuse.EBADF
	}
	ctx := b.request(cancel)
	defer ctx.end()
	return b.status("fsync", h.file.Fsync(ctx))
}

// Release ends a handle: the last descriptor and the last map are gone.
func (b *bridge) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	if h, ok := b.files.remove(in.Fh); ok {
		b.release(h)
	}
}

func (b *bridge) release(h *fileHandle) {
	h.file.Release()
	b.notify.closed(h.ino)
}

// FsyncDir makes the names in a folder safe from a power cut.
func (b *bridge) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	ctx := b.request(cancel)
	defer ctx.end()
	return b.status("fsyncdir", b.engine.SyncDir(ctx, b.ino(in.NodeId)))
}

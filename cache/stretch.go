package cache

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stretch is units that follow each other in one content's file, read or written together. Each buffer holds one unit, and
// may be longer than that.
//
// Stretches of several units go past the page cache: ciphertext there is of use to no program, and the copy, and the pages
// for it, cost more than all of the cryptography. Single units, which is what random reads ask for, go through it: the
// kernel then keeps what is read again, and writes many small pieces in an order that suits the disk.
type stretch struct {
	first int64
	bufs  [][]byte
	sums  [][sumSize]byte // of the units: what was computed already, or is to be told by a read; may be nil
}

// stretchOf is a single unit.
func stretchOf(u int64, buf []byte) stretch { return stretch{first: u, bufs: [][]byte{buf}} }

func (r stretch) direct() bool { return len(r.bufs) > 1 }

// stretchMost is the longest. Writing a GiB costs 0.18 s in the kernel in pieces of 1 MiB, 0.06 to 0.09 in pieces of 4.
const stretchMost = 32

// diskBuffer is the part of a unit's buffer that goes to disk or comes from there: whole pages where the buffer is long
// enough. What is behind the last unit's end is a hole of the file's, and zero.
func (e *entry) diskBuffer(u int64, buf []byte) []byte {
	n := unitLen(u, e.l.size)
	if whole := int(roundUp(int64(n), pageSize)); whole <= len(buf) {
		return buf[:whole]
	}
	return buf[:n]
}

// pread fills the stretch's buffers. io is held shared.
func (e *entry) pread(r stretch) error { return e.transfer(r, unix.Preadv) }

// pwrite writes them. io is held shared.
func (e *entry) pwrite(r stretch) error {
	last := len(r.bufs) - 1
	u := r.first + int64(last)
	clear(e.diskBuffer(u, r.bufs[last])[unitLen(u, e.l.size):])
	err := e.transfer(r, unix.Pwritev)
	if errors.Is(err, errShort) {
		return unix.ENOSPC // has become full at this moment
	}
	return err
}

// transfer reads or writes a stretch in one system call, past the page cache where that is wanted and possible.
func (e *entry) transfer(r stretch, call func(fd int, bufs [][]byte, off int64) (int, error)) error {
	var room [stretchMost][]byte
	bufs, want, whole := room[:0], 0, r.direct() && e.direct != nil
	for i, b := range r.bufs {
		b = e.diskBuffer(r.first+int64(i), b)
		bufs, want = append(bufs, b), want+len(b)
		whole = whole && len(b)%pageSize == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%pageSize == 0
	}
	if whole {
		if err := moveAll(e.direct, bufs, want, r.first*UnitSize, call); !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return moveAll(e.f, bufs, want, r.first*UnitSize, call)
}

func moveAll(f *os.File, bufs [][]byte, want int, off int64, call func(int, [][]byte, int64) (int, error)) error {
	for {
		n, err := call(int(f.Fd()), bufs, off)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n < want:
			return fmt.Errorf("%w: %d of %d bytes", errShort, n, want)
		default:
			return nil
		}
	}
}

// errShort means that not all bytes of a stretch could be moved.
var errShort = errors.New("cut short")

// openDirect makes ready to go past the page cache, once for each entry. Without it everything goes through it.
func (e *entry) openDirect() {
	e.io.RLock()
	done := e.f == nil || e.tried
	e.io.RUnlock()
	if done {
		return
	}
	e.io.Lock()
	defer e.io.Unlock()
	if e.f == nil || e.tried {
		return
	}
	e.tried = true
	e.direct, _ = os.OpenFile(e.s.path(e.name), os.O_RDWR|unix.O_DIRECT, 0)
}

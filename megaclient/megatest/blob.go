package megatest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// blob is the stored ciphertext of one file. Copies made on the server share it.
type blob struct {
	size   int64
	refs   int // nodes and tokens that use it. GUARDED_BY(Server.mu)
	data   content
	spread bool // served over six URLs
}

// content is where ciphertext is kept. Different ranges may be written at the same time.
type content interface {
	io.ReaderAt
	io.WriterAt
	remove()
}

// store makes places for content: in memory, one file each in a folder, or none at all.
type store struct {
	dir       string
	forgetful bool
	next      *atomic.Int64
}

func newStore(o options) store {
	return store{dir: o.dir, forgetful: o.forgetful, next: new(atomic.Int64)}
}

// create makes room for size bytes; what isn't written reads as zeros and takes no room.
func (st store) create(size int64) (content, error) {
	switch {
	case st.forgetful:
		return &forgetful{size: size, sums: map[int]uint64{}}, nil
	case st.dir == "" && size <= pageSize:
		return make(flat, size), nil
	case st.dir == "":
		return &memory{size: size, pages: map[int64][]byte{}}, nil
	}
	name := filepath.Join(st.dir, fmt.Sprintf("blob-%d", st.next.Add(1)))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating content: %w", err)
	}
	err = f.Truncate(size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("creating content: %w", err)
	}
	return disk(name), nil
}

// close removes what is on disk.
func (st store) close() {
	if st.dir == "" {
		return
	}
	names, _ := filepath.Glob(filepath.Join(st.dir, "blob-*"))
	for _, n := range names {
		_ = os.Remove(n)
	}
}

// flat keeps small content in one piece. It is written by one upload at a time and read when that is complete.
type flat []byte

func (f flat) ReadAt(p []byte, off int64) (int, error) {
	if off > int64(len(f)) {
		return 0, io.EOF
	}
	n := copy(p, f[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f flat) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(f)) {
		return 0, io.ErrShortWrite
	}
	return copy(f[off:], p), nil
}

func (f flat) remove() {}

// pageSize is the unit in which memory is taken for content.
const pageSize = 1 << 20

// memory keeps content in pages that exist once they are written.
type memory struct {
	size  int64
	mu    sync.RWMutex
	pages map[int64][]byte // GUARDED_BY(mu)
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := 0
	for n < len(p) && off < m.size {
		end := min(int64(len(p)-n), m.size-off, pageSize-off%pageSize)
		dst := p[n : n+int(end)]
		if page := m.pages[off/pageSize]; page != nil {
			copy(dst, page[off%pageSize:])
		} else {
			clear(dst)
		}
		n += len(dst)
		off += end
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for n < len(p) {
		i := off / pageSize
		if off >= m.size {
			return n, io.ErrShortWrite
		}
		if m.pages[i] == nil {
			m.pages[i] = make([]byte, min(pageSize, m.size-i*pageSize))
		}
		k := copy(m.pages[i][off%pageSize:], p[n:])
		if k == 0 {
			return n, io.ErrShortWrite
		}
		n += k
		off += int64(k)
	}
	return n, nil
}

func (m *memory) remove() {}

// disk keeps content in the named file.
type disk string

func (d disk) ReadAt(p []byte, off int64) (int, error) {
	f, err := os.Open(string(d))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	return f.ReadAt(p, off)
}

func (d disk) WriteAt(p []byte, off int64) (int, error) {
	f, err := os.OpenFile(string(d), os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	n, err := f.WriteAt(p, off)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return n, err
}

func (d disk) remove() { _ = os.Remove(string(d)) }

// release drops one use of b. Server.mu is held.
func (b *blob) release() {
	if b == nil {
		return
	}
	if b.refs--; b.refs == 0 {
		b.data.remove()
	}
}

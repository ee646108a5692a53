package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

var errModel = errors.New("the model's own error")

// model is a cache over some files, with everything that may happen to it. Whatever happens, each byte
// that is served is the reference's, or there is an error that the model knows.
type model struct {
	c       *Cache
	o       Options
	files   []*cloudFile
	readers map[int]*Reader
	whose   map[int]*cloudFile
	next    int

	fail  atomic.Int32 // fetches that fail from now on
	cut   atomic.Int32 // fetches that end early
	spoil atomic.Int32 // fetches with a wrong byte
	lies  atomic.Bool  // there was one: verdicts may follow
}

func (m *model) fetch(ctx context.Context, f File, off, n int64, w io.Writer) error {
	src := m.byNonce(f)
	b := append([]byte(nil), src.cipher[off:off+n]...)
	switch {
	case m.fail.Add(-1) >= 0:
		return errModel
	case m.cut.Add(-1) >= 0:
		_, _ = w.Write(b[:len(b)/2])
		return nil
	case m.spoil.Add(-1) >= 0 && len(b) > 0:
		m.lies.Store(true)
		b[len(b)/3] ^= 1
	}
	for len(b) > 0 {
		k, err := w.Write(b[:min(len(b), 50_000)])
		if err != nil {
			return err
		}
		b = b[k:]
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (m *model) byNonce(f File) *cloudFile {
	for _, c := range m.files {
		if c.Key.Nonce == f.Key.Nonce {
			return c
		}
	}
	panic("unknown file")
}

func (m *model) known(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, errModel) || errors.Is(err, ErrShortFetch) ||
		errors.Is(err, ErrQuarantined) && m.lies.Load() || errors.Is(err, ErrWrong)
}

func (m *model) reset() {
	m.fail.Store(0)
	m.cut.Store(0)
	m.spoil.Store(0)
}

func TestModel(t *testing.T) {
	var files []*cloudFile
	for i, size := range []int{0, 1, 5000, 900_000, smallSize + 1, 3<<20 + 17, 7 << 20} {
		files = append(files, seededFile(size, uint64(100+i)))
	}
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := &model{files: files, readers: map[int]*Reader{}, whose: map[int]*cloudFile{}}
		m.o = Options{MemoryUnits: minUnits, DiskFloor: -1, Fetch: m.fetch}
		if rapid.Bool().Draw(t, "disk") {
			m.o.Dir = filepath.Join(base, fmt.Sprint(n))
			m.o.DiskLimit = rapid.SampledFrom([]int64{-1, 6 << 20, 1 << 20}).Draw(t, "limit")
		}
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"":       func(t *rapid.T) { m.c.checkInvariants(t) },
			"reader": m.reader,
			"read":   m.read,
			"scan":   m.scan,
			"close":  m.close,
			"drop":   m.drop,
			"store":  m.store,
			"fault":  m.fault,
			"reopen": m.reopen,
			"damage": m.damage,
			"state":  m.state,
			"evict":  func(t *rapid.T) { m.c.FreeDisk(rapid.Int64Range(1, 4<<20).Draw(t, "n")) },
		})
		m.shut(t)
		if m.o.Dir != "" {
			require.NoError(t, os.RemoveAll(m.o.Dir))
		}
	})
}

func (m *model) open(t *rapid.T) {
	c, err := Open(m.o)
	require.NoError(t, err)
	m.c = c
}

func (m *model) shut(t *rapid.T) {
	for k, r := range m.readers {
		r.Close()
		delete(m.readers, k)
	}
	require.NoError(t, m.c.Close())
	m.c.checkInvariants(t)
	checkAllGiven(t, m.c)
}

func (m *model) file(t *rapid.T) *cloudFile {
	return m.files[rapid.IntRange(0, len(m.files)-1).Draw(t, "file")]
}

func (m *model) reader(t *rapid.T) {
	if len(m.readers) < 6 {
		f := m.file(t)
		m.readers[m.next], m.whose[m.next] = m.c.NewReader(f.File), f
		m.next++
	}
}

func (m *model) pick(t *rapid.T) (int, *Reader, *cloudFile) {
	if len(m.readers) == 0 {
		t.Skip("no reader")
	}
	keys := make([]int, 0, len(m.readers))
	for k := range m.next {
		if m.readers[k] != nil {
			keys = append(keys, k)
		}
	}
	k := rapid.SampledFrom(keys).Draw(t, "reader")
	return k, m.readers[k], m.whose[k]
}

func (m *model) readOnce(t *rapid.T, r *Reader, f *cloudFile, off int64, n int) int {
	p := make([]byte, n)
	k, err := r.ReadAt(bg, p, off)
	require.True(t, m.known(err), "%v", err)
	if !m.lies.Load() || f.Size <= smallSize {
		require.True(t, string(f.plain[min(off, f.Size):min(off+int64(k), f.Size)]) == string(p[:k]), "wrong bytes at %d", off)
	}
	if err == io.EOF {
		require.Equal(t, max(0, f.Size-off), int64(k))
	} else if err == nil {
		require.Equal(t, n, k)
	}
	if err != nil && err != io.EOF {
		return 0
	}
	return k
}

func (m *model) read(t *rapid.T) {
	_, r, f := m.pick(t)
	off := rapid.Int64Range(0, f.Size+10).Draw(t, "off")
	m.readOnce(t, r, f, off, rapid.IntRange(1, 700_000).Draw(t, "n"))
}

// scan reads sequentially, with several goroutines on neighbouring offsets, as the kernel does.
func (m *model) scan(t *rapid.T) {
	_, r, f := m.pick(t)
	off := rapid.Int64Range(0, f.Size).Draw(t, "off")
	var g errgroup.Group
	for i := range int64(6) {
		at := off + i*UnitSize
		g.Go(func() error {
			if at < f.Size {
				m.readOnce(t, r, f, at, UnitSize)
			}
			return nil
		})
	}
	_ = g.Wait()
}

func (m *model) close(t *rapid.T) {
	k, r, _ := m.pick(t)
	r.Close()
	delete(m.readers, k)
}

func (m *model) drop(t *rapid.T) { require.NoError(t, m.c.Drop(m.file(t).File)) }

func (m *model) store(t *rapid.T) {
	f := m.file(t)
	if f.Size == 0 {
		return
	}
	off := rapid.Int64Range(0, f.Size-1).Draw(t, "off")
	n := rapid.Int64Range(0, min(f.Size-off, 600_000)).Draw(t, "n")
	require.NoError(t, m.c.Store(f.File, off, f.cipher[off:off+n]))
}

func (m *model) fault(t *rapid.T) {
	m.reset()
	n := rapid.Int32Range(0, 3).Draw(t, "times")
	kinds := []*atomic.Int32{&m.fail, &m.cut, &m.spoil}
	kinds[rapid.IntRange(0, 2).Draw(t, "what")].Store(n)
}

func (m *model) reopen(t *rapid.T) {
	m.shut(t)
	m.open(t)
}

// damage changes some bytes of some content file behind the cache's back.
func (m *model) damage(t *rapid.T) {
	if m.o.Dir == "" {
		t.Skip("no disk")
	}
	files, err := filepath.Glob(filepath.Join(m.o.Dir, formatDir, "*"))
	require.NoError(t, err)
	if len(files) == 0 {
		return
	}
	h, err := os.OpenFile(rapid.SampledFrom(files).Draw(t, "victim"), os.O_RDWR, 0)
	if err != nil {
		return // evicted meanwhile
	}
	defer h.Close()
	st, err := h.Stat()
	require.NoError(t, err)
	at := rapid.Int64Range(0, max(0, st.Size()-1)).Draw(t, "at")
	_, _ = h.WriteAt([]byte{rapid.Byte().Draw(t, "byte")}, at)
}

func (m *model) state(t *rapid.T) {
	f := m.file(t)
	s := m.c.State(f.File)
	require.LessOrEqual(t, s.Cached, f.Size)
	require.GreaterOrEqual(t, s.Cached, int64(0))
	if s.Quarantined {
		require.True(t, m.lies.Load())
		require.Zero(t, s.Cached)
	}
}

// TestManyAtOnce is for the race detector: everything at the same time, with every answer checked.
func TestManyAtOnce(t *testing.T) {
	files := []*cloudFile{seededFile(3<<20, 1), seededFile(700_000, 2), seededFile(9<<20, 3), seededFile(0, 4)}
	m := &model{files: files}
	m.o = Options{Dir: t.TempDir(), DiskFloor: -1, DiskLimit: 5 << 20, MemoryUnits: minUnits, Fetch: m.fetch}
	c, err := Open(m.o)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range 60 {
				f := files[rng.IntN(len(files))]
				switch rng.IntN(8) {
				case 0:
					_ = c.Drop(f.File)
				case 1:
					c.State(f.File)
					c.Stats()
				case 2:
					if f.Size > 0 {
						off := rng.Int64N(f.Size)
						_ = c.Store(f.File, off, f.cipher[off:min(f.Size, off+200_000)])
					}
				case 3:
					m.fail.Store(1)
				default:
					m.someReads(t, c, f, rng)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Close())
	c.checkInvariants(t)
	checkAllGiven(t, c)
}

func (m *model) someReads(t *testing.T, c *Cache, f *cloudFile, rng *rand.Rand) {
	r := c.NewReader(f.File)
	defer r.Close()
	off := rng.Int64N(f.Size + 1)
	p := make([]byte, 1+rng.IntN(300_000))
	for range 5 {
		ctx, cancel := context.WithCancel(bg)
		if rng.IntN(5) == 0 {
			cancel()
		}
		n, err := r.ReadAt(ctx, p, off)
		cancel()
		// Eight readers share the least memory that there can be, and drop each other's files: what a verdict needs may
		// be gone again as often as it comes.
		if !m.known(err) && !errors.Is(err, context.Canceled) && !errors.Is(err, errUnverified) {
			t.Errorf("unexpected: %v", err)
		}
		if string(p[:n]) != string(f.plain[min(f.Size, off):min(f.Size, off+int64(n))]) {
			t.Errorf("wrong bytes at %d", off)
		}
		off += int64(n)
	}
}

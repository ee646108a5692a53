package cache

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"megadisk/integration/steady"
	"megadisk/megaclient/megacrypto"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirVar); dir != "" {
		crashChild(dir) // never returns
	}
	steady.Rapid()
	goleak.VerifyTestMain(m)
}

var bg = context.Background()

// cloudFile is a file as the cloud holds it.
type cloudFile struct {
	File
	plain, cipher []byte
}

// makeFile makes a file of the given size that is the same in every run.
func makeFile(t testing.TB, size int) *cloudFile { return seededFile(size, 1) }

func seededFile(size int, seed uint64) *cloudFile {
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(size), byte(size >> 8), byte(size >> 16)})
	f := &cloudFile{plain: make([]byte, size), cipher: make([]byte, size)}
	_, _ = rng.Read(f.plain)
	_, _ = rng.Read(f.Key.Key[:])
	_, _ = rng.Read(f.Key.Nonce[:])
	f.Handle, f.Size = "AAAAAAAA", int64(size)
	c := megacrypto.NewCipher(f.Key)
	c.XORKeyStreamAt(f.cipher, f.plain, 0)
	f.Key.MAC = c.MetaMAC(f.macs())
	return f
}

func (f *cloudFile) macs() (macs []megacrypto.ChunkMAC) {
	c := megacrypto.NewCipher(f.Key)
	for i := range megacrypto.ChunkCount(f.Size) {
		a, b := megacrypto.ChunkBounds(i, f.Size)
		macs = append(macs, c.ChunkMAC(f.plain[a:b]))
	}
	return macs
}

// cloud is a FetchFunc with a will of its own.
type cloud struct {
	f *cloudFile

	mu      sync.Mutex
	fetches []fetched              // all that began. GUARDED_BY(mu)
	bytes   int64                  // that were written. GUARDED_BY(mu)
	fault   func(n *fetched) error // asked before each piece, with mu free; may block
	change  func(off int64, b []byte)
	news    chan struct{} // closed and replaced at every change. GUARDED_BY(mu)
	running int           // GUARDED_BY(mu)
	handle  []string
}

// fetched is one call.
type fetched struct {
	ctx    context.Context
	off, n int64
	done   int64 // bytes written
	fresh  bool
}

const piece = 32 << 10

func newCloud(f *cloudFile) *cloud { return &cloud{f: f, news: make(chan struct{})} }

func (c *cloud) tell() {
	close(c.news)
	c.news = make(chan struct{})
}

// fetch is the FetchFunc.
func (c *cloud) fetch(ctx context.Context, f File, off, n int64, w io.Writer) error {
	_, fresh := WantsFreshURL(ctx)
	call := &fetched{ctx: ctx, off: off, n: n, fresh: fresh}
	c.mu.Lock()
	c.fetches = append(c.fetches, *call)
	c.handle = append(c.handle, f.Handle)
	c.running++
	c.tell()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.running--
		c.tell()
		c.mu.Unlock()
	}()
	for call.done < n {
		if c.fault != nil {
			if err := c.fault(call); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		at := off + call.done
		b := append([]byte(nil), c.f.cipher[at:at+min(piece, n-call.done)]...)
		if c.change != nil {
			c.change(at, b)
		}
		k, err := pass(w, b, call.off/UnitSize%2 == 0)
		c.mu.Lock()
		c.bytes += int64(k)
		c.tell()
		c.mu.Unlock()
		call.done += int64(k)
		if err != nil {
			return err
		}
	}
	return nil
}

// pass writes b, or reads it into what w lends.
func pass(w io.Writer, b []byte, lent bool) (n int, err error) {
	if !lent {
		return w.Write(b)
	}
	for n < len(b) {
		room := w.(Lender).Lend()
		if len(room) == 0 {
			return n, io.ErrShortWrite
		}
		k := copy(room, b[n:])
		if err := w.(Lender).Commit(k); err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// await waits until cond, asked under mu, holds.
func (c *cloud) await(t testing.TB, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, testPatience)
	defer cancel()
	for {
		c.mu.Lock()
		ok, news := cond(), c.news
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			require.Fail(t, "what was awaited did not happen")
		}
	}
}

func (c *cloud) calls() []fetched {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]fetched(nil), c.fetches...)
}

// moved tells how many bytes were fetched, once no fetch is under way.
func (c *cloud) moved(t testing.TB) int64 {
	c.await(t, func() bool { return c.running == 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// open makes a cache over the cloud, with no floor and whatever change says; it is closed, and its
// invariants checked, when the test ends.
func (c *cloud) open(t testing.TB, change ...func(*Options)) *Cache {
	t.Helper()
	o := Options{DiskFloor: -1, DiskLimit: -1, Fetch: c.fetch}
	for _, f := range change {
		f(&o)
	}
	k, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, k.Close())
		k.checkInvariants(t)
		checkAllGiven(t, k)
	})
	return k
}

func onDisk(dir string) func(*Options)     { return func(o *Options) { o.Dir = dir } }
func inMemory(units int) func(*Options)    { return func(o *Options) { o.MemoryUnits = units } }
func withLimit(limit int64) func(*Options) { return func(o *Options) { o.DiskLimit = limit } }

// readAll reads a file from beginning to end in pieces as the kernel would, and compares.
func readAll(t testing.TB, c *Cache, f *cloudFile) {
	t.Helper()
	r := c.NewReader(f.File)
	defer r.Close()
	p := make([]byte, 100_000)
	for off := int64(0); off < f.Size; {
		n, err := r.ReadAt(bg, p, off)
		if err != io.EOF {
			require.NoError(t, err)
		}
		require.Equal(t, f.plain[off:off+int64(n)], p[:n], "at %d", off)
		off += int64(n)
	}
}

// readAt reads n bytes at off with a reader of their own, and compares if they came.
func readAt(t testing.TB, c *Cache, f *cloudFile, off int64, n int) error {
	t.Helper()
	r := c.NewReader(f.File)
	defer r.Close()
	return readWith(t, r, f, off, n)
}

func readWith(t testing.TB, r *Reader, f *cloudFile, off int64, n int) error {
	t.Helper()
	p := make([]byte, n)
	k, err := r.ReadAt(bg, p, off)
	require.Equal(t, f.plain[off:off+int64(k)], p[:k])
	return err
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	require.TestingT
	Helper()
}

// checkInvariants is called by the tests at any moment, whatever is under way.
func (c *Cache) checkInvariants(t tester) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.LessOrEqual(t, c.mem.used, c.mem.limit, "permits")
	require.LessOrEqual(t, len(c.mem.free)+c.mem.lru.Len(), c.mem.limit)
	units, unread := 0, 0
	for _, co := range c.contents {
		for i, u := range co.units {
			units++
			if u.unread && u.ready {
				unread++
			}
			require.Equal(t, i, u.index)
			require.False(t, u.gone)
			require.NotNil(t, u.buf)
			require.LessOrEqual(t, u.filled, len(u.buf))
			require.Equal(t, u.ready, c.mem.lru.Contains(u))
			if u.ready {
				require.Equal(t, len(u.buf), u.filled)
				require.Zero(t, u.from)
			}
		}
		require.Equal(t, co.refs == 0 && (!co.quarantined || co.entry != nil), c.idle.Contains(co.id))
		if co.quarantined {
			require.Empty(t, co.units)
		}
	}
	require.LessOrEqual(t, units, c.mem.used)
	require.Equal(t, unread, c.mem.unread)
	c.store.checkInvariants(t)
}

func (s *store) checkInvariants(t tester) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := int64(0)
	for _, n := range s.lru.Values() {
		sum += n
	}
	require.GreaterOrEqual(t, s.used, sum)
	for name, e := range s.entries {
		require.Equal(t, name, e.name)
		require.Equal(t, e.count, e.present.count())
	}
}

// checkAllGiven tells, of a closed cache, that nobody kept a permit or a buffer.
func checkAllGiven(t tester, c *Cache) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Equal(t, c.mem.lru.Len()+len(c.parts), c.mem.used, "permits kept by somebody")
	require.Zero(t, c.mem.flying)
	require.Zero(t, c.mem.hashing)
	require.Zero(t, c.ahead)
	require.Empty(t, c.mem.queue)
	for _, co := range c.contents {
		require.Zero(t, co.refs)
	}
	if c.store != nil {
		sum := int64(0)
		for _, n := range c.store.lru.Values() {
			sum += n
		}
		require.Equal(t, sum, c.store.used)
	}
}

// manyFetch serves several files, told apart by their nonce.
func manyFetch(files map[[8]byte]*cloudFile, fetched *int64) FetchFunc {
	var mu sync.Mutex
	return func(_ context.Context, f File, off, n int64, w io.Writer) error {
		mu.Lock()
		*fetched += n
		mu.Unlock()
		_, err := w.Write(files[f.Key.Nonce].cipher[off : off+n])
		return err
	}
}

// reencrypt makes ciphertext and MAC fit a changed plaintext.
func reencrypt(f *cloudFile) *cloudFile {
	c := megacrypto.NewCipher(f.Key)
	c.XORKeyStreamAt(f.cipher, f.plain, 0)
	f.Key.MAC = c.MetaMAC(f.macs())
	return f
}

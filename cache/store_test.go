package cache

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// contentBytes is what the content files of a cache folder take on disk, their indexes aside.
func contentBytes(t testing.TB, dir string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, formatDir, "*"))
	require.NoError(t, err)
	for _, name := range files {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(name, &st))
		n += max(0, st.Blocks*512-2*pageSize)
	}
	return n
}

func contentFile(t testing.TB, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, formatDir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	return files[0]
}

// atRest waits until nothing is stored or computed any more.
func (c *Cache) atRest(t testing.TB, cl *cloud) {
	t.Helper()
	cl.await(t, func() bool { return cl.running == 0 })
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.mem.flying == 0 && c.macers == 0 && len(c.macQueue) == 0 && !c.spilling
	}, testPatience, time.Millisecond)
}

// filled is the folder of a cache, closed since, that has all of a file.
func filled(t *testing.T, size int) (f *cloudFile, cl *cloud, dir string) {
	f = makeFile(t, size)
	cl, dir = newCloud(f), t.TempDir()
	c := cl.open(t, onDisk(dir))
	readAll(t, c, f)
	c.awaitVerified(t, f.File)
	c.atRest(t, cl)
	require.NoError(t, c.Close())
	return f, cl, dir
}

func TestTheNextMountFindsItAll(t *testing.T) {
	for _, size := range []int{1, 1000, UnitSize, smallSize, 6<<20 + 1} {
		f, _, dir := filled(t, size)
		raw, err := os.ReadFile(contentFile(t, dir))
		require.NoError(t, err)
		require.Equal(t, f.cipher, raw[:size], "ciphertext at its own offsets")

		offline := newCloud(f)
		offline.fault = func(*fetched) error { return errors.New("offline") }
		c := offline.open(t, onDisk(dir))
		require.Equal(t, State{Cached: f.Size, Verified: Verified}, c.State(f.File))
		readAll(t, c, f)
		require.Empty(t, offline.calls())
		require.Equal(t, Verified, c.State(f.File).Verified)
		require.NoError(t, c.Close())
	}
}

func TestNothingReadableAtRest(t *testing.T) {
	f := makeFile(t, 300_000)
	copy(f.plain[UnitSize:], "a sentence that must not be found")
	f.Key.MAC = [8]byte{}
	*f = *reencrypt(f)
	cl := newCloud(f)
	dir := t.TempDir()
	c := cl.open(t, onDisk(dir))
	readAll(t, c, f)
	require.NoError(t, c.Close())
	raw, err := os.ReadFile(contentFile(t, dir))
	require.NoError(t, err)
	for _, secret := range [][]byte{[]byte("a sentence"), f.Key.Key[:], f.Key.Nonce[:], f.Key.MAC[:], []byte(f.Handle)} {
		require.False(t, bytes.Contains(raw, secret))
	}
	st, err := os.Stat(contentFile(t, dir))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
}

func TestAnotherKeyFindsNothing(t *testing.T) {
	f := makeFile(t, 300_000)
	cl := newCloud(f)
	dir := t.TempDir()
	c := cl.open(t, onDisk(dir))
	readAll(t, c, f)
	require.NoError(t, c.Close())
	c = cl.open(t, onDisk(dir), func(o *Options) { o.Key[0] = 1 })
	require.Zero(t, c.State(f.File).Cached)
	readAll(t, c, f)
}

// Each of these happens to a cache at rest; afterwards every byte that is served must be right, what is
// damaged fetched again, and what isn't served from disk.
func TestDamageOnDiskIsHealedSilently(t *testing.T) {
	const size = 3<<20 + 100
	l := layoutOf(size)
	for name, damage := range map[string]func(t *testing.T, file string){
		"a flipped bit of data":  flip(5*UnitSize + 99),
		"the last byte of data":  flip(size - 1),
		"a unit's checksum":      flip(l.unit(3) + 2),
		"all checksums":          overwrite(l.unit(0), bytes.Repeat([]byte{7}, int(l.units*unitRecord))),
		"a chunk's MAC":          flip(l.chunk(1) + 1),
		"the header":             flip(l.header() + 20),
		"zeros in place of data": overwrite(2*UnitSize, make([]byte, 3*UnitSize)),
		"cut off":                truncate(UnitSize),
		"cut to nothing":         truncate(0),
		"longer":                 truncate(10 << 20),
		"another file's bytes":   overwrite(0, bytes.Repeat([]byte("x"), size)),
		"units exchanged":        exchange(0, UnitSize, l.unit(0), l.unit(1)),
		"gone":                   func(t *testing.T, file string) { require.NoError(t, os.Remove(file)) },
		"a folder in its place": func(t *testing.T, file string) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, os.Mkdir(file, 0o700))
		},
		"a random mess all over it": mess,
	} {
		t.Run(name, func(t *testing.T) {
			f, cl, dir := filled(t, size)
			damage(t, contentFile(t, dir))
			c := cl.open(t, onDisk(dir))
			readAll(t, c, f)
			c.awaitVerified(t, f.File)
			require.Zero(t, c.Stats().Mismatches)
			c.atRest(t, cl)
			moved := cl.moved(t)
			require.NoError(t, c.Close())
			if name == "a folder in its place" {
				return // the disk level is off
			}
			c = cl.open(t, onDisk(dir))
			readAll(t, c, f)
			require.Equal(t, moved, cl.moved(t), "healed: nothing more is fetched")
		})
	}
}

func flip(at int64) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		h, err := os.OpenFile(file, os.O_RDWR, 0)
		require.NoError(t, err)
		defer h.Close()
		var b [1]byte
		_, err = h.ReadAt(b[:], at)
		require.NoError(t, err)
		b[0] ^= 1
		_, err = h.WriteAt(b[:], at)
		require.NoError(t, err)
	}
}

func overwrite(at int64, b []byte) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		h, err := os.OpenFile(file, os.O_RDWR, 0)
		require.NoError(t, err)
		defer h.Close()
		_, err = h.WriteAt(b, at)
		require.NoError(t, err)
	}
}

func truncate(n int64) func(*testing.T, string) {
	return func(t *testing.T, file string) { require.NoError(t, os.Truncate(file, n)) }
}

// exchange swaps two whole units together with their records.
func exchange(a, b, recA, recB int64) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		swap := func(i, j int64, n int) {
			tmp := append([]byte(nil), raw[i:i+int64(n)]...)
			copy(raw[i:], raw[j:j+int64(n)])
			copy(raw[j:], tmp)
		}
		swap(a, b, UnitSize)
		swap(recA, recB, unitRecord)
		require.NoError(t, os.WriteFile(file, raw, 0o600))
	}
}

func mess(t *testing.T, file string) {
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		raw[rng.IntN(len(raw))] ^= byte(1 + rng.IntN(255))
	}
	require.NoError(t, os.WriteFile(file, raw, 0o600))
}

// Damage while the file is open in the cache, between two reads.
func TestDamageUnderARunningCache(t *testing.T) {
	f := makeFile(t, 8<<20)
	cl := newCloud(f)
	dir := t.TempDir()
	c := cl.open(t, onDisk(dir), inMemory(minUnits))
	sweepVerified(t, c, f)
	c.atRest(t, cl)
	before := cl.moved(t)
	flip(100)(t, contentFile(t, dir))
	readAll(t, c, f)
	require.EqualValues(t, UnitSize, cl.moved(t)-before, "only the damaged unit is fetched")
	require.EqualValues(t, 1, c.Stats().Corrupt)
	require.Eventually(t, func() bool { return c.State(f.File).Verified == Verified }, 30*time.Second, time.Millisecond,
		"and compared with its chunk's MAC")
}

func TestStraysAreLeftAloneOrRemoved(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, formatDir), 0o700))
	foreign := filepath.Join(dir, formatDir, "README")
	newer := filepath.Join(dir, "v2")
	require.NoError(t, os.WriteFile(foreign, []byte("not ours"), 0o600))
	require.NoError(t, os.Mkdir(newer, 0o700))
	f := makeFile(t, 1000)
	c := newCloud(f).open(t, onDisk(dir))
	readAll(t, c, f)
	require.NoError(t, c.Close())
	require.FileExists(t, foreign)
	require.DirExists(t, newer, "a newer version's cache")
}

func TestLimitEvictsTheLeastRecentlyUsed(t *testing.T) {
	dir := t.TempDir()
	const limit = 8 << 20
	var files []*cloudFile
	byNonce := map[[8]byte]*cloudFile{}
	for i := range 16 {
		f := seededFile(900_000, uint64(i))
		files = append(files, f)
		byNonce[f.Key.Nonce] = f
	}
	c, _ := openMany(t, byNonce, onDisk(dir), withLimit(limit), inMemory(minUnits))
	<-c.store.listed
	for _, f := range files {
		readAll(t, c, f)
		readAll(t, c, files[0]) // in use all the time
		require.LessOrEqual(t, c.Stats().DiskUsed, int64(limit))
	}
	require.Positive(t, c.Stats().Evicted)
	require.LessOrEqual(t, contentBytes(t, dir), int64(limit))
	require.Equal(t, files[0].Size, c.State(files[0].File).Cached)
	require.Equal(t, files[15].Size, c.State(files[15].File).Cached)
	require.Zero(t, c.State(files[1].File).Cached)
	require.NoError(t, c.Close())

	// The next mount knows what is there, and what was used last.
	c, fetched := openMany(t, byNonce, onDisk(dir), withLimit(limit/2), inMemory(minUnits))
	<-c.store.listed
	require.Positive(t, c.Stats().DiskUsed)
	require.LessOrEqual(t, c.Stats().DiskUsed, int64(limit))
	readAll(t, c, files[15])
	require.Zero(t, *fetched)
	readAll(t, c, files[2])
	require.Positive(t, *fetched)
	require.LessOrEqual(t, c.Stats().DiskUsed, int64(limit/2))
}

// openMany opens a cache over several files.
func openMany(t testing.TB, files map[[8]byte]*cloudFile, change ...func(*Options)) (*Cache, *int64) {
	cl := newCloud(nil)
	fetched := new(int64)
	return cl.open(t, append(change, func(o *Options) { o.Fetch = manyFetch(files, fetched) })...), fetched
}

// A file larger than the limit: its own oldest parts go, hole by hole.
func TestLimitSmallerThanTheFile(t *testing.T) {
	dir := t.TempDir()
	const limit = 20 << 20
	f := makeFile(t, 48<<20)
	cl := newCloud(f)
	c := cl.open(t, onDisk(dir), withLimit(limit), inMemory(96))
	readAll(t, c, f)
	c.awaitVerified(t, f.File)
	c.atRest(t, cl)
	require.LessOrEqual(t, contentBytes(t, dir), int64(limit)+1<<20)
	require.Greater(t, contentBytes(t, dir), int64(limit)/4)
	require.Less(t, c.State(f.File).Cached, f.Size)
	require.NoError(t, c.Close())
	before := cl.moved(t)
	c = cl.open(t, onDisk(dir), withLimit(limit))
	<-c.store.listed
	require.LessOrEqual(t, c.Stats().DiskUsed, int64(limit))
	require.NoError(t, readAt(t, c, f, f.Size-1000, 1000))
	require.Equal(t, before, cl.moved(t), "its end is still there")
	require.NoError(t, readAt(t, c, f, 0, 1000))
	require.Greater(t, cl.moved(t), before, "its beginning is not")
	readAll(t, c, f)
}

func TestFloorOfFreeSpaceIsKept(t *testing.T) {
	dir := t.TempDir()
	f := makeFile(t, 4<<20)
	var fs unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &fs))
	cl := newCloud(f)
	c := cl.open(t, onDisk(dir), func(o *Options) { o.DiskFloor = int64(fs.Bavail)*fs.Bsize + 1<<40 })
	readAll(t, c, f)
	c.atRest(t, cl)
	require.Zero(t, contentBytes(t, dir))
	require.True(t, c.Stats().DiskPaused)
	require.Empty(t, c.Stats().DiskOff)
}

func TestFreeDisk(t *testing.T) {
	dir := t.TempDir()
	f := makeFile(t, 20<<20)
	cl := newCloud(f)
	c := cl.open(t, onDisk(dir))
	readAll(t, c, f)
	c.atRest(t, cl)
	require.GreaterOrEqual(t, c.FreeDisk(1), int64(1))
	require.Less(t, contentBytes(t, dir), f.Size)
	c.FreeDisk(1 << 40)
	require.Zero(t, c.Stats().DiskUsed)
	readAll(t, c, f)
	require.Zero(t, newCloud(f).open(t).FreeDisk(1))
}

func TestDrop(t *testing.T) {
	for _, size := range []int{1000, 4 << 20} {
		for _, disk := range []bool{false, true} {
			t.Run(fmt.Sprint(size, disk), func(t *testing.T) {
				dir := ""
				if disk {
					dir = t.TempDir()
				}
				f := makeFile(t, size)
				cl := newCloud(f)
				c := cl.open(t, onDisk(dir))
				readAll(t, c, f)
				c.atRest(t, cl)
				require.NoError(t, c.Drop(f.File))
				require.Equal(t, State{}, c.State(f.File))
				if disk {
					require.Zero(t, c.Stats().DiskUsed)
				}
				r := c.NewReader(f.File)
				require.NoError(t, readWith(t, r, f, 0, 1000))
				require.NoError(t, c.Drop(f.File), "in use")
				require.NoError(t, readWith(t, r, f, 0, 1000))
				r.Close()
				readAll(t, c, f)
				require.NoError(t, c.Drop(f.File))
				c.atRest(t, cl)
				if disk {
					require.NoError(t, c.Close())
					files, err := os.ReadDir(filepath.Join(dir, formatDir))
					require.NoError(t, err)
					require.Empty(t, files)
				}
			})
		}
	}
}

// What was read whole and is dropped while it is open comes again piece by piece, and not whole for the next byte.
func TestDropOfWhatIsBeingRead(t *testing.T) {
	f := makeFile(t, 8<<20)
	cl := newCloud(f)
	c := cl.open(t, onDisk(t.TempDir()))
	r := c.NewReader(f.File)
	defer r.Close()
	require.NoError(t, readWith(t, r, f, 0, int(f.Size)))
	require.NoError(t, c.Verify(bg, f.File, nil))
	require.NoError(t, c.Drop(f.File))
	require.Zero(t, c.State(f.File).Cached)
	before := len(cl.calls())
	require.NoError(t, readWith(t, r, f, 5<<20, 1000))
	require.Len(t, cl.calls(), before+1)
	require.EqualValues(t, UnitSize, cl.calls()[before].n)
}

func TestDropInTheMiddleOfAFetch(t *testing.T) {
	for _, size := range []int{900_000, 4 << 20} {
		f := makeFile(t, size)
		cl := newCloud(f)
		fault, open := gate(piece)
		cl.fault = fault
		c := cl.open(t, onDisk(t.TempDir()))
		served := make(chan error)
		go func() { served <- readAt(t, c, f, 0, 100_000) }()
		cl.await(t, func() bool { return cl.bytes > 0 })
		require.NoError(t, c.Drop(f.File))
		open()
		require.NoError(t, <-served, "the reader begins anew")
		c.atRest(t, cl)
		readAll(t, c, f)
	}
}

package cache

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
)

var freeze = flag.Bool("freeze", false, "write the frozen sample of a new format version; an existing one is never touched")

// sampleKey and sampleFile are those of testdata/v1.
var sampleKey = [32]byte{1, 2, 3, 4, 5}

func sampleFile() *cloudFile { return seededFile(2*UnitSize+1000, 4711) }

// Every later version of this package opens what this one wrote, or says that it is another format by
// using another folder.
func TestFrozenSampleOpensForEver(t *testing.T) {
	for _, mark := range []string{"v1", "mark2"} {
		t.Run(mark, func(t *testing.T) { openSample(t, mark) })
	}
}

func openSample(t *testing.T, mark string) {
	dir := t.TempDir()
	sample := filepath.Join("testdata", mark)
	if _, err := os.Stat(sample); err != nil && *freeze {
		freezeSample(t, sample)
	}
	require.NoError(t, os.CopyFS(filepath.Join(dir, "v1"), os.DirFS(sample)))
	f := sampleFile()
	cl := newCloud(f)
	c := cl.open(t, onDisk(dir), func(o *Options) { o.Key = sampleKey })
	require.Equal(t, State{Cached: f.Size, Verified: Verified}, c.State(f.File))
	readAll(t, c, f)
	require.Empty(t, cl.calls())

	bad := seededFile(50_000, 4712)
	require.True(t, c.State(bad.File).Quarantined)
	require.ErrorIs(t, readAt(t, c, bad, 0, 1), ErrQuarantined)
}

func freezeSample(t *testing.T, to string) {
	require.NoDirExists(t, to, "frozen is frozen")
	dir := t.TempDir()
	key := func(o *Options) { o.Key = sampleKey }
	good, bad := sampleFile(), seededFile(50_000, 4712)
	for _, f := range []*cloudFile{good, bad} {
		cl := newCloud(f)
		cl.spoil(77, func() bool { return f == bad })
		c := cl.open(t, onDisk(dir), key)
		_ = sweep(t, c, f)
		require.Eventually(t, func() bool { return c.State(f.File).Quarantined == (f == bad) }, testPatience, 1e6)
		require.NoError(t, c.Close())
	}
	require.NoError(t, os.CopyFS(to, os.DirFS(filepath.Join(dir, formatDir))))
}

func TestLayout(t *testing.T) {
	for _, size := range []int64{1, pageSize, pageSize + 1, UnitSize, 1 << 20, 5<<30 + 3} {
		l := layoutOf(size)
		require.GreaterOrEqual(t, l.index(), size)
		require.Less(t, l.index(), size+pageSize)
		require.Zero(t, l.index()%pageSize)
		require.Equal(t, l.index()+l.units*unitRecord, l.chunk(0))
		require.Equal(t, l.chunk(l.chunks-1)+chunkRecord, l.header())
		require.Equal(t, l.header()+headerSize, l.fileSize())
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	s := newSums([32]byte{9})
	name := id{1, 2, 3}
	want := header{flags: flagVerified | flagSuspect, size: 1<<40 + 7, tag: [16]byte{5}}
	b := s.encodeHeader(name, want)
	require.Len(t, b, headerSize)
	got, err := s.decodeHeader(name, b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = s.decodeHeader(id{1, 2, 4}, b)
	require.Error(t, err, "another content's")
	_, err = newSums([32]byte{8}).decodeHeader(name, b)
	require.Error(t, err, "another key's")
	for i := range b {
		b[i] ^= 4
		_, err = s.decodeHeader(name, b)
		require.Error(t, err, "byte %d", i)
		b[i] ^= 4
	}
}

func TestMACRecordRoundTrip(t *testing.T) {
	s := newSums([32]byte{9})
	mac := megacrypto.ChunkMAC{1, 2, 3}
	b := s.encodeMAC(id{}, 7, mac)
	require.Len(t, b, chunkRecord)
	require.Equal(t, mac, s.decodeMAC(id{}, 7, b))
	require.Zero(t, s.decodeMAC(id{}, 8, b))
	b[3] ^= 1
	require.Zero(t, s.decodeMAC(id{}, 7, b))
}

// FuzzOpenFile: whatever a content file holds, opening it neither fails nor serves a wrong byte.
func FuzzOpenFile(f *testing.F) {
	file := seededFile(UnitSize+10, 1)
	dir := f.TempDir()
	cl := newCloud(file)
	c, err := Open(Options{Dir: dir, DiskFloor: -1, Fetch: cl.fetch})
	require.NoError(f, err)
	readAll(f, c, file)
	name := c.identity(file.File, false)
	require.NoError(f, c.Close())
	raw, err := os.ReadFile(filepath.Join(dir, formatDir, name.String()))
	require.NoError(f, err)
	f.Add(raw[UnitSize:], uint16(0))
	f.Add([]byte{}, uint16(0))
	f.Add(raw[len(raw)-headerSize:], uint16(1))
	f.Fuzz(func(t *testing.T, tail []byte, cut uint16) {
		b := append(append([]byte(nil), raw[:UnitSize]...), tail...)
		b = b[:max(0, len(b)-int(cut))]
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, formatDir), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, formatDir, name.String()), b, 0o600))
		c, err := Open(Options{Dir: dir, DiskFloor: -1, Fetch: cl.fetch})
		require.NoError(t, err)
		readAll(t, c, file)
		require.NoError(t, c.Close())
	})
}

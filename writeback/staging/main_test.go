package staging

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"megadisk/integration/steady"
)

var update = flag.Bool("update", false, "draw the frozen samples in testdata anew (a new format only)")

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDirVariable); dir != "" {
		killChild(dir)
	}
	steady.Rapid()
	goleak.VerifyTestMain(m)
}

var (
	testKey   = [32]byte{1, 2, 3, 31: 32}
	testOwner = Owner{Ino: 77, Path: "/Documents/thesis.tex", Base: "AbCdEfGh 12"}
)

// openStore opens a started store that the test's end closes.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Key = testKey
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	s.Started()
	return s
}

// content makes n bytes that differ from those of any other seed and offset.
func content(seed uint64, n int) []byte {
	p := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], (seed<<32|uint64(i))*0x9E3779B97F4A7C15)
	}
	return p[:n]
}

// mustAppend appends and checks the shape of what comes back.
func mustAppend(t testing.TB, s *Store, o Owner, off int64, p []byte) []Extent {
	t.Helper()
	es, err := s.Append(o, off, p)
	require.NoError(t, err)
	at := off
	for _, e := range es {
		require.Equal(t, at, e.Off)
		require.NoError(t, e.check())
		require.Equal(t, Region(e.Off), Region(e.End()-1), "an extent crosses a region's border")
		at = e.End()
	}
	require.Equal(t, off+int64(len(p)), at)
	return es
}

// readBack reads extents that follow each other.
func readBack(t testing.TB, s *Store, es []Extent) []byte {
	t.Helper()
	var all []byte
	for _, e := range es {
		p := make([]byte, e.Len)
		require.NoError(t, s.ReadAt(e, p, 0))
		all = append(all, p...)
	}
	return all
}

// requireContent compares without printing megabytes.
func requireContent(t testing.TB, want, got []byte) {
	t.Helper()
	if !bytes.Equal(want, got) {
		i := 0
		for i < min(len(want), len(got)) && want[i] == got[i] {
			i++
		}
		require.Failf(t, "content differs", "%d bytes, wanted %d; the first difference is at %d", len(got), len(want), i)
	}
}

// settle waits for the store's goroutines and gives what is left.
func settle(s *Store) Usage {
	s.tasks.Wait()
	return s.Usage()
}

func segmentFiles(t testing.TB, dir string) []found {
	t.Helper()
	list, err := listSegments(dir)
	require.NoError(t, err)
	return list
}

func mustSync(t testing.TB, s *Store) {
	t.Helper()
	require.NoError(t, s.Sync(context.Background()))
}

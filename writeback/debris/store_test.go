package debris

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
)

func testKey() (k [32]byte) {
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

func pattern(seed uint64, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(p)
	return p
}

type clock struct{ now time.Time }

func open(t *testing.T, dir string, limit int64, c *clock) *Store {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := Open(Options{Dir: dir, Key: testKey(), Limit: limit, Log: log, Now: func() time.Time { return c.now }})
	require.NoError(t, err)
	return s
}

func add(t *testing.T, s *Store, path string, content []byte) Item {
	t.Helper()
	it, err := s.Add(Info{Path: path, Size: int64(len(content)), Mtime: 5, Why: Deleted}, bytes.NewReader(content).ReadAt)
	require.NoError(t, err)
	return it
}

func content(t *testing.T, s *Store, id string) []byte {
	t.Helper()
	r, err := s.Reader(id)
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size))
	require.NoError(t, err)
	return got
}

func paths(s *Store) (list []string) {
	for _, it := range s.List() {
		list = append(list, it.Path)
	}
	return list
}

func TestItemsOutliveTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "debris")
	c := &clock{time.Unix(1_700_000_000, 0)}
	s := open(t, dir, 1<<30, c)
	require.Empty(t, s.List())
	contents := map[string][]byte{}
	for _, n := range []int{0, 1, recordSize - 1, recordSize, recordSize + 1, 3*recordSize + 7} {
		it := add(t, s, "/a\xff/"+strings.Repeat("x", n%7), pattern(uint64(n), n))
		contents[it.ID] = pattern(uint64(n), n)
	}
	again := open(t, dir, 1<<30, c)
	require.Equal(t, len(contents), len(again.List()))
	require.ElementsMatch(t, s.List(), again.List())
	for id, want := range contents {
		require.True(t, bytes.Equal(want, content(t, again, id)))
	}
	require.NoError(t, again.Remove(s.List()[0].ID))
	require.ErrorIs(t, again.Remove(s.List()[0].ID), ErrNoItem)
	_, err := again.Reader("../../etc/passwd")
	require.ErrorIs(t, err, ErrNoItem)
	require.Len(t, open(t, dir, 1<<30, c).List(), len(contents)-1)
}

func TestOldAndTooMuchGoes(t *testing.T) {
	dir := t.TempDir()
	c := &clock{time.Unix(1_700_000_000, 0)}
	s := open(t, dir, 1000, c)
	add(t, s, "/1", make([]byte, 400))
	c.now = c.now.Add(time.Hour)
	add(t, s, "/2", make([]byte, 400))
	require.Equal(t, []string{"/1", "/2"}, paths(s))
	add(t, s, "/3", make([]byte, 300))
	require.Equal(t, []string{"/2", "/3"}, paths(s), "the oldest goes")
	_, err := s.Add(Info{Path: "/4", Size: 1001}, bytes.NewReader(make([]byte, 1001)).ReadAt)
	require.ErrorIs(t, err, ErrTooLarge)
	require.Equal(t, []string{"/2", "/3"}, paths(s))

	c.now = c.now.Add(MaxAge + time.Second)
	require.Empty(t, open(t, dir, 1000, c).List())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// What can't be removed, whyever, holds up neither the start nor what else is to go.
func TestWhatCantBeRemoved(t *testing.T) {
	dir := t.TempDir()
	c := &clock{time.Unix(1_700_000_000, 0)}
	s := open(t, dir, 1<<30, c)
	stuck := s.file(add(t, s, "/stuck", pattern(1, 10)).ID)
	add(t, s, "/old", pattern(2, 10))
	log, hook := logtest.NewNullLogger()
	asked := 0
	s, err := Open(Options{Dir: dir, Key: testKey(), Limit: 1 << 30, Log: log, Now: func() time.Time {
		if asked++; asked == 1 {
			require.NoError(t, os.Remove(stuck))
			require.NoError(t, os.MkdirAll(filepath.Join(stuck, "in it"), 0o700))
		}
		return c.now.Add(MaxAge + time.Second)
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"/stuck"}, paths(s))
	require.Len(t, hook.AllEntries(), 1)

	s.o.Now = func() time.Time { return c.now }
	add(t, s, "/new", pattern(3, 10))
	n, err := s.Clear()
	require.Error(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"/stuck"}, paths(s))
}

// What can't be read to its end isn't kept, and what a crash left goes.
func TestHalfAnItemIsNone(t *testing.T) {
	dir := t.TempDir()
	c := &clock{time.Now()}
	s := open(t, dir, 1<<30, c)
	bad := errors.New("bad disk")
	_, err := s.Add(Info{Path: "/x", Size: 2 * recordSize}, func(p []byte, off int64) (int, error) {
		if off > 0 {
			return 0, bad
		}
		return len(p), nil
	})
	require.ErrorIs(t, err, bad)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)

	for _, name := range []string{"0011223344556677.part", "of somebody else"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
	}
	require.Empty(t, open(t, dir, 1<<30, c).List())
	entries, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "what isn't ours stays")
	require.Equal(t, "of somebody else", entries[0].Name())
}

// Each byte of an item is covered: whatever is changed, wrong bytes never come out.
func TestDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	c := &clock{time.Now()}
	s := open(t, dir, 1<<30, c)
	want := pattern(1, 1000)
	it := add(t, s, "/a folder/of some name", want)
	file := s.file(it.ID)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(whole), "some name", "a path isn't readable")
	check := func(name string) {
		r, err := s.Reader(it.ID)
		if err == nil {
			var got []byte
			got, err = io.ReadAll(io.NewSectionReader(r, 0, r.Size))
			require.NoError(t, r.Close())
			if err == nil {
				require.Equal(t, want, got, name)
				return
			}
		}
		var newer *NewerError
		require.True(t, errors.Is(err, ErrDamaged) || errors.As(err, &newer), "%s: %v", name, err)
	}
	for at := 0; at < len(whole); at += 7 {
		bad := bytes.Clone(whole)
		bad[at] ^= 1
		require.NoError(t, os.WriteFile(file, bad, 0o600))
		check("flipped")
		require.NoError(t, os.WriteFile(file, whole[:at], 0o600))
		check("cut")
	}
}

// TestFrozenSample opens what version 1 wrote, for ever.
func TestFrozenSample(t *testing.T) {
	c := &clock{time.Unix(1_764_460_900, 0)}
	dir := t.TempDir()
	const name = "00112233445566aa.deb"
	frozen, err := os.ReadFile(filepath.Join("testdata/v1", name))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), frozen, 0o600))
	s := open(t, dir, 1<<30, c)
	want := Info{Path: "/Documents/a report.odt", Size: recordSize + 100, Mtime: 1_700_000_000_123_456_789, Why: Replaced, Kept: 1_764_460_800_000_000_000}
	require.Equal(t, []Item{{Info: want, ID: "00112233445566aa"}}, s.List())
	require.True(t, bytes.Equal(pattern(42, recordSize+100), content(t, s, "00112233445566aa")))
}

// However small they are, only so many are kept; nor does each that comes cost more when there are many.
func TestItemsAreCounted(t *testing.T) {
	c := &clock{time.Now()}
	dir := t.TempDir()
	s := open(t, dir, 1<<30, c)
	for i := range MaxItems - 1 {
		s.items = append(s.items, Item{Info: Info{Kept: c.now.UnixNano()}, ID: fmt.Sprint(i)}) // without their files: writing so many would take long
	}
	add(t, s, "/last but one", nil)
	require.Len(t, s.List(), MaxItems)
	c.now = c.now.Add(time.Second)
	add(t, s, "/last", nil)
	require.Len(t, s.List(), MaxItems)
	require.Equal(t, "1", s.List()[0].ID)
	require.Equal(t, []string{"/last but one", "/last"}, paths(s)[MaxItems-2:])
	require.Equal(t, []string{"/last but one", "/last"}, paths(open(t, dir, 1<<30, c)))
}

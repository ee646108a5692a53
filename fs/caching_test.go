package fs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/writeback/tree"
)

// From the third ls on, a listing comes from the kernel's cache; that is where a missing notify shows.
func TestARemoteChangeIsSeenInACachedListing(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "a", nil)
	dir, s := mountFake(t, f)
	for range 4 {
		require.Equal(t, []string{"a"}, names(t, dir))
	}
	_, err := os.Stat(filepath.Join(dir, "b"))
	require.ErrorIs(t, err, os.ErrNotExist) // and that is cached

	f.put(tree.DriveIno, "b", []byte("x"))
	require.NoError(t, s.Settled(t.Context()))
	for range 4 {
		require.Equal(t, []string{"a", "b"}, names(t, dir))
	}
	_, err = os.Stat(filepath.Join(dir, "b"))
	require.NoError(t, err)

	f.drop(tree.DriveIno, "a")
	require.NoError(t, s.Settled(t.Context()))
	for range 4 {
		require.Equal(t, []string{"b"}, names(t, dir))
	}
	_, err = os.Stat(filepath.Join(dir, "a"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestANameNeverLookedUpGoesFromACachedListingToo(t *testing.T) {
	f := newFake(t)
	dir, s := mountFake(t, f)
	for i := range 4 {
		f.put(tree.DriveIno, fmt.Sprint("f", i), nil)
		require.NoError(t, s.Settled(t.Context()))
		for range 3 {
			require.Len(t, names(t, dir), i+1)
		}
	}
}

func TestRemoteContentReplacesCachedPages(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "a", []byte("old content"))
	var reads atomic.Int32
	f.onRead = func(context.Context, tree.Ino) error { reads.Add(1); return nil }
	dir, s := mountFake(t, f)
	require.NoError(t, s.Settled(t.Context())) // the event of the first content would drop its pages
	path := filepath.Join(dir, "a")
	for range 3 {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "old content", string(got))
	}
	require.EqualValues(t, 1, reads.Load(), "the page cache is kept across opens")

	f.put(tree.DriveIno, "a", []byte("new and longer content"))
	require.NoError(t, s.Settled(t.Context()))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new and longer content", string(got))
}

// The change is committed, its event is still on its way, and the kernel has the old pages: an open that comes now gets
// the new version, and must not be answered from them.
func TestAnOpenOvertakesTheEventOfAChange(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "a", []byte("old"))
	dir, _ := mountFake(t, f)
	path := filepath.Join(dir, "a")
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(got))

	require.Equal(t, "new", f.readBeforeEvent(t, func() { f.put(tree.DriveIno, "a", []byte("new")) }, func() ([]byte, error) {
		return os.ReadFile(path)
	}))
}

// The same where the kernel believes that there is no such name, since the file got it elsewhere, too: it asks for a
// creation then.
func TestACreationOvertakesTheEventOfAChange(t *testing.T) {
	f := newFake(t)
	ino := f.put(tree.DriveIno, "a", []byte("old"))
	dir, _ := mountFake(t, f)
	got, err := os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
	path := filepath.Join(dir, "b")
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)

	change := func() {
		f.mu.Lock()
		f.rows[ino].Name = "b"
		f.mu.Unlock()
		f.put(tree.DriveIno, "b", []byte("new"))
	}
	require.Equal(t, "new", f.readBeforeEvent(t, change, func() ([]byte, error) {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return io.ReadAll(file)
	}))
}

// The file that the kernel doesn't know of is a symbolic link. The kernel has to find that out for itself: nothing is opened,
// and nothing done to the link.
func TestACreationMeetsALink(t *testing.T) {
	f := newFake(t)
	dir, _ := mountFake(t, f)
	path := filepath.Join(dir, "link")
	_, err := os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	f.mu.Lock()
	link := f.addLocked(tree.File, tree.DriveIno, "link", []byte("target"))
	link.Link = true
	f.mu.Unlock()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		require.NoError(t, file.Close())
	}
	require.ErrorIs(t, err, unix.EINVAL, "where it leads, which this engine doesn't say")
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Equal(t, "target", string(f.data[link.Ino]))
}

// readBeforeEvent reads after a change of another client was committed, and lets its event go only when the reader waits
// for that.
func (f *fake) readBeforeEvent(t *testing.T, change func(), read func() ([]byte, error)) string {
	t.Helper()
	f.mu.Lock()
	f.noted = make(chan struct{}, 10)
	f.mu.Unlock()
	f.deliver.Lock()
	change()
	type result struct {
		got []byte
		err error
	}
	results := make(chan result, 1)
	go func() {
		got, err := read()
		results <- result{got, err}
	}()
	select {
	case <-f.noted: // it waits for the events
	case r := <-results:
		f.deliver.Unlock()
		require.FailNow(t, "read before the event", "%q %v", r.got, r.err)
	}
	f.deliver.Unlock()
	r := <-results
	require.NoError(t, r.err)
	return string(r.got)
}

// Of two programs that open a file at once, the second waits as well: it isn't enough that the first one asks.
func TestEachOpenWaitsForTheEvent(t *testing.T) {
	f := newFake(t)
	f.put(tree.DriveIno, "f", []byte("as it was before"))
	dir, _ := mountFake(t, f)
	path := filepath.Join(dir, "f")
	_, err := os.ReadFile(path)
	require.NoError(t, err)
	f.mu.Lock()
	f.noted = make(chan struct{}, 10)
	f.mu.Unlock()
	f.deliver.Lock()
	f.put(tree.DriveIno, "f", []byte("now"))
	results := make(chan string, 2)
	left := 2
	for range 2 {
		go func() {
			got, err := os.ReadFile(path)
			results <- fmt.Sprint(string(got), err)
		}()
		select {
		case <-f.noted: // it waits for the events
		case got := <-results:
			t.Errorf("read before the event: %q", got)
			left--
		}
	}
	f.deliver.Unlock()
	for range left {
		require.Equal(t, "now<nil>", <-results)
	}
}

func TestRemovedInodesAreForgotten(t *testing.T) {
	f := newFake(t)
	dir, s := mountFake(t, f)
	path := filepath.Join(dir, "a")
	open, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, s.Settled(t.Context()))
	require.NotContains(t, f.forgotten(), tree.Ino(16), "it is still open")
	_, err = open.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, open.Close())

	f.put(tree.DriveIno, "never looked up", nil)
	f.drop(tree.DriveIno, "never looked up")
	require.NoError(t, s.Settled(t.Context()))
	require.Contains(t, f.forgotten(), tree.Ino(17), "no FORGET will come for what the kernel never knew")
}

func (f *fake) forgotten() []tree.Ino {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.forgot)
}

// requests counts what the kernel asked, by the names that go-fuse's debug log gives.
func requests(hook *logtest.Hook, name string) int {
	n := 0
	for _, e := range hook.AllEntries() {
		if strings.HasPrefix(e.Message, "rx ") && strings.Contains(e.Message, " "+name+" ") {
			n++
		}
	}
	return n
}

// What warm work must not cost: each line is a promise of doc.go.
func TestWhatTheKernelNeedNotAsk(t *testing.T) {
	f := newFake(t)
	for i := range 50 {
		f.put(tree.DriveIno, fmt.Sprint("f", i), []byte("x"))
	}
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	dir, _ := mountFakeWith(t, f, Options{Log: log, Debug: true}, os.Geteuid() == 0)
	work := func() {
		for range 3 {
			names(t, dir)
		}
		for i := range 50 {
			got, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("f", i)))
			require.NoError(t, err)
			require.Equal(t, "x", string(got))
		}
		_, err := os.Stat(filepath.Join(dir, "absent"))
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	work()
	work() // a READ makes the kernel ask for the access time once more
	cached := []string{"LOOKUP", "GETATTR", "READ", "READDIR", "READDIRPLUS"}
	for range 10 { // a kernel short of memory forgets, and asks again
		hook.Reset()
		work()
		if !slices.ContainsFunc(cached, func(name string) bool { return requests(hook, name) > 0 }) {
			break
		}
	}
	for _, name := range cached {
		require.Zero(t, requests(hook, name), name)
	}
	require.Equal(t, 50, requests(hook, "OPEN"))

	file, err := os.Create(filepath.Join(dir, "w"))
	require.NoError(t, err)
	hook.Reset()
	for range 10 {
		_, err := file.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.Equal(t, 10, requests(hook, "WRITE"), "1 MiB each")
	require.LessOrEqual(t, requests(hook, "GETXATTR"), 1, "security.capability, once")
	require.NoError(t, file.Close())
	for _, e := range hook.AllEntries() {
		require.NotContains(t, e.Message, "f1", "names stay out of the log")
	}
}

package integration

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// awaitPinned waits until status says that a path is here whole, with so many files.
func awaitPinned(t *testing.T, p *program.Program, path, files string) {
	t.Helper()
	line := regexp.MustCompile(`pinned: 100%  ` + regexp.QuoteMeta(path) + `  \(` + files + ` files, `)
	require.Eventually(t, func() bool { return line.MatchString(p.Run("status")) }, bounded, 100*time.Millisecond,
		"pinned: %s", path)
}

// offline reads what must be here.
func offline(t *testing.T, p *program.Program, path string, want []byte) {
	t.Helper()
	p.Server.Faults().FailHTTP(megatest.Downloads, http.StatusServiceUnavailable, megatest.Always)
	defer p.Server.Faults().Clear()
	require.True(t, rightOrEIO(t, path, want), "%s is read without the network", filepath.Base(path))
}

// Status shows how far a pinned file is that is not wholly here, and says 100% of nothing else.
func TestStatusOfAPinOnItsWay(t *testing.T) {
	const size, there = 24 << 20, 12 << 20
	p, account := impatient(t, "-o", "timeout=30m")
	account.PutFile(account.Root(), "film", noise(size, 1), time.Now())
	path := await(t, p, "film")
	p.Server.Faults().AnswerDownloads(megatest.Always, func(w http.ResponseWriter, r *http.Request, content []byte) {
		first, _, _ := strings.Cut(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], "-")
		if off, err := strconv.Atoi(first); err != nil || off >= there {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
		send(w, len(content), content)
	})
	p.Run("pin", path)
	require.Eventually(t, func() bool {
		text := p.Run("status")
		require.Contains(t, text, "/film")
		require.NotContains(t, text, "100%")
		pinned := p.Statuses()[0].Pinned
		return len(pinned) == 1 && pinned[0].Files == 1 && pinned[0].Bytes == size && pinned[0].Here >= there/2
	}, bounded, 20*time.Millisecond)
	p.Server.Faults().Clear()
}

func TestPin(t *testing.T) {
	p, account := impatient(t)
	dir := account.Mkdir(account.Root(), "album")
	contents := map[string][]byte{"a": noise(3<<20, 1), "b": noise(1000, 2), "c": noise(300_000, 3)}
	for name, c := range contents {
		account.PutFile(dir, name, c, time.Now())
		await(t, p, "album/"+name)
	}
	album := filepath.Join(p.Point, "album")
	p.Run("pin", album)
	p.Run("pin", album)
	pinned := func() bool {
		out := p.Run("status")
		return bytes.Contains([]byte(out), []byte("pinned: 100%  /album"))
	}
	require.Eventually(t, pinned, bounded, 100*time.Millisecond)

	// What comes later is kept, too.
	contents["d"] = noise(2<<20, 4)
	before := p.Server.Stats().BytesDown
	account.PutFile(dir, "d", contents["d"], time.Now())
	await(t, p, "album/d")
	require.Eventually(t, func() bool { return p.Server.Stats().BytesDown >= before+2<<20 }, bounded, 100*time.Millisecond)
	require.Eventually(t, pinned, bounded, 100*time.Millisecond)

	p.Server.Faults().FailHTTP(megatest.Downloads, http.StatusServiceUnavailable, megatest.Always)
	for name, c := range contents {
		require.True(t, rightOrEIO(t, filepath.Join(album, name), c), "%s is read without the network", name)
	}
	p.Run("unmount", p.Point)
	p.Run("mount", p.Point)
	require.Eventually(t, pinned, bounded, 100*time.Millisecond, "the next mount knows")
	p.Run("unpin", album)
	require.NotContains(t, p.Run("status"), "pinned")
	_, errs, status := p.Try("", "unpin", album)
	require.Equal(t, 1, status)
	require.Contains(t, errs, "is not pinned itself")
	refused(t, p, 1, "", "pin", "/tmp")
}

// A pinned file stays pinned, whatever takes its place: programs save by renaming, others put new versions, also
// while it is open here, or delete and write anew.
func TestPinFollowsAFile(t *testing.T) {
	p, account := impatient(t)
	handle := account.PutFile(account.Root(), "doc", noise(2<<20, 1), time.Now())
	path := await(t, p, "doc")
	p.Run("pin", path)
	awaitPinned(t, p, "/doc", "1")

	p.Shell("cp doc new && echo more >>new && mv new doc && rm -f old && mv doc old && cp old doc && rm old")
	p.Run("flush")
	replace := func(seed uint64, put func([]byte)) {
		t.Helper()
		content := noise(2<<20+int(seed), seed)
		before := p.Server.Stats().BytesDown
		put(content)
		require.Eventually(t, func() bool {
			st, err := os.Stat(path)
			return err == nil && st.Size() == int64(len(content)) && p.Server.Stats().BytesDown >= before+st.Size()
		}, bounded, 100*time.Millisecond, "replacement %d comes by itself", seed)
		awaitPinned(t, p, "/doc", "1")
		offline(t, p, path, content)
	}
	version := func(content []byte) {
		handle = handleOf(t, account, "doc")
		account.PutVersion(handle, content, time.Now())
	}
	replace(2, version)
	f, err := os.Open(path)
	require.NoError(t, err)
	replace(3, version)
	require.NoError(t, f.Close())
	replace(4, func(content []byte) {
		account.Trash(handleOf(t, account, "doc"))
		require.Eventually(t, func() bool { _, err := os.Stat(path); return err != nil }, bounded, 10*time.Millisecond)
		account.PutFile(account.Root(), "doc", content, time.Now())
	})
	p.Run("unpin", path)
	require.NotContains(t, p.Run("status"), "pinned")
}

// Pins of a folder and of one in it are two: each stays when the other goes, also when the folder gets another name.
func TestPinsInsideEachOther(t *testing.T) {
	p, account := impatient(t)
	outer := account.Mkdir(account.Root(), "outer")
	inner := account.Mkdir(outer, "inner")
	account.PutFile(inner, "f", noise(300_000, 1), time.Now())
	await(t, p, "outer/inner/f")
	p.Run("pin", filepath.Join(p.Point, "outer"))
	p.Run("pin", filepath.Join(p.Point, "outer", "inner"))
	awaitPinned(t, p, "/outer", "1")
	awaitPinned(t, p, "/outer/inner", "1")
	p.Run("unpin", filepath.Join(p.Point, "outer", "inner"))
	account.Rename(outer, "renamed")
	account.PutFile(inner, "g", noise(300_000, 2), time.Now())
	await(t, p, "renamed/inner/g")
	awaitPinned(t, p, "/renamed", "2")
	offline(t, p, filepath.Join(p.Point, "renamed", "inner", "f"), noise(300_000, 1))
	offline(t, p, filepath.Join(p.Point, "renamed", "inner", "g"), noise(300_000, 2))

	p.Run("pin", filepath.Join(p.Point, "renamed", "inner"))
	p.Run("unpin", filepath.Join(p.Point, "renamed"))
	account.Move(inner, account.Root())
	account.PutFile(inner, "h", noise(300_000, 3), time.Now())
	await(t, p, "inner/h")
	awaitPinned(t, p, "/inner", "3")
	require.NotContains(t, p.Run("status"), "/renamed")
	account.Remove(inner)
	require.Eventually(t, func() bool { return !strings.Contains(p.Run("status"), "pinned") }, bounded, 100*time.Millisecond)
}

// What can't be had is named, and holds up nothing else.
func TestPinOfAFileThatIsWrong(t *testing.T) {
	p, account := impatient(t)
	dir := account.Mkdir(account.Root(), "dir")
	for _, name := range []string{"a", "c"} {
		account.Put(megatest.PutSpec{Parent: dir, Name: name, Content: noise(2<<20, 1), Mtime: time.Now(), WrongMAC: true})
	}
	account.PutFile(dir, "b", noise(2<<20, 2), time.Now())
	account.PutFile(dir, "d", noise(100_000, 3), time.Now())
	await(t, p, "dir/d")
	p.Run("pin", filepath.Join(p.Point, "dir"))
	require.Eventually(t, func() bool {
		status := p.Run("status")
		return strings.Contains(status, "pinned") && strings.Contains(status, ": a: ")
	}, bounded, 100*time.Millisecond)
	offline(t, p, filepath.Join(p.Point, "dir", "b"), noise(2<<20, 2))
	offline(t, p, filepath.Join(p.Point, "dir", "d"), noise(100_000, 3))
}

func TestUnpinEndsTheDownload(t *testing.T) {
	p, account := impatient(t, "-o", "timeout=10m")
	account.PutFile(account.Root(), "f", noise(8<<20, 1), time.Now())
	path := await(t, p, "f")
	begun, ended := make(chan struct{}, 100), make(chan struct{}, 100)
	p.Server.Faults().AnswerDownloads(megatest.Always, func(_ http.ResponseWriter, r *http.Request, _ []byte) {
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	})
	p.Run("pin", path)
	<-begun
	p.Run("unpin", path)
	<-ended
}

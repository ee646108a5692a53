package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// Servers, keys and disks that misbehave under a read: the bytes are right or it fails with EIO, in bounded time, and
// the mount lives.

const (
	readTimeout = 6 * time.Second // only waited for by what never gets an answer
	// bounded is generous, since the machine may be busy; what is meant is: not for ever.
	bounded = 2 * time.Minute
)

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// impatient mounts with a short timeout.
func impatient(t *testing.T, more ...string) (*program.Program, *megatest.Account) {
	t.Helper()
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	p.Login()
	p.Run(append([]string{"mount", "-o", "timeout=" + readTimeout.String(), p.Point}, more...)...)
	return p, account
}

// await waits until the mount shows a file.
func await(t *testing.T, p *program.Program, name string) string {
	t.Helper()
	path := filepath.Join(p.Point, name)
	require.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, bounded, 10*time.Millisecond)
	return path
}

// rightOrEIO reads a file whole.
func rightOrEIO(t *testing.T, path string, want []byte) (right bool) {
	t.Helper()
	right, err := readWhole(path, want)
	require.NoError(t, err)
	return right
}

// readWhole reads a file whole. That it gives EIO, soon, is no error.
func readWhole(path string, want []byte) (right bool, err error) {
	start := time.Now()
	got, err := os.ReadFile(path)
	switch took := time.Since(start); {
	case took >= bounded:
		return false, fmt.Errorf("it took %v", took)
	case errors.Is(err, unix.EIO):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.Equal(want, got):
		return false, errors.New("a file read whole is wrong")
	}
	return true, nil
}

type answerer func(w http.ResponseWriter, r *http.Request, content []byte)

func send(w http.ResponseWriter, length int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(length))
	_, _ = w.Write(body)
}

// badAnswers are what a storage server sends in place of content.
var badAnswers = map[string]answerer{
	"truncated": func(w http.ResponseWriter, _ *http.Request, c []byte) { send(w, len(c), c[:len(c)/2]) },
	"short":     func(w http.ResponseWriter, _ *http.Request, c []byte) { send(w, len(c)/2, c[:len(c)/2]) },
	"longer":    func(w http.ResponseWriter, _ *http.Request, c []byte) { send(w, len(c)+9, append(c, "surprise!"...)) },
	"longer, unsized": func(w http.ResponseWriter, _ *http.Request, c []byte) {
		_, _ = w.Write(c)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write([]byte("surprise!"))
	},
	"wrong range": func(w http.ResponseWriter, _ *http.Request, c []byte) {
		send(w, len(c), append(append([]byte{}, c[16:]...), c[:16]...))
	},
	"a web page": func(w http.ResponseWriter, _ *http.Request, c []byte) {
		w.Header().Set("Content-Type", "text/html")
		send(w, len(c), bytes.Repeat([]byte("<p>log in"), len(c)/9+1)[:len(c)])
	},
	"in disguise": func(w http.ResponseWriter, _ *http.Request, c []byte) {
		send(w, len(c), bytes.Repeat([]byte("<p>log in"), len(c)/9+1)[:len(c)])
	},
	"nothing":        func(w http.ResponseWriter, _ *http.Request, c []byte) { send(w, 0, nil) },
	"a server error": func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusInternalServerError) },
	"dripping": func(w http.ResponseWriter, r *http.Request, c []byte) {
		w.Header().Set("Content-Length", strconv.Itoa(len(c)))
		for i := range c {
			_, err := w.Write(c[i : i+1])
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Second):
			}
			if err != nil {
				return
			}
		}
	},
	"silence": func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() },
}

// Each answer has a server and a mount of its own, and all of them at once, since most of it is waiting.
func TestBadAnswersOfStorageServers(t *testing.T) {
	var all sync.WaitGroup
	for name, answer := range badAnswers {
		all.Go(func() { t.Run(name, func(t *testing.T) { badlyAnswered(t, name, answer) }) })
	}
	all.Wait()
}

// badlyAnswered reads files whose content comes as such an answer, once or always.
func badlyAnswered(t *testing.T, name string, answer answerer) {
	p, account := impatient(t)
	contents := map[string][]byte{"small": noise(150_000, 1), "large": noise(3<<20, 2)}
	for what, content := range contents {
		account.PutFile(account.Root(), what, content, time.Now())
		path := await(t, p, what)
		p.Server.Faults().AnswerDownloads(1, answer)
		once := rightOrEIO(t, path, content)
		if name != "wrong range" && name != "in disguise" || what == "small" {
			require.True(t, once, "%s: one bad answer is got over", what)
		}
		require.Eventually(t, func() bool { return rightOrEIO(t, path, content) }, bounded, 100*time.Millisecond, what)
	}
	for what, content := range contents {
		account.PutFile(account.Root(), what+" again", content, time.Now())
		await(t, p, what+" again")
	}
	p.Server.Faults().AnswerDownloads(megatest.Always, answer)
	var both sync.WaitGroup
	for what, content := range contents { // at the same time, since most of it is waiting
		both.Go(func() {
			right, err := readWhole(filepath.Join(p.Point, what+" again"), content)
			assert.NoError(t, err, what)
			assert.Equal(t, name == "longer, unsized", right, "%s: all bad are an error, unless what was asked for is there", what)
		})
	}
	both.Wait()
	p.Server.Faults().Clear()
	require.Equal(t, "alive", p.Shell("echo -n alive >w && cat w"))
}

func TestWrongMACAndAccept(t *testing.T) {
	p, account := impatient(t)
	dir := account.Mkdir(account.Root(), "dir")
	for size, name := range map[int]string{1000: "small", 3 << 20: "large"} {
		content := noise(size, 5)
		account.Put(megatest.PutSpec{Parent: dir, Name: name, Content: content, Mtime: time.Now(), WrongMAC: true})
		path := await(t, p, "dir/"+name)
		require.False(t, rightOrEIO(t, path, content))
	}
	account.PutFile(dir, "good", noise(2<<20, 6), time.Now())
	await(t, p, "dir/good")
	folder := filepath.Join(p.Point, "dir")
	out, errs, status := p.Try("", "verify", folder)
	require.Equal(t, 1, status, errs)
	require.Contains(t, out, "verified: 1 files")
	require.Contains(t, out, "WRONG: small")
	require.Contains(t, out, "WRONG: large")
	require.Contains(t, errs, "--accept")
	require.Contains(t, p.Run("verify", "--accept", folder), "2 files")
	for size, name := range map[int]string{1000: "small", 3 << 20: "large"} {
		require.True(t, rightOrEIO(t, filepath.Join(folder, name), noise(size, 5)), "its owner reads it all the same")
	}
	require.Contains(t, p.Run("verify", folder), "accepted although they do not match: 2 files")
	require.Contains(t, p.Run("verify", "--json", filepath.Join(folder, "good")), `"verified":1`)
	require.Contains(t, p.Run("verify", "--json", filepath.Join(folder, "good")), `"before":1`, "it isn't read again, and that is said")
	_, errs, status = p.Try("", "verify", "--accept", filepath.Join(folder, "good"))
	require.Equal(t, 1, status)
	require.Contains(t, errs, "nothing there was found wrong")
}

func TestStrictMount(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	content := noise(5<<20, 7)
	account.PutFile(account.Root(), "right", content, time.Now())
	account.Put(megatest.PutSpec{Parent: account.Root(), Name: "wrong", Content: content, Mtime: time.Now(), WrongMAC: true})
	p.Login()
	p.Run("mount", "-o", "verify=strict,timeout=20s,max_connections=3,max_download=200M,metered", p.Point)
	require.True(t, rightOrEIO(t, filepath.Join(p.Point, "right"), content))
	f, err := os.Open(filepath.Join(p.Point, "wrong"))
	require.NoError(t, err)
	defer f.Close()
	n, err := f.Read(make([]byte, 1))
	require.ErrorIs(t, err, unix.EIO, "not one wrong byte")
	require.Zero(t, n)
}

func TestReadingOptionsThatMakeNoSense(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Login()
	for _, o := range []string{"timeout=0s", "timeout=x", "max_download=much", "max_download=0", "max_connections=-1", "max_connections=9999", "verify=lax", "cache_size=1M", "cache_size=much"} {
		refused(t, p, 2, "", "mount", "-o", o, p.Point)
	}
}

// Without transfer quota, what is cached is read, the rest fails, status says until when, and nothing is fetched ahead.
func TestNoTransferQuota(t *testing.T) {
	p, account := impatient(t)
	content := noise(200_000, 8)
	for _, name := range []string{"cached", "not cached"} {
		account.PutFile(account.Root(), name, content, time.Now())
		await(t, p, name)
	}
	require.True(t, rightOrEIO(t, filepath.Join(p.Point, "cached"), content))
	p.Server.Faults().UseUpTransferQuota(time.Hour)
	_, err := os.ReadFile(filepath.Join(p.Point, "not cached"))
	require.ErrorIs(t, err, unix.EDQUOT)
	require.True(t, rightOrEIO(t, filepath.Join(p.Point, "cached"), content))
	require.Contains(t, p.Run("status"), "no transfer quota")
	p.Server.Faults().UseUpTransferQuota(0)
	require.Eventually(t, func() bool {
		got, err := os.ReadFile(filepath.Join(p.Point, "not cached"))
		return err == nil && bytes.Equal(content, got)
	}, bounded, 100*time.Millisecond)
	require.NotContains(t, p.Run("status"), "no transfer quota")
}

// A reader in the middle of a file waits for transfer quota that comes back before its patience ends, and has it all.
func TestTransferQuotaComesBackInMidStream(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	p.Login()
	p.Run("mount", "-o", "metered", p.Point)
	content := noise(24<<20, 8)
	account.PutFile(account.Root(), "film", content, time.Now())
	f, err := os.Open(await(t, p, "film"))
	require.NoError(t, err)
	defer f.Close()
	got := make([]byte, len(content))
	_, err = io.ReadFull(f, got[:1<<20])
	require.NoError(t, err)
	refused := p.Server.Stats().Faults
	for rest := got[1<<20:]; len(rest) > 0; rest = rest[1<<20:] {
		if p.Server.Stats().Faults == refused { // a busy machine may have it back before it asks for more
			p.Server.Faults().UseUpTransferQuota(2 * time.Second)
		}
		_, err = io.ReadFull(f, rest[:1<<20])
		require.NoError(t, err)
	}
	require.Greater(t, p.Server.Stats().Faults, refused)
	require.True(t, bytes.Equal(content, got))
}

// When little quota is left, nothing is fetched that nobody asks for, and status says so.
func TestLittleTransferQuota(t *testing.T) {
	p, account := impatient(t)
	account.SetTransferQuota(100<<30, 99<<30)
	account.PutFile(account.Root(), "first", noise(1000, 1), time.Now())
	account.PutFile(account.Root(), "film", noise(48<<20, 2), time.Now())
	require.True(t, rightOrEIO(t, await(t, p, "first"), noise(1000, 1)))
	require.Eventually(t, func() bool {
		return bytes.Contains([]byte(p.Run("status")), []byte("little transfer quota is left (1.0 GiB)"))
	}, bounded, 20*time.Millisecond)
	f, err := os.Open(await(t, p, "film"))
	require.NoError(t, err)
	defer f.Close()
	before := p.Server.Stats().BytesDown
	_, err = io.ReadFull(f, make([]byte, 8<<20))
	require.NoError(t, err)
	require.Less(t, p.Server.Stats().BytesDown-before, int64(15<<20), "the kernel's own read-ahead is all")
}

func TestCacheFolderDeletedUnderTheMount(t *testing.T) {
	p, account := impatient(t)
	contents := map[string][]byte{"one": noise(3<<20, 1), "two": noise(200_000, 2), "three": noise(3<<20, 3)}
	for name, c := range contents {
		account.PutFile(account.Root(), name, c, time.Now())
		await(t, p, name)
	}
	require.True(t, rightOrEIO(t, filepath.Join(p.Point, "one"), contents["one"]))
	require.NoError(t, os.RemoveAll(filepath.Join(p.Dir, "cache")))
	for name, c := range contents {
		require.True(t, rightOrEIO(t, filepath.Join(p.Point, name), c), name)
	}
}

func TestCacheDiskIsFull(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	cache := filepath.Join(p.Dir, "cache")
	require.NoError(t, os.MkdirAll(cache, 0o700))
	if err := unix.Mount("tmpfs", cache, "tmpfs", 0, "size=8m"); err != nil {
		t.Skip("NO SMALL DISK: mounting a tmpfs is not allowed here:", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(cache, unix.MNT_DETACH) })
	contents := map[string][]byte{"one": noise(4<<20, 1), "two": noise(9<<20, 2)}
	for name, c := range contents {
		account.PutFile(account.Root(), name, c, time.Now())
	}
	p.Login()
	p.Mount()
	require.True(t, rightOrEIO(t, await(t, p, "one"), contents["one"]))
	fill, err := os.Create(filepath.Join(cache, "somebody else's"))
	require.NoError(t, err)
	_, _ = io.Copy(fill, io.LimitReader(zeros{}, 64<<20)) // to the brim
	require.NoError(t, fill.Close())
	for name, c := range contents {
		require.True(t, rightOrEIO(t, filepath.Join(p.Point, name), c), name)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Two programs read one file, and the second gets its first bytes from the kernel, which has them from the first one's
// reading. They are wrong: both hear of it before they have all.
func TestWrongBytesInThePagesOfAnother(t *testing.T) {
	p, account := impatient(t)
	content := noise(32<<20, 9) // more than is fetched ahead
	account.PutFile(account.Root(), "film", content, time.Now())
	path := await(t, p, "film")
	p.Server.Faults().CorruptDownloads(1)
	var files [3]*os.File
	for i := range files {
		f, err := os.Open(path)
		require.NoError(t, err)
		defer f.Close()
		_, err = io.ReadFull(f, make([]byte, 1<<20))
		require.NoError(t, err)
		files[i] = f
	}
	goesOn := func(i int) {
		n, err := io.Copy(io.Discard, struct{ io.Reader }{files[i]})
		require.ErrorIs(t, err, unix.EIO, "program %d, after %d bytes", i, n)
	}
	goesOn(0)
	goesOn(1)
	require.Eventually(t, func() bool { return rightOrEIO(t, path, content) }, bounded, 100*time.Millisecond)
	goesOn(2) // and doesn't get the rest, right now, from the pages of who opened it since
}

// The same for an earlier version: what was wrong of it isn't read again from the kernel's pages.
func TestWrongBytesOfAnEarlierVersion(t *testing.T) {
	p, account := impatient(t)
	content := noise(4<<20, 9)
	account.PutVersion(account.PutFile(account.Root(), "film", content, time.Now()), []byte("newer"), time.Now())
	versions := filepath.Join(p.Point, ".mega/versions/film")
	var path string
	require.Eventually(t, func() bool {
		names, err := os.ReadDir(versions)
		if err != nil || len(names) != 1 {
			return false
		}
		path = filepath.Join(versions, names[0].Name())
		return true
	}, bounded, 10*time.Millisecond)
	p.Server.Faults().CorruptDownloads(1)
	require.False(t, rightOrEIO(t, path, content))
	require.Eventually(t, func() bool { return rightOrEIO(t, path, content) }, bounded, 100*time.Millisecond)
}

// -o cache_size is kept to, by a file that is larger too, and all of it is read right all the same.
func TestCacheSize(t *testing.T) {
	p, account := impatient(t, "-o", "cache_size=8M")
	for i := range 3 {
		content := noise(11<<20, uint64(i))
		account.PutFile(account.Root(), fmt.Sprint(i), content, time.Now())
		path := await(t, p, fmt.Sprint(i))
		for range 2 {
			require.True(t, rightOrEIO(t, path, content))
		}
		require.LessOrEqual(t, p.Statuses()[0].Cache.Bytes, int64(9<<20), "the limit and what is being written")
	}
	require.Contains(t, p.Run("status"), "of 7.6 MiB")
}

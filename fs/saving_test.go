package fs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/harness"
	"megadisk/megaclient/megatest"
)

// Ways in which programs save a file. After each the name has the new content, here and in the cloud, and no other name
// is left.
var saves = map[string]func(t *testing.T, path string, data []byte){
	"in place": func(t *testing.T, path string, data []byte) {
		write(t, path, data)
	},
	"temp, fsync, rename over": func(t *testing.T, path string, data []byte) {
		tmp := path + ".tmp"
		f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		require.NoError(t, err)
		_, err = f.Write(data)
		require.NoError(t, err)
		require.NoError(t, f.Chmod(0o644))
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())
		require.NoError(t, os.Rename(tmp, path))
		syncDir(t, path)
	},
	"vim: rename away, create, unlink": func(t *testing.T, path string, data []byte) {
		require.NoError(t, os.Rename(path, path+"~"))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		require.NoError(t, err)
		_, err = f.Write(data)
		require.NoError(t, err)
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())
		require.NoError(t, os.Remove(path+"~"))
	},
	"git: lock, rename": func(t *testing.T, path string, data []byte) {
		lock := path + ".lock"
		f, err := os.OpenFile(lock, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		require.NoError(t, err)
		for len(data) > 0 { // in pieces
			n := min(len(data), 8192)
			_, err = f.Write(data[:n])
			require.NoError(t, err)
			data = data[n:]
		}
		require.NoError(t, f.Close())
		require.NoError(t, os.Rename(lock, path))
	},
	"remove, create": func(t *testing.T, path string, data []byte) {
		require.NoError(t, os.Remove(path))
		write(t, path, data)
	},
	"truncate by descriptor": func(t *testing.T, path string, data []byte) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(0))
		_, err = f.Write(data)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	},
}

func syncDir(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Open(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Fsync(fd))
	require.NoError(t, unix.Close(fd))
}

func TestSaves(t *testing.T) {
	h := harness.New(t, harness.WithContent(func(a *megatest.Account) {
		for name := range saves {
			a.PutFile(a.Root(), name, pattern(9, 50<<10), mtime)
		}
	}))
	for round := range uint64(3) {
		for name, save := range saves {
			data := pattern(100+round, int(20<<10*(round+1)))
			save(t, h.Path(name), data)
			requireContent(t, data, h.Path(name))
		}
		require.Len(t, names(t, h.Dir), len(saves))
		h.Drain()
		require.Len(t, h.Account.Tree(), len(saves))
		for name := range saves {
			requireInCloud(t, h, pattern(100+round, int(20<<10*(round+1))), name)
		}
	}
}

func TestGit(t *testing.T) {
	h := harness.New(t)
	out := h.Run(".", `
		command -v git >/dev/null || { echo no git; exit 0; }
		export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
		git init -q repo; cd repo
		for i in 1 2 3; do echo $i >file$i; git add .; git commit -qm $i; done
		git mv file1 moved; git commit -qm moved; git gc -q; git fsck --full; git status --porcelain; git log --oneline | wc -l`)
	if out == "no git\n" {
		t.Skip("SKIPPED, NOT RUN: git is missing")
	}
	require.Contains(t, out, "4")
	h.Drain()
}

// The same bytes are there when another process, later, goes on with the same state: nothing was left in memory.
func TestARestartShowsTheSame(t *testing.T) {
	state := t.TempDir()
	h := harness.New(t, harness.WithState(state))
	want := map[string][]byte{}
	for i := range uint64(5) {
		name := fmt.Sprint("f", i)
		want[name] = pattern(i, int(i)*100<<10)
		write(t, h.Path(name), want[name])
	}
	h.Stop() // nothing drained
	again := harness.New(t, harness.WithState(state), harness.SameAccount(h))
	for name, data := range want {
		requireContent(t, data, again.Path(name))
	}
	again.Drain()
	for name, data := range want {
		requireInCloud(t, again, data, name)
	}
}

package peers

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// What real programs save in a real mount, megajs reads, byte for byte; what megajs saves, they read there.

// mounted is the binary, logged in and mounted, and a world without a client of ours.
func mounted(t *testing.T) (*program.Program, *world) {
	needs.FUSE(t)
	needs.Programs(t, "git", "rsync", "sqlite3")
	megajs(t) // skips before anything is built
	p, account := program.WithAccount(t)
	p.Login()
	p.Mount()
	return p, &world{T: t, server: p.Server, account: account}
}

// enter starts megajs as somebody.
func (w *world) enter(account *megatest.Account, password string) *agent {
	w.Helper()
	a := newAgent(w.T, w.server.URL())
	a.do("login", args{"email": account.Email, "password": password}, nil)
	return a
}

// digests reads a folder of a mount as megajs's digests does: by path, "" for folders. Sizes that megajs calls
// damaged when it verifies (PROTOCOL 4.4) are read by it without that.
func digests(t *testing.T, dir string) (all map[string]string, unverified []int64) {
	t.Helper()
	all, unverified = map[string]string{}, []int64{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			all[rel] = ""
			return nil
		}
		data, err := os.ReadFile(path)
		all[rel] = fmt.Sprintf("%x", sha256.Sum256(data))
		if size := int64(len(data)); jsRefuses(size) && !slices.Contains(unverified, size) {
			unverified = append(unverified, size)
		}
		return err
	}))
	return all, unverified
}

func (a *agent) sees(dir string) {
	a.Helper()
	want, unverified := digests(a.T, dir)
	require.NotEmpty(a, want)
	var got map[string]string
	a.do("digests", args{"unverified": unverified}, &got)
	require.Equal(a, want, got)
}

func TestMegajsReadsWhatProgramsSaveInAMount(t *testing.T) {
	p, w := mounted(t)
	source := filepath.Join(p.Dir, "source")
	require.NoError(t, os.Mkdir(source, 0o755))
	for _, size := range sizes {
		require.NoError(t, os.WriteFile(filepath.Join(source, fmt.Sprintf("%d bytes ü", size)), content(size), 0o644))
	}
	env := fmt.Sprintf("source=%q; origin=%q\n", source, filepath.Join(p.Dir, "origin"))
	p.Shell(env + `
		cp "$source"/* .
		mkdir rsynced; rsync -a "$source" rsynced
		mkdir small; (cd small; for i in $(seq 150); do mkdir -p d$((i % 7)); echo "$i" >d$((i % 7))/"f $i"; done); tar -cf small.tar small; mkdir untarred; tar -C untarred -xf small.tar
		git init -q "$origin"; cp -r small "$origin"; git -C "$origin" add .; git -C "$origin" commit -qm one
		git clone -q --no-hardlinks "$origin" clone; cd clone; echo more >>more; git add more; git commit -qm two; git gc -q; git fsck --strict; cd ..
		sqlite3 db.sqlite 'create table t(a integer primary key, b text); insert into t(b) values(hex(randomblob(90000)));'`)
	p.Run("flush")
	js := w.enter(w.account, program.Password)
	js.sees(p.Point)

	// All is saved once more, in the ways of editors and databases: new versions, whose old ones stand below them.
	p.Shell(`
		sqlite3 db.sqlite "begin; update t set b='new' || b; insert into t(b) values('x'); commit; pragma integrity_check" | grep -x ok
		echo edited >.tmp; mv .tmp "17 bytes ü"
		mv "16 bytes ü" "16 bytes ü~"; echo vim >"16 bytes ü"; rm "16 bytes ü~"
		echo appended >>"131072 bytes ü"; truncate -s 131073 "786432 bytes ü"; truncate -s 200000 "1 bytes ü"
		printf patch | dd of="8000000 bytes ü" bs=1 seek=4718590 conv=notrunc status=none
		rm -r untarred/small/d1; mv rsynced "moved ü"; git -C clone mv more "renamed more"; git -C clone commit -qm three`)
	p.Run("flush")
	w.enter(w.account, program.Password).sees(p.Point)
	p.Run("unmount", p.Point)
}

// TestMountReadsWhatMegajsSaves is the other way round, as it happens.
func TestMountReadsWhatMegajsSaves(t *testing.T) {
	p, w := mounted(t)
	p.Shell("mkdir ours; echo before >ours/file")
	p.Run("flush")
	js := w.enter(w.account, program.Password)
	for _, size := range sizes {
		name := fmt.Sprintf("%d bytes", size)
		js.put("ours", name, content(size))
		awaitContent(t, filepath.Join(p.Point, "ours", name), content(size))
	}
	js.do("rename", args{"path": "ours/17 bytes", "name": "renamed"}, nil)
	awaitContent(t, filepath.Join(p.Point, "ours/renamed"), content(17))
	js.do("delete", args{"path": "ours/file", "permanent": true}, nil)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(p.Point, "ours/file"))
		return os.IsNotExist(err)
	}, time.Minute, 10*time.Millisecond, "what megajs deletes goes")
	js.sees(p.Point)
}

func TestSharedFolderWithMegajs(t *testing.T) {
	p, w := mounted(t)
	const another = "another"
	ben := w.server.AddAccount("ben@example.com", another)
	p.Shell("mkdir -p shared/deep; echo before >shared/before")
	p.Run("flush")
	w.account.Share(w.account.Find("shared"), ben, 2)
	p.Shell("echo after >shared/after; echo deep >shared/deep/er; mkdir outside; echo moved >outside/f; mv outside shared/inside; cp /bin/sh shared/binary")
	p.Run("flush")

	js := w.enter(ben, another)
	seesShare := func() {
		t.Helper()
		want, unverified := digests(t, filepath.Join(p.Point, "shared"))
		var got map[string]string
		js.do("sharedigests", args{"name": "shared", "unverified": unverified}, &got)
		require.Equal(t, want, got)
	}
	seesShare()

	// What megajs saves there is read in the mount, and what is saved over that by megajs again.
	saved := content(300_000)
	require.NoError(t, os.WriteFile(js.scratch, saved, 0o600))
	js.do("shareput", args{"share": "shared", "path": "deep", "name": "from ben", "from": js.scratch}, nil)
	awaitContent(t, filepath.Join(p.Point, "shared/deep/from ben"), saved)
	p.Shell(`echo changed >>"shared/deep/from ben"; echo edited >.tmp; mv .tmp shared/after`)
	p.Run("flush")
	js = w.enter(ben, another)
	seesShare()
}

// awaitContent waits for what another client saved to reach a mount in another process, whose events can't be seen
// from here.
func awaitContent(t *testing.T, path string, want []byte) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := os.ReadFile(path)
		return err == nil && string(got) == string(want)
	}, time.Minute, 10*time.Millisecond, "%s does not come", path)
}

package integration

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// These are the things that a person does in the first hour: each runs real programs in a mount of the real
// binary, flushes, and then asks the server, as another client would see it, for the same bytes.

func mountedProgram(t *testing.T) (*program.Program, *megatest.Account) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	p.Login()
	p.Mount()
	return p, account
}

func TestGitCloneAndFsck(t *testing.T) {
	needs.Programs(t, "git")
	p, account := mountedProgram(t)
	origin := filepath.Join(p.Dir, "origin")
	require.NoError(t, os.Mkdir(origin, 0o755))
	writeTree(t, origin, 120)
	p.Shell(fmt.Sprintf(`cd %[1]q && git init -q -b main && git add . && git commit -qm one
		for i in 1 2 3; do echo $i >>f; git add f; git commit -qm $i; done; git gc -q
		cd %[2]q && git clone -q --no-hardlinks %[1]q repo && cd repo && git fsck --full --strict && git status --porcelain
		echo more >>f && git commit -qam more && git fsck`, origin, p.Point))
	sameInCloud(t, p, account, "repo")
}

func TestTarOfManySmallFiles(t *testing.T) {
	p, account := mountedProgram(t)
	source := filepath.Join(p.Dir, "tree")
	require.NoError(t, os.Mkdir(source, 0o755))
	writeTree(t, source, 3000)
	p.Shell(fmt.Sprintf(`tar -C %[1]q -cf - tree | tar -xf - && diff -r %[1]q/tree tree`, p.Dir))
	sameInCloud(t, p, account, "tree")
}

func TestRsyncTwice(t *testing.T) {
	needs.Programs(t, "rsync")
	p, account := mountedProgram(t)
	source := filepath.Join(p.Dir, "tree")
	require.NoError(t, os.Mkdir(source, 0o755))
	writeTree(t, source, 300)
	sync := fmt.Sprintf(`rsync -a --stats %q . | grep 'files transferred'`, source)
	require.Contains(t, p.Shell(sync), "transferred: 300")
	require.Contains(t, p.Shell(sync), "transferred: 0")
	sameInCloud(t, p, account, "tree")
	require.Contains(t, p.Shell(sync), "transferred: 0", "also when the cloud has acknowledged it all")
}

func TestSQLite(t *testing.T) {
	needs.Programs(t, "sqlite3")
	p, account := mountedProgram(t)
	var script strings.Builder
	script.WriteString("create table t(a integer primary key, b text);\n")
	for i := range 2000 {
		fmt.Fprintf(&script, "begin; insert into t(b) values('row %d'); commit;\n", i)
	}
	require.NoError(t, os.WriteFile(filepath.Join(p.Dir, "script.sql"), []byte(script.String()), 0o644))
	out := p.Shell(fmt.Sprintf(`sqlite3 db.sqlite <%q; sqlite3 db.sqlite 'pragma integrity_check; select count(*) from t'`, filepath.Join(p.Dir, "script.sql")))
	require.Equal(t, "ok\n2000\n", out)
	p.Run("flush")
	require.Equal(t, readFile(t, p.Point, "db.sqlite"), account.ReadFile(handleOf(t, account, "db.sqlite")))
}

func TestGoBuildInTheMount(t *testing.T) {
	p, _ := mountedProgram(t)
	p.Shell(`mkdir hello && cd hello && printf 'module hello\n\ngo 1.26\n' >go.mod
		mkdir say && printf 'package say\n\nfunc Hello() string { return "hello" }\n' >say/say.go
		printf 'package main\n\nimport "hello/say"\n\nfunc main() { println(say.Hello()) }\n' >main.go
		GOFLAGS=-mod=mod GOCACHE=$PWD/.cache go build -o hello . && ./hello 2>&1 | grep -x hello && rm -rf .cache`)
	p.Run("flush")
}

func TestTwoMountsOfOneAccountShareAProcess(t *testing.T) {
	p, _ := mountedProgram(t)
	p.Shell("mkdir folder && echo one >folder/file")
	second := filepath.Join(p.Dir, "second")
	require.NoError(t, os.Mkdir(second, 0o755))
	p.Run("mount", "/folder", second)
	require.Len(t, p.Statuses(), 1)
	require.Len(t, p.Statuses()[0].Mounts, 2)
	require.Equal(t, []byte("one\n"), readFile(t, second, "file"))
	require.NoError(t, os.WriteFile(filepath.Join(second, "new"), []byte("two"), 0o644))
	require.Equal(t, []byte("two"), readFile(t, p.Point, "folder/new"), "a change through one mount shows in the other")
	require.NoError(t, os.Remove(filepath.Join(p.Point, "folder/new")))
	// The other mount's kernel is told from a goroutine of its own, so this may take a moment.
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(second, "new"))
		return errors.Is(err, fs.ErrNotExist)
	}, bounded, time.Millisecond)
	p.Run("unmount", second)
	p.Run("unmount", p.Point)
}

func TestRemountServesTheTreeAtOnceAndOffline(t *testing.T) {
	p, _ := mountedProgram(t)
	p.Shell("mkdir d && echo text >d/f")
	p.Run("unmount", p.Point)
	p.Server.Close()
	p.Mount()
	require.Equal(t, "d/f\n", p.Shell("ls d/f"))
	require.Equal(t, []byte("text\n"), readFile(t, p.Point, "d/f"), "what was written here is still here")
	p.Shell("echo offline >d/g && cat d/g")
	p.Run("unmount", "--no-wait", p.Point)
}

func TestKilledMountLosesAndDoublesNothing(t *testing.T) {
	p, account := mountedProgram(t)
	for round := range 5 {
		p.Shell(fmt.Sprintf(`mkdir r%[1]d && for i in $(seq 40); do echo "$i of %[1]d" >r%[1]d/f$i; done; mv r%[1]d/f1 r%[1]d/moved; rm r%[1]d/f2; echo over >t; mv t r%[1]d/f3`, round))
		p.Kill()
		p.Mount()
		for i := 4; i <= 40; i++ {
			require.Equal(t, fmt.Sprintf("%d of %d\n", i, round), string(readFile(t, p.Point, fmt.Sprintf("r%d/f%d", round, i))))
		}
		require.Equal(t, "over\n", string(readFile(t, p.Point, fmt.Sprintf("r%d/f3", round))))
	}
	sameInCloud(t, p, account, ".")
}

// writeTree fills dir with n files in nested folders, of many sizes, the same on every run.
func writeTree(t *testing.T, dir string, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%17), fmt.Sprintf("e%d", i%5))
		require.NoError(t, os.MkdirAll(sub, 0o755))
		data := make([]byte, rng.IntN(6000))
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		require.NoError(t, os.WriteFile(filepath.Join(sub, fmt.Sprintf("file %d ü.txt", i)), data, 0o644))
	}
}

// sameInCloud flushes and compares what lies below dir in the mount with what the server holds.
func sameInCloud(t *testing.T, p *program.Program, account *megatest.Account, dir string) {
	t.Helper()
	p.Run("flush")
	require.Zero(t, p.Statuses()[0].Pending.Changes)
	here, err := treeOf(p.Point, dir)
	require.NoError(t, err)
	cloud := map[string]string{}
	for path, e := range account.Tree() {
		if dir == "." || path == dir || strings.HasPrefix(path, dir+"/") {
			cloud[path] = cloudEntry(e)
		}
	}
	require.Equal(t, here, cloud)
}

// treeOf is what a mount shows in one of its folders: by path, the sum of a file's content, or "dir".
func treeOf(point, dir string) (map[string]string, error) {
	here := map[string]string{}
	return here, filepath.WalkDir(filepath.Join(point, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == point {
			return err
		}
		rel, _ := filepath.Rel(point, path)
		if d.IsDir() {
			here[rel] = "dir"
			return nil
		}
		data, err := os.ReadFile(path)
		here[rel] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	})
}

func readFile(t *testing.T, parts ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return data
}

func handleOf(t *testing.T, account *megatest.Account, path string) string {
	t.Helper()
	e, ok := account.Tree()[path]
	require.True(t, ok, "%s is not in the cloud", path)
	return e.Handle
}

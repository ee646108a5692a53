package integration

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// Two lives of a mount, from the login to the last unmounting, on a disk for state and cache of which one change (a file made, written,
// renamed, removed, synced) isn't made: the process that asks for it is killed, or gets EIO. Then all must go on, and
// everything that was acknowledged be there. Some of the changes are tried; with MEGADISK_CHANGES=FROM-TO all of these, up to
// the last that there is.

func TestDiesAtEachChangeOfItsState(t *testing.T) { eachChange(t, "kill") }

func TestEachChangeOfItsStateFails(t *testing.T) { eachChange(t, "fail") }

func eachChange(t *testing.T, how string) {
	needs.FUSE(t)
	needs.Root(t)
	eachOf(t, []int{18, 50, 57, 91, 110}, func(t *testing.T, n int) bool { return withoutChange(t, how, n) })
}

// eachOf tries a life with each of these numbers, all of which must be met; or with those that MEGADISK_CHANGES names, up to
// the first that isn't.
func eachOf(t *testing.T, numbers []int, life func(t *testing.T, n int) (met bool)) {
	t.Helper()
	var from, to int
	all, _ := fmt.Sscanf(os.Getenv("MEGADISK_CHANGES"), "%d-%d", &from, &to)
	if all == 2 {
		numbers = nil
		for n := from; n <= to; n++ {
			numbers = append(numbers, n)
		}
	}
	for _, n := range numbers {
		met := true
		t.Run(strconv.Itoa(n), func(t *testing.T) { met = life(t, n) })
		if !met {
			require.Equal(t, 2, all, "there are fewer than %d", n)
			return
		}
	}
}

// deed is something that a person does, and what the drive holds when it is done.
type deed struct {
	do    func(p *program.Program) error
	holds map[string]string
	safe  bool // then all is on the disk, or in the cloud
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// putOldFiles puts the files into the cloud with which lifeOfAMount begins.
func putOldFiles(account *megatest.Account) {
	account.PutFile(account.Root(), "old", []byte("old"), megatestTime)
	account.PutFile(account.Root(), "saved", []byte("saved"), megatestTime)
}

// lifeOfAMount begins with the files "old" and "saved" in the cloud.
func lifeOfAMount() []deed {
	command := func(args ...string) func(p *program.Program) error {
		return func(p *program.Program) error {
			if _, errs, status := p.Try(program.Password+"\n", args...); status != 0 {
				return fmt.Errorf("%s: %d: %s", args[0], status, errs)
			}
			return nil
		}
	}
	shell := func(script string) func(p *program.Program) error {
		return func(p *program.Program) error {
			cmd := exec.Command("bash", "-euc", script)
			cmd.Dir = p.Point
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", script, err, out)
			}
			return nil
		}
	}
	mount := func(p *program.Program) error { return command("mount", p.Point)(p) }
	unmount := func(p *program.Program) error { return command("unmount", p.Point)(p) }

	now := map[string]string{"old": sumOf("old"), "saved": sumOf("saved")}
	var life []deed
	then := func(do func(p *program.Program) error, changes ...string) {
		now = maps.Clone(now)
		for i := 0; i < len(changes); i += 2 {
			now[changes[i]] = changes[i+1]
		}
		maps.DeleteFunc(now, func(_, content string) bool { return content == "" })
		life = append(life, deed{do: do, holds: now})
	}
	safely := func(do func(p *program.Program) error, changes ...string) {
		then(do, changes...)
		life[len(life)-1].safe = true
	}
	then(command("login", program.Email, "--password-file", "-"))
	then(mount)
	then(shell("cat old saved >/dev/null"))
	then(shell("echo first >first"), "first", sumOf("first\n"))
	then(shell("mkdir d"), "d", "dir")
	then(shell("mv first d"), "first", "", "d/first", sumOf("first\n"))
	safely(shell("dd if=/dev/zero of=big bs=320000 count=1 status=none conv=fsync"), "big", sumOf(strings.Repeat("\x00", 320_000)))
	then(shell("rm old"), "old", "")
	safely(command("flush"))
	then(shell("echo anew >saved.tmp; sync saved.tmp; mv saved.tmp saved"), "saved", sumOf("anew\n"))
	then(shell("rm d/first"), "d/first", "")
	safely(unmount)
	then(mount)
	then(shell("echo last >last"), "last", sumOf("last\n"))
	then(func(p *program.Program) error { return command("unmount", "--no-wait", p.Point)(p) })
	then(mount)
	safely(shell("printf ab | dd of=big bs=2 seek=1 conv=notrunc,fsync iflag=fullblock status=none"), "big", sumOf("\x00\x00ab"+strings.Repeat("\x00", 319_996)))
	safely(command("flush"))
	safely(unmount)
	return life
}

// withoutChange is one such life; false: there are fewer changes.
func withoutChange(t *testing.T, how string, n int) bool {
	l := newDiskLife(t, how, n)
	if !l.live() {
		return false
	}
	endMount(t, l.p, how)
	if _, errs, status := l.p.Try("", "mount", l.p.Point); status != 0 {
		l.p.Login()
		if how == "fail" && strings.Contains(errs, "damaged") {
			exportAndBeginAnew(t, l.p, l.account, filepath.Join(l.point, "state"), l.before)
			return true
		}
		l.p.Mount()
	}
	requireBetween(t, l.before, l.after, contents(t, l.p))
	sameInCloud(t, l.p, l.account, ".")
	here := contents(t, l.p)
	requireBetween(t, l.before, l.after, here)
	l.p.Run("unmount", l.p.Point)
	l.p.Mount()
	require.Equal(t, here, contents(t, l.p))
	l.p.Run("unmount", l.p.Point)
	return true
}

// endMount takes away what may be left of the mount.
func endMount(t *testing.T, p *program.Program, how string) {
	t.Helper()
	if how == "kill" {
		_ = unix.Unmount(p.Point, unix.MNT_DETACH)
		return
	}
	for _, st := range p.Statuses() {
		_, errs, status := p.Try("", "unmount", "--no-wait", p.Point)
		require.Zero(t, status, errs)
		program.AwaitGone(t, st.PID)
	}
}

// exportAndBeginAnew is what a person is told to do whose database is refused: an error of the disk may have that price, but not
// that of a file.
func exportAndBeginAnew(t *testing.T, p *program.Program, account *megatest.Account, state string, held map[string]string) {
	t.Helper()
	t.Log("the database is refused")
	out := filepath.Join(t.TempDir(), "export")
	p.Run("export-pending", out)
	saved, err := treeOf(out, ".")
	require.NoError(t, err)
	for _, e := range account.Tree() {
		saved[e.Handle] = cloudEntry(e)
	}
	for path, content := range held {
		if content != "dir" {
			require.Contains(t, slices.Collect(maps.Values(saved)), content, path)
		}
	}
	states, err := filepath.Glob(filepath.Join(state, "*", "*", "tree"))
	require.NoError(t, err)
	require.Len(t, states, 1)
	require.NoError(t, os.Rename(filepath.Dir(states[0]), filepath.Join(state, "away")))
	p.Login()
	p.Mount()
	sameInCloud(t, p, account, ".")
	p.Run("unmount", p.Point)
}

func contents(t *testing.T, p *program.Program) map[string]string {
	t.Helper()
	here, err := treeOf(p.Point, ".")
	require.NoError(t, err)
	return here
}

// requireBetween wants all that a deed leaves alone, and of what it changes the one or the other; a file that was being made may be
// there in part, and what is moved is somewhere.
func requireBetween(t *testing.T, before, after, here map[string]string) {
	t.Helper()
	for path, content := range before {
		if then, stays := after[path]; stays {
			require.Contains(t, []string{content, then}, here[path], "%s of %v", path, here)
		}
		if slices.Contains(slices.Collect(maps.Values(after)), content) {
			require.Contains(t, slices.Collect(maps.Values(here)), content, "%s has gone", path)
		}
	}
	for path := range here {
		require.Contains(t, append(slices.Collect(maps.Keys(before)), append(slices.Collect(maps.Keys(after)), "saved.tmp")...), path)
	}
}

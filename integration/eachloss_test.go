package integration

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// TestDiskTurnsReadOnlyAtEachChange is the same life on a disk that turns read-only, as many do after an error, and is mounted anew later.
// What was written last may be lost then, as with a loss of power. Most of these lives take half a minute, for which the database tries
// to be closed.
func TestDiskTurnsReadOnlyAtEachChange(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	eachOf(t, []int{20}, readOnlyFrom)
}

func readOnlyFrom(t *testing.T, n int) bool {
	l := newDiskLife(t, "readonly", n)
	if !l.live() {
		return false
	}
	endMount(t, l.p, "fail")
	l.remountDisk()
	l.goOn()
	return true
}

// TestPowerIsCutAtEachChange is the life of TestDiesAtEachChangeOfItsState with a loss of power in place of a death: of what
// was written to state and cache only what was synced is there. No start is refused for that, and all that was synced or flushed
// is there.
func TestPowerIsCutAtEachChange(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	eachOf(t, []int{20, 51, 74, 103, 140}, cutPowerAt)
}

func cutPowerAt(t *testing.T, n int) bool {
	l := newDiskLife(t, "cut", n)
	if !l.live() {
		return false
	}
	for _, st := range l.p.Statuses() {
		_ = unix.Kill(st.PID, unix.SIGKILL)
		program.AwaitGone(t, st.PID)
	}
	_ = unix.Unmount(l.p.Point, unix.MNT_DETACH)
	l.remountDisk()
	l.goOn()
	return true
}

// goOn mounts on the disk as it is now.
func (l *diskLife) goOn() {
	if _, errs, status := l.p.Try("", "mount", l.p.Point); status != 0 {
		require.NotContains(l, errs, "damaged")
		l.p.Login()
		l.p.Mount()
	}
	requireOneOf(l.T, l.may, contents(l.T, l.p))
	sameInCloud(l.T, l.p, l.account, ".")
	requireOneOf(l.T, l.may, contents(l.T, l.p))
	l.p.Run("unmount", l.p.Point)
}

// requireOneOf wants each path as it was after one of some deeds.
func requireOneOf(t *testing.T, may []map[string]string, here map[string]string) {
	t.Helper()
	all := maps.Clone(here)
	for _, m := range may {
		maps.Copy(all, m)
	}
	for path := range all {
		var want []string
		for _, m := range may {
			want = append(want, m[path]) // "": it isn't there
		}
		if slices.Contains(want, "") || path == "saved.tmp" {
			continue // it may be there in part
		}
		require.Contains(t, want, here[path], "%s of %v", path, fmt.Sprint(here))
	}
}

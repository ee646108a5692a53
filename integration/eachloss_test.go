package integration

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestDiskTurnsReadOnlyAtEachChange is the same life on a disk that turns read-only, as many do after an error, and is mounted anew later.
// What was written last may be lost then, as with a loss of power. Most of these lives take half a minute, for which the database tries
// to be closed.
func TestDiskTurnsReadOnlyAtEachChange(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	for _, n := range someOf([]int{20}) {
		met := true
		t.Run(strconv.Itoa(n), func(t *testing.T) { met = readOnlyFrom(t, n) })
		if !met {
			break
		}
	}
}

func readOnlyFrom(t *testing.T, n int) bool {
	l := newUnsafeLife(t, "readonly", n)
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
	for _, n := range someOf([]int{20, 51, 74, 103, 140}) {
		met := true
		t.Run(strconv.Itoa(n), func(t *testing.T) { met = cutPowerAt(t, n) })
		if !met {
			break
		}
	}
}

func cutPowerAt(t *testing.T, n int) bool {
	l := newUnsafeLife(t, "cut", n)
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

// unsafeLife is one in which the disk may lose what was written last.
type unsafeLife struct {
	*testing.T
	p             *program.Program
	account       *megatest.Account
	disk          *exec.Cmd
	told          *os.File
	point, folder string              // of the disk
	may           []map[string]string // what the drive may hold: as after the last safe deed, or a later one
}

func newUnsafeLife(t *testing.T, how string, n int) *unsafeLife {
	l := &unsafeLife{T: t, point: t.TempDir(), folder: t.TempDir()}
	l.p, l.account = program.WithAccount(t)
	l.account.PutFile(l.account.Root(), "old", []byte("old"), megatestTime)
	l.account.PutFile(l.account.Root(), "saved", []byte("saved"), megatestTime)
	var err error
	l.told, err = os.Create(filepath.Join(t.TempDir(), "told"))
	require.NoError(t, err)
	t.Cleanup(func() { l.told.Close() })
	l.disk = runBadDisk(t, l.told, l.point, l.folder, how, strconv.Itoa(n))
	l.p.Env = append(l.p.Env, "MEGADISK_STATE_DIR="+filepath.Join(l.point, "state"), "MEGADISK_CACHE_DIR="+filepath.Join(l.point, "cache"))
	return l
}

// live goes on until something fails; false: there are fewer changes.
func (l *unsafeLife) live() bool {
	life := lifeOfAMount()
	l.may = []map[string]string{life[0].holds}
	var failed error
	for _, d := range life {
		l.may = append(l.may, d.holds)
		if failed = d.do(l.p); failed != nil {
			break
		}
		if d.safe {
			l.may = []map[string]string{d.holds}
		}
	}
	what, err := os.ReadFile(l.told.Name())
	require.NoError(l, err)
	if len(what) == 0 {
		require.NoError(l, failed)
		return false
	}
	l.Logf("%s: %v", strings.TrimSpace(string(what)), failed)
	return true
}

// remountDisk makes a good disk of what is left.
func (l *unsafeLife) remountDisk() {
	require.Eventually(l, func() bool { return unix.Unmount(l.point, 0) == nil }, bounded, time.Millisecond)
	require.NoError(l, l.disk.Wait())
	runBadDisk(l.T, l.told, l.point, l.folder)
}

// goOn mounts on the disk as it is now.
func (l *unsafeLife) goOn() {
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

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// diskLife is a life of a mount whose state and cache are on a disk that goes bad at one change.
type diskLife struct {
	*testing.T
	p             *program.Program
	account       *megatest.Account
	disk          *exec.Cmd
	told          *os.File
	point, folder string              // of the disk
	before, after map[string]string   // what the drive held before the deed that failed, and would have held after it
	may           []map[string]string // what the drive may hold if what was written last is lost: as after the last safe deed, or a later one
}

func newDiskLife(t *testing.T, how string, n int) *diskLife {
	l := &diskLife{T: t, point: t.TempDir(), folder: t.TempDir()}
	l.p, l.account = program.WithAccount(t)
	putOldFiles(l.account)
	var err error
	l.told, err = os.Create(filepath.Join(t.TempDir(), "told"))
	require.NoError(t, err)
	t.Cleanup(func() { l.told.Close() })
	l.disk = runBadDisk(t, l.told, l.point, l.folder, how, strconv.Itoa(n))
	l.p.Env = append(l.p.Env, "MEGADISK_STATE_DIR="+filepath.Join(l.point, "state"), "MEGADISK_CACHE_DIR="+filepath.Join(l.point, "cache"))
	return l
}

// live goes on until something fails; false: there are fewer changes.
func (l *diskLife) live() bool {
	life := lifeOfAMount()
	l.before = life[0].holds
	l.may = []map[string]string{l.before}
	var failed error
	for _, d := range life {
		l.after = d.holds
		l.may = append(l.may, d.holds)
		if failed = d.do(l.p); failed != nil {
			break
		}
		l.before = d.holds
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
func (l *diskLife) remountDisk() {
	require.Eventually(l, func() bool { return unix.Unmount(l.point, 0) == nil }, bounded, time.Millisecond)
	require.NoError(l, l.disk.Wait())
	runBadDisk(l.T, l.told, l.point, l.folder)
}

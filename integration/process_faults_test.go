package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// What the machine and its people do to the mounting process, and what is kept.

// requireGoesOn looks whether the mount shows what programs were told is there, and then whether the cloud comes to hold
// the same.
func requireGoesOn(t *testing.T, p *program.Program, account *megatest.Account, acknowledged map[string]string) {
	t.Helper()
	for name, want := range acknowledged {
		require.Equal(t, want, string(readFile(t, p.Point, name)), name)
	}
	require.NoError(t, os.WriteFile(filepath.Join(p.Point, "later"), []byte("later"), 0o644))
	sameInCloud(t, p, account, ".")
}

// A process that is stopped (SIGSTOP, a suspended machine) lets programs wait, not fail; those that have enough of it can
// be killed. When it goes on, so do they, and what happened elsewhere meanwhile shows. MEGADISK_LONG=1 stops it for
// longer than every connection lives.
func TestStoppedProcess(t *testing.T) {
	p, account := mountedProgram(t)
	content := noise(300_000, 1)
	account.PutFile(account.Root(), "cloud", content, megatestTime)
	path := await(t, p, "cloud")
	pid := p.Statuses()[0].PID
	require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGCONT) })
	require.Eventually(t, func() bool { return stateOf(t, pid) == "T" }, bounded, time.Millisecond)
	impatient := start(t, "cat", path)
	reader := start(t, "cmp", path, path)
	writer := start(t, "sh", "-c", "echo new >"+filepath.Join(p.Point, "new"))
	require.NoError(t, impatient.Process.Kill())
	require.EqualError(t, impatient.Wait(), "signal: killed")
	account.PutFile(account.Root(), "elsewhere", []byte("elsewhere"), megatestTime)
	if os.Getenv("MEGADISK_LONG") == "1" {
		pause := time.NewTimer(3 * time.Minute)
		<-pause.C
	}
	require.NoError(t, unix.Kill(pid, unix.SIGCONT))
	require.NoError(t, reader.Wait())
	require.NoError(t, writer.Wait())
	requireEventuallyFile(t, filepath.Join(p.Point, "elsewhere"), "elsewhere")
	requireGoesOn(t, p, account, map[string]string{"cloud": string(content), "new": "new\n"})
	require.Equal(t, pid, p.Statuses()[0].PID)
}

// stateOf is a process's state as /proc has it: one letter.
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}

// When the kernel aborts the connection, programs get an error at once, the process ends in good order, and the next
// mount has all that was acknowledged.
func TestAbortedConnection(t *testing.T) {
	needs.Root(t)
	p, account := mountedProgram(t)
	control := t.TempDir()
	require.NoError(t, unix.Mount("fusectl", control, "fusectl", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(control, unix.MNT_DETACH)) })
	p.Server.Faults().FailBatch("", -3, megatest.Always) // all of it is still to be sent
	p.Shell("echo closed >closed")
	open, err := os.Create(filepath.Join(p.Point, "open"))
	require.NoError(t, err)
	_, err = open.WriteString("synced")
	require.NoError(t, errors.Join(err, open.Sync()))
	pid := p.Statuses()[0].PID

	var st unix.Stat_t
	require.NoError(t, unix.Stat(p.Point, &st))
	abort := filepath.Join(control, fmt.Sprint(unix.Minor(st.Dev)), "abort")
	require.NoError(t, os.WriteFile(abort, []byte("1"), 0o200))
	_, err = open.WriteString("more")
	require.Error(t, err)
	_ = open.Close()
	_, err = os.ReadFile(filepath.Join(p.Point, "closed"))
	require.ErrorIs(t, err, unix.ENOTCONN)
	program.AwaitGone(t, pid)
	p.Server.Faults().Clear()
	p.Mount()
	requireGoesOn(t, p, account, map[string]string{"closed": "closed\n", "open": "synced"})
}

// `umount -l` takes the mount out of sight; who has a file open goes on with it, and the process ends with the last.
func TestLazyUnmount(t *testing.T) {
	p, account := mountedProgram(t)
	open, err := os.Create(filepath.Join(p.Point, "open"))
	require.NoError(t, err)
	_, err = open.WriteString("before ")
	require.NoError(t, err)
	pid := p.Statuses()[0].PID
	require.NoError(t, start(t, "umount", "-l", p.Point).Wait())
	require.NoFileExists(t, filepath.Join(p.Point, "open"))
	_, err = open.WriteString("after")
	require.NoError(t, errors.Join(err, open.Sync(), open.Close()))
	program.AwaitGone(t, pid)
	p.Mount()
	requireGoesOn(t, p, account, map[string]string{"open": "before after"})
}

// Who mounts again in the place of what was taken out of sight keeps that mount when the last file of the other is closed.
func TestMountedAgainAfterALazyUnmount(t *testing.T) {
	p, account := mountedProgram(t)
	open, err := os.Create(filepath.Join(p.Point, "open"))
	require.NoError(t, err)
	pid := p.Statuses()[0].PID
	require.NoError(t, start(t, "umount", "-l", p.Point).Wait())
	p.Mount()
	require.Equal(t, pid, p.Statuses()[0].PID, "the process is the same")
	_, err = open.WriteString("text")
	require.NoError(t, errors.Join(err, open.Close()))
	ended, err := program.Ends(pid, time.Second)
	require.NoError(t, err)
	require.False(t, ended)
	requireGoesOn(t, p, account, map[string]string{"open": "text"})
	p.Run("unmount", p.Point)
	program.AwaitGone(t, pid)
}

// A signal ends the process also while programs have files open; what they wrote is there at the next mount.
func TestEndedWithOpenFiles(t *testing.T) {
	p, account := mountedProgram(t)
	open, err := os.Create(filepath.Join(p.Point, "open"))
	require.NoError(t, err)
	_, err = open.WriteString("written")
	require.NoError(t, errors.Join(err, open.Sync()))
	pid := p.Statuses()[0].PID
	require.NoError(t, unix.Kill(pid, unix.SIGTERM))
	program.AwaitGone(t, pid)
	_, err = open.WriteString("more")
	require.Error(t, err)
	_ = open.Close()
	p.Mount()
	requireGoesOn(t, p, account, map[string]string{"open": "written"})
}

// Hundreds of programs at once, each of which makes, reads, renames and lists, are all served.
func TestForkStorm(t *testing.T) {
	p, account := mountedProgram(t)
	p.Shell(`for i in $(seq 150); do
		(echo $i >new$i && read x <new$i && [ $x = $i ] && mkdir dir$i && mv new$i dir$i/file && echo done >new$i; ls >/dev/null) &
	done; wait`)
	acknowledged := map[string]string{}
	for i := 1; i <= 150; i++ {
		acknowledged[fmt.Sprintf("dir%d/file", i)], acknowledged[fmt.Sprint("new", i)] = fmt.Sprintln(i), "done\n"
	}
	requireGoesOn(t, p, account, acknowledged)
}

// limits are what may run out for a process while it works.
var limits = map[string]struct {
	resource int
	most     func(t *testing.T, pid int) uint64
}{
	"descriptors": {unix.RLIMIT_NOFILE, func(*testing.T, int) uint64 { return 0 }}, // none more than it has
	"memory":      {unix.RLIMIT_AS, func(t *testing.T, pid int) uint64 { return uint64(memoryOf(t, pid, "VmSize")) + 1<<20 }},
}

// Whatever runs out for the process, no program is told that something is there that isn't: it gets an error, or the
// process ends, and then the next mount has all that was acknowledged.
func TestLimitsOfTheProcess(t *testing.T) {
	for name, limit := range limits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, account := mountedProgram(t)
			want := map[string]string{"cloud": string(noise(6<<20, 1))}
			account.PutFile(account.Root(), "cloud", []byte(want["cloud"]), megatestTime)
			await(t, p, "cloud")
			pid := p.Statuses()[0].PID
			var was unix.Rlimit
			require.NoError(t, unix.Prlimit(pid, limit.resource, nil, &was))
			require.NoError(t, unix.Prlimit(pid, limit.resource, &unix.Rlimit{Cur: limit.most(t, pid), Max: was.Max}, nil))
			var mu sync.Mutex
			var refused atomic.Int32
			var programs sync.WaitGroup
			for i := range 4 {
				programs.Go(func() {
					for j := range 25 {
						name, text := fmt.Sprintf("%d-%d", i, j), strings.Repeat(fmt.Sprint(j), 30_000)
						if err := os.WriteFile(filepath.Join(p.Point, name), []byte(text), 0o644); err != nil {
							if refused.Add(1) == 1 {
								t.Log(err)
							}
							continue
						}
						mu.Lock()
						want[name] = text
						mu.Unlock()
					}
				})
			}
			programs.Go(func() { _, _ = os.ReadFile(filepath.Join(p.Point, "cloud")) })
			programs.Wait()
			t.Logf("%d of 100 writes were refused", refused.Load())
			_ = unix.Prlimit(pid, limit.resource, &was, nil) // it may be gone,
			ended, err := program.Ends(pid, 3*time.Second)   // or about to go
			require.NoError(t, err)
			if ended {
				t.Log("the process has ended")
				for _, log := range p.Logs() { // what Go says at such an end is no panic of ours
					require.NoError(t, os.Truncate(log, 0))
				}
				p.Run("unmount", p.Point)
				p.Mount()
			}
			for i := range 4 { // what was refused may be there, in part
				for j := range 25 {
					if name := fmt.Sprintf("%d-%d", i, j); want[name] == "" {
						_ = os.Remove(filepath.Join(p.Point, name))
					}
				}
			}
			requireGoesOn(t, p, account, want)
		})
	}
}

package integration

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// The same command in the forms in which people type it.

func TestFlagsBeforeTheCommandReachTheBackground(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	for _, args := range [][]string{
		{"--api-url", p.Server.URL(), "mount", p.Point},
		{"--log-level", "debug", "mount", "-o", "ro", p.Point},
		{"mount", "--foreground=false", p.Point}, // it once started itself without end
		{"mount", "-o", "foreground=false,umask=077", p.Point},
		{"mount", "--", p.Point},
		{"mount", "/", p.Point},
	} {
		p.Run(args...)
		require.Len(t, p.Statuses(), 1, "one process: %v", args)
		p.Run("unmount", p.Point)
	}
}

func TestRelativeFoldersAndTheWorkingDirectory(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	t.Chdir(p.Dir)
	p.Env = append(p.Env, "MEGADISK_STATE_DIR=state", "MEGADISK_CACHE_DIR=./cache")
	p.Run("mount", "mnt")
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.Statuses()[0].PID))
	if err == nil { // the process is not dumpable: only root may look
		require.Equal(t, "/", cwd, "the mount keeps no other folder busy")
	}
	require.NoError(t, os.WriteFile(filepath.Join(p.Point, "f"), []byte("text"), 0o644))
	p.Run("unmount", "./mnt")
	require.NotEmpty(t, p.Logs(), "the state is where the relative path led")
}

func TestSymbolicLinkToTheMountPoint(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	link := filepath.Join(p.Dir, "link")
	require.NoError(t, os.Symlink("mnt", link))
	p.Run("mount", link)
	require.Equal(t, p.Point, p.Statuses()[0].Mounts[0].Mountpoint, "as the kernel lists it")
	require.Contains(t, refused(t, p, 6, "", "mount", p.Point), "already mounted")
	p.Shell("echo text >f")
	p.Run("flush", filepath.Join(link, "f"))
	p.Run("unmount", link)
	require.Empty(t, p.Statuses())
}

func TestFlushSaysWhatItWaitsFor(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	p.Server.Close()
	p.Shell("echo text >f")
	for _, args := range [][]string{{"flush"}, {"unmount", p.Point}} {
		cmd := p.Command(args...)
		said, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(said).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, "waiting")
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		_ = cmd.Wait()
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%v", args)
		require.Len(t, p.Statuses(), 1, "it stays mounted")
	}
	p.Run("unmount", "--no-wait", p.Point)
}

func TestUmask(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	account.PutFile(account.Mkdir(account.Root(), "d"), "f", nil, megatestTime)
	p.Login()
	for _, mask := range []string{"9", "22abc", "0o22", "-1", "1777", "0x10"} {
		require.Contains(t, refused(t, p, 2, "", "mount", p.Point, "--umask="+mask), "octal", mask)
	}
	for mask, modes := range map[string]string{"027": "640\n750\n", "002": "664\n775\n", "0": "666\n777\n"} {
		p.Run("mount", p.Point, "--umask", mask)
		require.Equal(t, modes, p.Shell("stat -c %a d/f d"), mask)
		p.Run("unmount", p.Point)
	}
}

func TestUsageMistakes(t *testing.T) {
	p, _ := program.WithAccount(t)
	p.Login()
	require.Contains(t, refused(t, p, 2, "", "munt", p.Point), `no command "munt"`)
	require.Contains(t, refused(t, p, 2, "", "mount", ""), "mount point is empty")
	require.Contains(t, refused(t, p, 2, "", "unmount", ""), "mount point is empty")
	require.Contains(t, refused(t, p, 2, "", "mount", "https://mega.nz/folder/abc", p.Point), "not all of it")
	key := strings.Repeat("A", 22)
	text := refused(t, p, 8, "", "mount", "https://mega.nz/folder/abcdefgh#"+key, p.Point)
	require.Contains(t, text, "leads nowhere")
	require.NotContains(t, text, key, "a link holds its key")
}

func TestPathsThatAreNotThere(t *testing.T) {
	p, _ := mountedProgram(t)
	p.Shell("echo text >f")
	for _, path := range []string{filepath.Join(p.Point, "nothing"), filepath.Join(p.Point, "no folder/f")} {
		for _, cmd := range []string{
			"flush", "pin", "unpin", "free", "verify", "link", "link --remove", "share", "find", "du", "versions", "bin restore f --to",
		} {
			text := refused(t, p, 8, "", append(strings.Fields(cmd), path)...)
			require.Equal(t, "megadisk: there is no "+path, text, cmd)
		}
	}
	none := filepath.Join(p.Dir, "none")
	require.Equal(t, "megadisk: there is no "+none, refused(t, p, 8, "", "put", none, p.Point))
}

func TestSignalsUnmountAMountInFront(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	for _, end := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		cmd := p.Command("mount", "-f", p.Point)
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool {
			all := p.Statuses()
			return len(all) == 1 && len(all[0].Mounts) == 1
		}, bounded, 10*time.Millisecond)
		p.Shell("echo text >f")
		require.NoError(t, cmd.Process.Signal(end))
		require.NoError(t, cmd.Wait(), "%v", end)
		require.NoFileExists(t, filepath.Join(p.Point, "f"), "it is unmounted")
	}
}

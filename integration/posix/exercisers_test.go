package posix

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/program"
	"megadisk/integration/steady"
)

// TestFsx lets fsx work on a file, which it compares itself after each operation; what is in the cloud then is the same.
func TestFsx(t *testing.T) {
	exercise(t, "MEGADISK_FSX", func(point string) []string {
		return []string{"-q", "-N", strconv.Itoa(scale(20_000)), "-S", seed(), "-P", t.TempDir(), filepath.Join(point, "file")}
	})
}

// TestFsstress lets four processes of fsstress do all that they can think of to one folder; another machine then shows the same.
func TestFsstress(t *testing.T) {
	exercise(t, "MEGADISK_FSSTRESS", func(point string) []string {
		return []string{"-d", filepath.Join(point, "dir"), "-p", "4", "-n", strconv.Itoa(scale(1000)), "-s", seed()}
	})
}

// exercise runs the program that a variable names, if any, in a mount, and compares that with a mount of another machine.
func exercise(t *testing.T, variable string, args func(point string) []string) {
	bin := os.Getenv(variable)
	if bin == "" {
		t.Skipf("SKIPPED, NOT RUN: %s names no program", variable)
	}
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	// A mode that a program asks for by its umask alone isn't stored (docs/DECISIONS.md, 7): here the same for all.
	cmd := exec.Command("sh", append([]string{"-c", `umask 0 && exec "$@"`, "sh", bin}, args(p.Point)...)...)
	cmd.Dir = t.TempDir()
	t.Log(cmd.Args)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	p.Run("flush")
	other := program.New(t, p.Server)
	other.Login()
	other.Run("mount", "--umask", "0", other.Point)
	want := shown(t, p.Point)
	require.NotEmpty(t, want)
	require.Equal(t, want, shown(t, other.Point))
}

// scale is how much is done: ten times as much in the long form.
func scale(n int) int {
	if os.Getenv("MEGADISK_LONG") == "1" {
		return 10 * n
	}
	return n
}

func seed() string { return strconv.FormatUint(steady.Seed()%(1<<31), 10) }

// shown is all that lies below a folder: kind, mode, and content or target.
func shown(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var content []byte
		switch {
		case info.Mode().IsRegular():
			content, err = os.ReadFile(path)
		case info.Mode()&fs.ModeSymlink != 0:
			var target string
			target, err = os.Readlink(path)
			content = []byte(target)
		}
		name, _ := filepath.Rel(dir, path)
		all[name] = fmt.Sprintf("%v %d %x", info.Mode(), len(content), sha256.Sum256(content))
		return err
	}))
	return all
}

package fs_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"megadisk/integration/harness"
)

// childVariable tells this test program to be a child that does something that its parent, which also serves the
// mount, must not do itself.
const childVariable = "MEGADISK_FS_CHILD"

// children are what a child can do; their arguments are those of the program.
var children = map[string]func(args []string) error{
	"mmap": mmapChild,
}

func TestMain(m *testing.M) {
	syscall.Umask(0o022) // whatever the shell's is
	if name := os.Getenv(childVariable); name != "" {
		if err := children[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// A fusermount3 that mounts nothing is waited for by go-fuse until the process ends (TestBrokenFusermount).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hanwen/go-fuse/v2/fuse.getConnection"))
}

// inChild runs one of children in a process of its own.
func inChild(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// mtime is a moment that no test happens in.
var mtime = time.Unix(1600000000, 0)

// pattern makes n bytes that differ from place to place.
func pattern(seed uint64, n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(p)
	return p
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, data, 0o644))
}

func requireContent(t *testing.T, want []byte, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s: %d bytes differ from the %d wanted", path, len(got), len(want))
}

// requireInCloud asks the server, as another client would.
func requireInCloud(t *testing.T, h *harness.Harness, want []byte, path string) {
	t.Helper()
	e, ok := h.Account.Tree()[path]
	require.True(t, ok, "%s isn't in the cloud", path)
	require.NoError(t, e.Err)
	require.Equal(t, sha256.Sum256(want), e.Hash, "content of %s in the cloud", path)
}

// names lists a folder in the order in which it comes.
func names(t *testing.T, dir string) []string {
	t.Helper()
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	list, err := f.Readdirnames(-1)
	require.NoError(t, err)
	return list
}

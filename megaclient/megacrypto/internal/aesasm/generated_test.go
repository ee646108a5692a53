package aesasm_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is checked in is what the generator writes. It needs avo, from the network the first time: where
// that can't be had the test skips, or fails if MEGADISK_REQUIRE_AVO is set.
func TestGeneratedIsCurrent(t *testing.T) {
	if out, err := inGenerator("mod", "download"); err != nil {
		require.Empty(t, os.Getenv("MEGADISK_REQUIRE_AVO"), "avo is required: %v\n%s", err, out)
		t.Skipf("NO AVO: whether the assembly is what its generator writes is NOT CHECKED: %v\n%s", err, out)
	}
	dir := t.TempDir()
	const code, stubs = "aesasm_amd64.s", "stubs_amd64.go"
	out, err := inGenerator("run", ".", "-pkg", "aesasm", "-out", filepath.Join(dir, code), "-stubs", filepath.Join(dir, stubs))
	require.NoError(t, err, "%s", out)
	for _, name := range []string{code, stubs} {
		require.Equal(t, withoutCommand(t, filepath.Join(dir, name)), withoutCommand(t, name), "%s: run go generate", name)
	}
}

func inGenerator(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = "gen"
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	return cmd.CombinedOutput()
}

// withoutCommand reads a file but for its first line, which names the paths given to the generator.
func withoutCommand(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	first, rest, ok := bytes.Cut(b, []byte("\n"))
	require.True(t, ok && bytes.Contains(first, []byte("Code generated")), "%s", name)
	return string(rest)
}

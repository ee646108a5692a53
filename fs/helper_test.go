package fs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBrokenFusermount: a helper that can't do its work is a plain error before or while it mounts, never a mount that
// hangs.
func TestBrokenFusermount(t *testing.T) {
	if _, err := os.Stat(devFuse); err != nil {
		t.Skip("SKIPPED, NOT RUN: there is no " + devFuse)
	}
	defer func(patience time.Duration) { helperPatience = patience }(helperPatience)
	const asks = `[ "$1" = --version ] && { echo "fusermount3 version: 3.14.0"; exit 0; }; `
	for name, c := range map[string]struct {
		script string
		want   error
	}{
		"fails":                {"echo sorry >&2; exit 1", ErrBadHelper},
		"says nothing":         {"exit 0", ErrBadHelper},
		"is another program":   {"echo BusyBox v1.36", ErrBadHelper},
		"is ancient":           {"echo fusermount version: 2.5.3", ErrOldHelper},
		"refuses to mount":     {asks + "exit 1", ErrBadHelper},
		"mounts nothing":       {asks + "exit 0", ErrBadHelper},
		"can't be run at all":  {"", ErrBadHelper},
		"never says a version": {"exec sleep 1000", ErrBadHelper},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			helper := filepath.Join(dir, "fusermount3")
			interpreter := "#!/bin/sh\n"
			if c.script == "" {
				interpreter = "#!/nowhere/sh\n"
			}
			require.NoError(t, os.WriteFile(helper, []byte(interpreter+c.script+"\n"), 0o755))
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			helperPatience = 30 * time.Second
			if name == "mounts nothing" || name == "never says a version" { // those are waited for in vain
				helperPatience = 2 * time.Second
			}
			f := newFake(t)
			_, err := mount(t.TempDir(), f, f, Options{}, false)
			require.ErrorIs(t, err, c.want)
		})
	}
}

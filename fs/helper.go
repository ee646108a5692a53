package fs

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// fusermount3 mounts for users who aren't root. It is another package's, and what may be wrong with it is found before it
// is relied on.

// helperPatience is how long it may take.
var helperPatience = 30 * time.Second

// helperVersion is in what it says of itself: "fusermount3 version: 3.14.0".
var helperVersion = regexp.MustCompile(`\bversion:? (\d+)\.(\d+)`)

// checkHelper asks it for its version.
func checkHelper(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), helperPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second // what it started may hold its output open
	out, err := cmd.CombinedOutput()
	version := helperVersion.FindSubmatch(out)
	if err != nil || version == nil {
		return ErrBadHelper
	}
	major, _ := strconv.Atoi(string(version[1]))
	minor, _ := strconv.Atoi(string(version[2]))
	if major < 2 || major == 2 && minor < 9 {
		return ErrOldHelper
	}
	return nil
}

// newServer is fuse.NewServer, which waits for ever for a helper that ends without having mounted.
func newServer(raw fuse.RawFileSystem, path string, o *fuse.MountOptions, direct bool) (*fuse.Server, error) {
	if direct {
		return fuse.NewServer(raw, path, o)
	}
	type result struct {
		server *fuse.Server
		err    error
	}
	got := make(chan result, 1)
	go func() { // of a helper that doesn't mount, this ends with the process
		server, err := fuse.NewServer(raw, path, o)
		got <- result{server, err}
	}()
	select {
	case r := <-got:
		if r.err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadHelper, r.err)
		}
		return r.server, nil
	case <-time.After(helperPatience):
		return nil, ErrBadHelper
	}
}

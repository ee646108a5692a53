package integration

import (
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"github.com/stretchr/testify/require"

	"megadisk/integration/harness"
)

// notOurs are the cases of go-fuse's suite that don't apply, and why.
var notOurs = map[string]string{
	"Link":             "MEGA's nodes have one parent: hard links are EPERM",
	"LinkUnlinkRename": "hard links are EPERM",
	"XAttrLarge":       "all xattrs of a file are at most 4 KiB together, since they stand in the node's attributes: ENOSPC",
	"Tmpfile":          "O_TMPFILE isn't supported: EOPNOTSUPP, and programs then name their file",
	// It wants two locks of one process to conflict, and says itself that it is about filesystems that forward locks.
	// fcntl(2): a process never conflicts with itself. The kernel keeps our locks; see TestLocks in package fs.
	"FcntlFlockLocksFile": "locks are the kernel's own, whose owner is the process",
}

// TestPosix runs go-fuse's POSIX suite against a mount, each case in an empty account.
func TestPosix(t *testing.T) {
	for name := range notOurs {
		require.Contains(t, posixtest.All, name, "the suite has no such case any more")
	}
	for name, run := range posixtest.All {
		t.Run(name, func(t *testing.T) {
			if why, skip := notOurs[name]; skip {
				t.Skip("does not apply: " + why)
			}
			run(t, harness.New(t).Dir)
		})
	}
}

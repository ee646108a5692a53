package harness

import (
	"bytes"
	"context"
	"os/exec"
	"path"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// Await waits until the mount shows a path: the tree has it and the kernel has been told.
func (h *Harness) Await(path string) tree.Inode {
	h.T.Helper()
	return h.AwaitInode(path, func(tree.Inode) bool { return true })
}

// AwaitGone waits until the mount doesn't show a path any more.
func (h *Harness) AwaitGone(path string) {
	h.T.Helper()
	h.await(func() bool { _, err := h.lookup(path); return err != nil })
}

// AwaitInode waits until what a path stands for fulfils a condition.
func (h *Harness) AwaitInode(path string, cond func(tree.Inode) bool) (in tree.Inode) {
	h.T.Helper()
	h.await(func() (ok bool) {
		var err error
		in, err = h.lookup(path)
		return err == nil && cond(in)
	})
	return in
}

// AwaitIn waits until a path below an inode (the bin, the shares) is there.
func (h *Harness) AwaitIn(top tree.Ino, path string) {
	h.T.Helper()
	h.await(func() bool { _, err := h.lookupIn(top, path); return err == nil })
}

// AwaitGoneIn waits until it isn't.
func (h *Harness) AwaitGoneIn(top tree.Ino, path string) {
	h.T.Helper()
	h.await(func() bool { _, err := h.lookupIn(top, path); return err != nil })
}

// AwaitRow waits until the tree has, or hasn't, a row for an inode. A row that goes makes no event, so that this looks
// again and again.
func (h *Harness) AwaitRow(ino tree.Ino, want bool) {
	h.T.Helper()
	require.Eventually(h.T, func() bool {
		_, err := h.Engine.Tree().Get(ino)
		return (err == nil) == want
	}, Deadline, 10*time.Millisecond, "row of inode %d", ino)
}

// await looks again whenever the tree has changed.
func (h *Harness) await(cond func() bool) {
	h.T.Helper()
	ctx := h.Context()
	changed := make(chan struct{}, 1)
	cancel := h.Engine.Tree().Subscribe(func([]tree.Change) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer cancel()
	for !cond() {
		select {
		case <-changed:
		case <-ctx.Done():
			require.FailNow(h.T, "what the test waits for did not come")
		}
	}
	h.Settled(ctx)
}

// Settled waits until the kernel has been told of everything in the tree.
func (h *Harness) Settled(ctx context.Context) {
	h.T.Helper()
	if h.Mount != nil {
		require.NoError(h.T, h.Mount.Settled(ctx))
	}
}

// Drain waits until all that was done here is in the cloud.
func (h *Harness) Drain() {
	h.T.Helper()
	require.NoError(h.T, h.Engine.Flush(h.Context(), 0))
}

// lookup finds a path, relative to the drive, in the tree: the test's process needs no system call for that.
func (h *Harness) lookup(p string) (tree.Inode, error) { return h.lookupIn(tree.DriveIno, p) }

func (h *Harness) lookupIn(top tree.Ino, p string) (tree.Inode, error) {
	t := h.Engine.Tree()
	in, err := t.Get(top)
	for _, name := range strings.Split(path.Clean("/"+p), "/") {
		if err != nil {
			return in, err
		}
		if name != "" {
			in, err = t.Lookup(in.Ino, name)
		}
	}
	return in, err
}

// Stop ends mount and engine as an orderly exit does, for a harness that goes on with the same state.
func (h *Harness) Stop() {
	h.T.Helper()
	if h.Mount != nil {
		require.NoError(h.T, h.Mount.Unmount())
	}
	h.stopRun()
}

// Run runs a shell script in a folder of the mount and gives what it printed; it must succeed.
func (h *Harness) Run(dir, script string) string {
	h.T.Helper()
	// The child changes the folder, not fork: see the package comment.
	cmd := exec.CommandContext(h.Context(), "sh", "-ec", `cd "$1"; `+script, "sh", h.Path(dir))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(h.T, cmd.Run(), "%s\n%s", script, &out)
	return out.String()
}

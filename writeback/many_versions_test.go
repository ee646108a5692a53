package writeback

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
)

// manyVersions makes older versions of a file known here, numbered from first on.
func (r *rig) manyVersions(p string, first, n int) {
	r.Helper()
	in, err := r.engine.Tree().Get(r.ino(p))
	require.NoError(r, err)
	r.inSteps(n, func(c *change, i int) error {
		v := r.foreignFile(first+i, 0)
		v.Parent, v.Version = in.Cloud.Handle, true
		return c.ApplyNode(v, "")
	})
}

// The older versions of a file are rows of their own, and what takes the file's place takes them along, or they go with it.
// So an answer about files that were saved often writes many rows, and must not be more than a transaction takes.
func TestAnswersAboutFilesWithManyVersions(t *testing.T) {
	const files, versions = 12, 1400
	for name, change := range map[string]func(r *rig){
		"replaced": func(r *rig) {
			for i := range files {
				r.write(fmt.Sprintf("new-%d", i), "new")
				r.rename(fmt.Sprintf("new-%d", i), fmt.Sprintf("d/%d", i))
			}
		},
		"removed": func(r *rig) {
			for i := range files {
				r.unlink(fmt.Sprintf("d/%d", i))
			}
		},
		"removed with their folder": func(r *rig) {
			for i := range files {
				r.unlink(fmt.Sprintf("d/%d", i))
			}
			r.rmdir("d")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, settleNever)
			dir := r.account.Mkdir(r.account.Root(), "d")
			for i := range files {
				r.account.PutFile(dir, fmt.Sprint(i), []byte("old"), time.Time{})
			}
			r.caughtUp()
			for i := range files {
				r.manyVersions(fmt.Sprintf("d/%d", i), i*versions, versions)
			}
			r.server.Faults().FailPoll(int(megaclient.EAGAIN), megatest.Always) // the answers come first
			change(r)
			r.flush()
			r.server.Faults().Clear()
			want, err := r.view()
			require.NoError(t, err)
			require.Equal(t, want, r.cloud())
			r.caughtUp()
			require.NoError(t, r.engine.Tree().CheckInvariants())
		})
	}
}

// The brake's deletions come back with the older versions of the files.
func TestRevertOfFilesWithManyVersions(t *testing.T) {
	const files, versions = 12, 1400
	r := newRig(t, settleNever)
	for i := range files {
		r.account.PutFile(r.account.Root(), fmt.Sprint(i), []byte("old"), time.Time{})
	}
	r.caughtUp()
	for i := range files {
		r.manyVersions(fmt.Sprint(i), i*versions, versions)
	}
	for i := range files {
		r.unlink(fmt.Sprint(i))
	}
	require.NoError(t, r.engine.brake(r.ctx))

	n, err := r.engine.Revert(r.ctx)
	require.NoError(t, err)
	require.Equal(t, files, n)
	list, err := r.engine.Versions(r.ino("7"))
	require.NoError(t, err)
	require.Len(t, list, versions)
}

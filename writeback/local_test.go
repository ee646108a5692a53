package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// localPaths lists what stays here.
func (r *rig) localPaths() []string {
	paths := []string{}
	for _, f := range r.engine.Status().Local {
		paths = append(paths, f.Path)
	}
	return paths
}

func TestFilesForOneMachineStayHere(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("docs")
	names := []string{".~lock.a.odt#", ".a.txt.swp", "4913", "._a", ".DS_Store"}
	for _, name := range names {
		r.write("docs/"+name, "mine")
	}
	r.write("docs/a.txt", "text")
	r.flush()
	require.Equal(t, map[string]string{"docs": "/", "docs/a.txt": "text"}, r.cloud())
	st := r.engine.Status()
	require.Zero(t, st.PendingCount, "what stays here isn't pending")
	require.Zero(t, st.PendingBytes)
	require.Empty(t, st.Pending)
	require.Equal(t, len(names), st.LocalCount)
	require.Equal(t, []string{"/docs/.~lock.a.odt#", "/docs/.a.txt.swp", "/docs/4913", "/docs/._a", "/docs/.DS_Store"}, r.localPaths())
	require.Equal(t, "mine", r.read("docs/4913"))
	state, err := r.engine.FileState(r.ino("docs/4913"))
	require.NoError(t, err)
	require.Equal(t, FileState{Dirty, errHereOnly.Error()}, state)

	r.crash()
	r.start()
	require.Equal(t, len(names), r.engine.Status().LocalCount, "also after a restart, before anything is planned")
	r.flush()
	require.Equal(t, "mine", r.read("docs/.DS_Store"))
	r.unlink("docs/.DS_Store")
	require.Equal(t, len(names)-1, r.engine.Status().LocalCount)
}

func TestTheNameDecidesWhenItIsSent(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a.swp", "a")
	r.write("b", "b")
	r.rename("a.swp", "a")
	r.rename("b", "b.swp")
	r.flush()
	require.Equal(t, map[string]string{"a": "a"}, r.cloud())
	require.Equal(t, []string{"/b.swp"}, r.localPaths())
	r.rename("b.swp", "b")
	require.Equal(t, 1, r.engine.Status().PendingCount)
	r.flush()
	require.Equal(t, map[string]string{"a": "a", "b": "b"}, r.cloud())
	require.Empty(t, r.localPaths())
}

func TestWhatTheCloudHasUnderSuchANameStaysInSync(t *testing.T) {
	r := newRig(t, settleNever)
	old := r.account.PutFile(r.account.Root(), "notes.swp", []byte("theirs"), time.Unix(1e9, 0))
	r.write("plain", "plain")
	r.flush()
	r.caughtUp()
	r.write("notes.swp", "ours")
	r.flush()
	require.Equal(t, "ours", r.cloud()["notes.swp"])

	r.write("new.swp", "saved")
	r.rename("new.swp", "notes.swp")
	r.flush()
	require.Equal(t, "saved", r.cloud()["notes.swp"], "a save by rename is a version of it")
	require.Len(t, r.account.Versions(r.account.Find("notes.swp")), 3)
	require.Contains(t, r.account.Versions(r.account.Find("notes.swp")), old)

	r.rename("plain", "plain.swp")
	r.flush()
	require.Equal(t, "plain", r.cloud()["plain.swp"])

	r.unlink("notes.swp")
	r.write("notes.swp", "anew")
	r.flush()
	require.NotContains(t, r.cloud(), "notes.swp", "removed, and made anew: it is another file")
	require.Equal(t, []string{"/notes.swp"}, r.localPaths())
}

func TestConflictsKeepALocalNameLocal(t *testing.T) {
	r := newRig(t, settleNever)
	r.write(".DS_Store", "mine")
	r.account.PutFile(r.account.Root(), ".DS_Store", []byte("theirs"), time.Unix(1e9, 0))
	r.caughtUp()
	r.flush()
	require.Equal(t, map[string]string{".DS_Store": "theirs"}, r.cloud())
	require.Equal(t, "theirs", r.read(".DS_Store"))
	require.Len(t, r.localPaths(), 1)
	require.Equal(t, "mine", r.read(r.localPaths()[0]))
}

func TestLocalNamesAreConfigurable(t *testing.T) {
	r := newRig(t, func(o *Options) {
		settleNever(o)
		o.LocalNames = []string{"*.tmp"}
	})
	r.write("a.tmp", "")
	r.write("a.swp", "")
	r.flush()
	require.Equal(t, map[string]string{"a.swp": ""}, r.cloud())
}

func TestFsyncToTheCloudDoesNotWaitForALocalFile(t *testing.T) {
	r := newRig(t, func(o *Options) {
		settleNever(o)
		o.FsyncCloud = true
	})
	f := r.create("a.swp")
	defer f.Release()
	_, err := f.WriteAt(r.ctx, []byte("x"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Fsync(r.ctx))
	require.Empty(t, r.cloud())
	_, err = r.engine.Tree().Lookup(tree.DriveIno, "a.swp")
	require.NoError(t, err)
}

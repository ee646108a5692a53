package writeback

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

const (
	trashFiles = "//trash/of-2/files"
	trashInfo  = "//trash/of-2/info"
)

// trashRig is a rig with a trash, and docs/a.txt in the cloud.
func trashRig(t *testing.T, options func(*Options)) *rig {
	t.Helper()
	r := newRig(t, options)
	_, err := r.engine.Trash(r.ctx, tree.DriveIno)
	require.NoError(t, err)
	r.mkdir("docs")
	r.write("docs/a.txt", "a")
	r.flush()
	return r
}

// trash does what a desktop does: a note first, then the file.
func (m *mount) trash(p string) string {
	m.t.Helper()
	name := path.Base(p)
	m.write(trashInfo+"/"+name+".trashinfo", "[Trash Info]\nPath="+p+"\n")
	m.rename(p, trashFiles+"/"+name)
	return trashFiles + "/" + name
}

// binned lists what lies at the top of the server's bin.
func (r *rig) binned() []string {
	names := []string{}
	for p := range r.account.TreeBelow(r.account.Rubbish()) {
		if !strings.Contains(p, "/") {
			names = append(names, p)
		}
	}
	return names
}

func TestTrashIsAMoveToTheBinAndBack(t *testing.T) {
	r := trashRig(t, settleNever)
	h := r.account.Find("docs/a.txt")
	at := r.trash("docs/a.txt")
	r.flush()
	require.Equal(t, map[string]string{"docs": "/"}, r.cloud())
	require.Equal(t, []string{"a.txt"}, r.binned())
	origin, _ := r.account.Attrs(h).String("rr")
	require.Equal(t, r.account.Find("docs"), origin, "other clients can restore it")
	r.caughtUp()
	require.Equal(t, "a", r.read(at))
	require.Equal(t, []string{"a.txt.trashinfo"}, r.names(trashInfo))
	st := r.engine.Status()
	require.Zero(t, st.PendingCount)
	require.Zero(t, st.LocalCount)

	r.crash()
	r.start()
	r.engine.stream.wantFetch() // the cloud's whole tree changes nothing in the view
	r.caughtUp()
	require.Equal(t, "a", r.read(at))

	r.rename(at, "docs/a.txt")
	r.flush()
	require.Equal(t, map[string]string{"docs": "/", "docs/a.txt": "a"}, r.cloud())
	require.Equal(t, h, r.account.Find("docs/a.txt"), "the same node")
	require.Zero(t, r.sent("d"))
}

func TestTrashAndBackBeforeItIsSentIsNothing(t *testing.T) {
	r := trashRig(t, settleNever)
	moves := r.sent("m")
	r.rename(r.trash("docs/a.txt"), "docs/a.txt")
	r.flush()
	require.Equal(t, moves, r.sent("m"))
	require.Equal(t, "a", r.cloud()["docs/a.txt"])
}

func TestWhatNeverReachedTheCloudGoesNowhere(t *testing.T) {
	r := trashRig(t, settleNever)
	r.write("new", "new")
	at := r.trash("new")
	r.mkdir("folder")
	r.write("folder/inside", "inside")
	r.trash("folder")
	r.flush()
	require.Equal(t, map[string]string{"docs": "/", "docs/a.txt": "a"}, r.cloud())
	require.Empty(t, r.binned())
	require.Zero(t, r.engine.Status().PendingCount)
	require.Equal(t, "new", r.read(at))
	r.rename(at, "new")
	r.unlink(trashFiles + "/folder/inside")
	r.rmdir(trashFiles + "/folder")
	r.flush()
	require.Equal(t, map[string]string{"docs": "/", "docs/a.txt": "a", "new": "new"}, r.cloud())
	require.Empty(t, r.binned())
}

func TestWhatIsNewInATrashedFolderWaitsForItsReturn(t *testing.T) {
	r := trashRig(t, settleNever)
	r.write("docs/new", "new")
	r.write("docs/a.txt", "changed")
	at := r.trash("docs")
	r.flush()
	require.Empty(t, r.cloud())
	require.Equal(t, []string{"docs"}, r.binned())
	require.Zero(t, r.engine.Status().PendingCount)
	require.ErrorIs(t, r.engine.Rmdir(r.ctx, r.ino(trashFiles), "docs"), tree.ErrNotEmpty, "something in it is nowhere else")
	r.crash()
	r.start()
	require.Equal(t, "new", r.read(at+"/new"))
	r.rename(at, "docs")
	r.flush()
	require.Equal(t, map[string]string{"docs": "/", "docs/a.txt": "changed", "docs/new": "new"}, r.cloud())
}

// emptyTrash removes as desktops do: from the leaves up, after a move to a folder for that.
func (r *rig) emptyTrash(name string, inside ...string) {
	r.Helper()
	_, err := r.engine.Mkdir(r.ctx, r.ino("//trash/of-2"), "expunged", 0o700)
	require.NoError(r, err)
	at := "//trash/of-2/expunged/1"
	r.rename(trashFiles+"/"+name, at)
	mode := uint32(0o700)
	_, err = r.engine.SetAttr(r.ctx, r.ino(at), Attr{Mode: &mode})
	require.NoError(r, err)
	for _, p := range inside {
		r.unlink(at + "/" + p)
	}
	r.rmdir(at)
}

func TestEmptyingTheTrashRemovesOnlyTheView(t *testing.T) {
	for _, sent := range []bool{true, false} {
		r := trashRig(t, settleNever)
		r.account.Trash(r.account.PutFile(r.account.Root(), "phone", []byte("p"), time.Unix(1e9, 0)))
		r.caughtUp()
		r.trash("docs")
		if sent {
			r.flush()
		}
		r.emptyTrash("docs", "a.txt")
		r.flush()
		r.caughtUp()
		r.eventually(func() bool { return r.engine.queue.len() == len(r.engine.queue.local[staysInTrash]) })
		require.Empty(t, r.names(trashFiles))
		require.Empty(t, r.cloud())
		require.ElementsMatch(t, []string{"docs", "phone"}, r.binned())
		require.Zero(t, r.sent("d"))
		require.Equal(t, "a", r.read("//bin/docs/a.txt"))
		in, err := r.engine.Tree().Get(r.ino("//bin/docs"))
		require.NoError(t, err)
		require.Zero(t, in.Pending)
		_, err = r.engine.RestoreFromBin(r.ctx, "docs", 0)
		require.NoError(t, err)
		r.flush()
		require.Equal(t, map[string]string{"docs": "/", "docs/a.txt": "a"}, r.cloud())
	}
}

func TestPurgingTheTrashDeletesWhatWasPutThere(t *testing.T) {
	r := trashRig(t, func(o *Options) {
		settleNever(o)
		o.PurgeTrash = true
	})
	r.account.Trash(r.account.PutFile(r.account.Root(), "phone", []byte("p"), time.Unix(1e9, 0)))
	r.write("rm", "rm")
	r.flush()
	r.caughtUp()
	r.trash("docs")
	r.unlink("rm")
	r.emptyTrash("docs", "a.txt")
	r.flush()
	r.eventually(func() bool { return len(r.binned()) == 2 })
	require.ElementsMatch(t, []string{"phone", "rm"}, r.binned(), "what was put there by others, and by rm, stays")
}

func TestOthersActOnWhatIsInTheTrash(t *testing.T) {
	r := trashRig(t, settleNever)
	r.write("b", "b")
	r.flush()
	back, gone := r.account.Find("docs/a.txt"), r.account.Find("b")
	r.trash("docs/a.txt")
	r.trash("b")
	r.flush()
	r.account.Move(back, r.account.Root())
	r.account.Remove(gone)
	r.caughtUp()
	require.Empty(t, r.names(trashFiles))
	require.Equal(t, "a", r.read("a.txt"))
	r.flush()
	require.Equal(t, map[string]string{"docs": "/", "a.txt": "a"}, r.cloud())
	require.Zero(t, r.engine.Status().PendingCount)
}

func TestTrashSurvivesALostAnswer(t *testing.T) {
	r := trashRig(t, settleNever)
	r.server.Faults().DropAfter("m", 1)
	at := r.trash("docs/a.txt")
	r.flush()
	r.caughtUp()
	require.Equal(t, []string{"a.txt"}, r.binned())
	require.Equal(t, "a", r.read(at))
	r.rename(at, "docs/a.txt")
	r.flush()
	require.Equal(t, map[string]string{"docs": "/", "docs/a.txt": "a"}, r.cloud())
}

func TestRemovedFilesDontPassThroughTheTrash(t *testing.T) {
	r := trashRig(t, settleNever)
	r.unlink("docs/a.txt")
	r.flush()
	require.Equal(t, []string{"a.txt"}, r.binned())
	require.Empty(t, r.names(trashFiles))
}

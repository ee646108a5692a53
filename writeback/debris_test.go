package writeback

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
	"megadisk/writeback/debris"
	"megadisk/writeback/tree"
)

// kept waits until all that somebody took away has been seen to, and gives the debris: path to content.
func (r *rig) kept() map[string]string {
	r.Helper()
	r.caughtUp()
	// What was committed is told to subscribers in order: this comes after it.
	told := make(chan struct{})
	cancel := r.engine.tree.Subscribe(func(changes []tree.Change) {
		for _, c := range changes {
			if c.Origin == told {
				close(told)
			}
		}
	})
	defer cancel()
	require.NoError(r, r.engine.tree.Settled(r.ctx))
	require.NoError(r, r.engine.update(r.ctx, func(c *change) error { c.Note(tree.Change{Origin: told}); return nil }))
	select {
	case <-told:
	case <-r.ctx.Done():
		require.FailNow(r, "the change is not told")
	}
	require.NoError(r, r.engine.keeper.idle(r.ctx))
	all := map[string]string{}
	for _, it := range r.engine.Debris() {
		all[it.Path] = r.debris(it)
	}
	return all
}

func (r *rig) debris(it debris.Item) string {
	r.Helper()
	f, err := r.engine.keeper.store.Reader(it.ID)
	require.NoError(r, err)
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, it.Size))
	require.NoError(r, err)
	return string(text)
}

// What somebody else took away, by what means ever, is kept if it was here.
func TestWhatOthersTakeAwayIsKept(t *testing.T) {
	for name, take := range map[string]func(a *megatest.Account){
		"file into the bin":   func(a *megatest.Account) { a.Trash(a.Find("dir/f")) },
		"file for good":       func(a *megatest.Account) { a.Remove(a.Find("dir/f")) },
		"folder into the bin": func(a *megatest.Account) { a.Trash(a.Find("dir")) },
		"folder for good":     func(a *megatest.Account) { a.Remove(a.Find("dir")) },
		"bin, then for good":  func(a *megatest.Account) { f := a.Find("dir/f"); a.Trash(f); a.Remove(f) },
		"overwritten":         func(a *megatest.Account) { a.PutVersion(a.Find("dir/f"), []byte("other"), time.Unix(5, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, settleNever)
			r.mkdir("dir")
			r.write("dir/f", "was here")
			r.flush()
			r.caughtUp()
			require.Empty(t, r.kept())
			take(r.account)
			require.Equal(t, map[string]string{"/dir/f": "was here"}, r.kept())
			require.Equal(t, name == "overwritten", r.engine.Debris()[0].Why == debris.Replaced)
		})
	}
}

func TestWhatIsNotKept(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.PutFile(r.account.Root(), "never read", []byte("there only"), time.Unix(5, 0))
	r.write("mine", "mine")
	r.write("over", "one")
	r.write("moved", "moved")
	r.write("edited", "edited")
	r.write("empty", "")
	r.flush()
	r.caughtUp()

	down := r.server.Stats().BytesDown
	r.account.Trash(r.account.Find("never read"))
	require.Equal(t, down, r.server.Stats().BytesDown, "nothing is fetched for it")
	r.unlink("mine")
	r.write("over", "two")
	r.mkdir("d")
	r.account.Move(r.account.Find("moved"), r.account.Mkdir(r.account.Root(), "elsewhere"))
	r.account.Trash(r.account.Find("empty"))
	r.flush()
	// Edited here and deleted there: the edit wins, so nothing is lost.
	r.write("edited", "edited once more")
	r.account.Remove(r.account.Find("edited"))
	require.Empty(t, r.kept())
}

// What can't be read of a folder that others have deleted isn't kept, and the log says so.
func TestAFolderThatCantBeReadIsNotKept(t *testing.T) {
	log, hook := logtest.NewNullLogger()
	r := newRig(t, func(o *Options) { settleNever(o); o.Log = log })
	r.mkdir("dir")
	r.write("dir/f", "was here")
	r.flush()
	r.caughtUp()
	dir := r.ino("dir")
	r.scribbled(r.ino("dir/f"), func() {
		r.engine.keepBelow(r.ctx, tree.Lost{Path: "/dir", Below: dir})
		require.Empty(t, r.engine.Debris())
	})
	require.True(t, slices.ContainsFunc(hook.AllEntries(), func(e *logrus.Entry) bool {
		return strings.Contains(e.Message, "could be kept")
	}))
}

// endsWhen is a context that ends when something is so.
type endsWhen struct {
	context.Context
	is func() bool
}

func (c endsWhen) Err() error {
	if c.is() {
		return context.Canceled
	}
	return c.Context.Err()
}

// Of a copy whose restoring is broken off no file is left.
func TestRestoringDebrisIsBrokenOff(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("f", "was here")
	r.flush()
	r.caughtUp()
	r.account.Remove(r.account.Find("f"))
	require.Len(t, r.kept(), 1)
	there := func() bool { return len(r.names("")) > 0 }
	_, err := r.engine.RestoreDebris(endsWhen{r.ctx, there}, r.engine.Debris()[0].ID, 0)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, there())
	require.Len(t, r.engine.Debris(), 1)
}

// What was created in vain goes, under whatever name, and nothing else does.
func TestUnmake(t *testing.T) {
	r := newRig(t, settleNever)
	for _, name := range []string{"vain", "moved", "written", "other"} {
		r.write(name, "")
	}
	vain, moved, written := r.ino("vain"), r.ino("moved"), r.ino("written")
	r.rename("moved", "elsewhere")
	r.rename("other", "moved")
	r.write("written", "content")
	for _, ino := range []tree.Ino{vain, moved, written, vain} {
		require.NoError(t, r.engine.Unmake(r.ctx, ino))
	}
	require.Equal(t, []string{"moved", "written"}, r.names(""))
	r.flush()
	require.Equal(t, map[string]string{"moved": "", "written": "content"}, r.cloud())
}

// What was removed here, and then from the bin, is no loss, however deep it lay.
func TestBinEmptiedHereIsNoLoss(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("dir")
	r.mkdir("dir/sub")
	r.write("dir/f", "was here")
	r.write("dir/sub/f", "was here too")
	r.flush()
	r.caughtUp()
	r.unlink("dir/sub/f")
	r.rmdir("dir/sub")
	r.unlink("dir/f")
	r.rmdir("dir")
	r.flush()
	gone, err := r.engine.EmptyBin(r.ctx, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, gone, "the folder went to the bin as a whole")
	require.Empty(t, r.kept())
}

// It outlives restarts, and comes back as a file: where it was, beside what has its name now, or at the top.
func TestDebrisIsRestored(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("dir")
	for _, p := range []string{"dir/a", "dir/b", "c"} {
		r.write(p, "content of "+p)
	}
	r.flush()
	r.caughtUp()
	r.account.PutVersion(r.account.Find("dir/a"), []byte("other"), time.Unix(5, 0))
	r.account.Remove(r.account.Find("c"))
	require.Len(t, r.kept(), 2)
	r.account.Remove(r.account.Find("dir/b"))
	require.Len(t, r.kept(), 3)
	r.crash()
	r.start()
	list := r.engine.Debris()
	require.Len(t, list, 3)

	paths := map[string]string{}
	for _, it := range list {
		if it.Path == "/dir/b" {
			r.flush()
			r.account.Remove(r.account.Find("dir"))
			r.caughtUp()
			r.eventually(func() bool { _, err := r.engine.Tree().Resolve("/dir"); return err != nil })
		}
		at, err := r.engine.RestoreDebris(r.ctx, it.ID, 0)
		require.NoError(t, err)
		paths[it.Path] = at
	}
	require.Contains(t, paths["/dir/a"], "/dir/a (conflict ")
	require.Equal(t, "/c", paths["/c"])
	require.Equal(t, "/b", paths["/dir/b"])
	require.Equal(t, "content of dir/b", r.read("b"))
	require.Equal(t, "content of c", r.read("c"))
	require.ErrorIs(t, r.engine.DropDebris(list[0].ID), debris.ErrNoItem)
	r.flush()
	require.Equal(t, "content of dir/b", r.cloud()["b"])
}

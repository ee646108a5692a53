package writeback

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// The packets of several saves come one by one, long after all were acknowledged, or once more: at no moment does a
// program see an earlier save.
func TestPacketsOfSavesThatComeLate(t *testing.T) {
	for _, way := range []string{"write", "rename"} {
		for _, when := range []string{"late", "after a crash", "again"} {
			t.Run(way+" "+when, func(t *testing.T) {
				r := newRig(t, settleNever)
				r.caughtUp()
				if when != "again" {
					r.server.Faults().FailPoll(-3, megatest.Always)
				}
				for i := range 4 {
					r.saveAs(way, "a", "123"[:i])
				}
				ino := r.ino("a")
				if when == "after a crash" {
					r.crash()
					r.open()
				} else if when == "again" {
					r.caughtUp()
				}
				seen := r.watchRoot()
				r.server.Faults().Clear()
				r.server.Faults().SlicePackets(1)
				if when == "after a crash" {
					r.run()
				} else if when == "again" {
					r.server.Faults().Redeliver(50)
				}
				r.account.Mkdir(r.account.Root(), "last")
				r.eventually(func() bool { return len(r.names("")) == 2 })
				r.caughtUp()
				require.Equal(t, []string{"a:3 "}, seen()[:1])
				for _, names := range seen() {
					require.Contains(t, []string{"a:3 ", "a:3 last:0 "}, names)
				}
				require.Equal(t, "123", r.read("a"))
				require.Equal(t, ino, r.ino("a"))
				require.Len(t, r.account.Versions(r.account.Find("a")), 4)
			})
		}
	}
}

// The packets of a file that was saved, renamed over another one, saved once
// more and removed: nothing of it comes back.
func TestPacketsOfWhatWasRemovedComeLate(t *testing.T) {
	r := newRig(t, settleNever)
	r.saveAs("write", "b", "old")
	r.caughtUp()
	r.server.Faults().FailPoll(-3, megatest.Always)
	for _, step := range []func(){
		func() { r.write("a", "1") },
		func() { r.rename("a", "b") },
		func() { r.write("b", "2") },
		func() { r.rename("b", "c") },
		func() { r.unlink("c") },
	} {
		step()
		r.flush()
	}
	r.crash()
	r.open()
	seen := r.watchRoot()
	r.server.Faults().Clear()
	r.server.Faults().SlicePackets(1)
	r.run()
	r.caughtUp()
	for _, names := range seen() {
		require.Empty(t, names)
	}
	require.Empty(t, r.names(""))
	bin, err := r.engine.Tree().ReadDir(tree.BinIno, "", 100)
	require.NoError(t, err)
	require.NotEmpty(t, bin)
}

// saveAs saves a file by writing it or by renaming a new one over it, and waits until the cloud has it.
func (r *rig) saveAs(way, name, content string) {
	r.Helper()
	if way == "write" {
		r.write(name, content)
	} else {
		r.write("new", content)
		r.rename("new", name)
	}
	r.flush()
}

// watchRoot collects what the drive shows, with sizes, after each transaction from now on.
func (r *rig) watchRoot() (seen func() []string) {
	var mu sync.Mutex
	var all []string
	look := func() {
		list, err := r.engine.Tree().ReadDir(tree.DriveIno, "", 100)
		if err != nil {
			return // it is being closed
		}
		names := ""
		for _, in := range list {
			names += fmt.Sprintf("%s:%d ", in.Name, in.Size)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, names)
	}
	look()
	r.Cleanup(r.engine.Tree().Subscribe(func([]tree.Change) { look() }))
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// Renamed here while a program reads it, and replaced elsewhere: the new version goes on under the new name, in the
// cloud as well.
func TestRenamedHereWhileReadAndReplacedElsewhere(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "old")
	r.flush()
	r.caughtUp()
	f, err := r.engine.Open(r.ctx, r.ino("a"), false, false)
	require.NoError(t, err)
	defer f.Release()
	r.rename("a", "b")
	r.account.PutVersion(r.account.Find("a"), []byte("new"), time.Unix(1e9, 0))
	r.caughtUp()
	require.Equal(t, "new", r.read("b"))
	r.flush()
	require.Equal(t, map[string]string{"b": "new"}, r.cloud())
}

// A new file that others throw away before our answer comes is thrown away, and isn't sent again; what was written to
// it meanwhile is.
func TestThrownAwayBeforeTheAnswer(t *testing.T) {
	for _, way := range []string{"alone", "a crash", "open here", "written since"} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, settleNever)
			r.mkdir("d")
			r.flush()
			r.caughtUp()
			w, o := world{r}, there{r}
			w.write("d/a", "new")
			sent, before := r.sent("p"), sends(r.server.Stats())
			if way == "open here" {
				f, err := r.engine.Open(r.ctx, r.ino("d/a"), false, false)
				require.NoError(t, err)
				defer f.Release()
			}
			w.hearing(false)
			w.losingAnswers()
			w.flushUntil(func(<-chan error) bool {
				if sends(r.server.Stats()) == before {
					return false
				}
				if way == "written since" {
					w.write("d/a", "newer")
				}
				o.trash("d/a")
				if way == "a crash" {
					r.crash()
					r.start()
				}
				return true
			})
			r.caughtUp()
			r.server.Faults().Clear()
			r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil && r.quiet() })
			want := map[string]string{"d": "/"}
			if way == "written since" {
				want["d/a"] = "newer"
				sent++
			}
			require.Equal(t, want, r.cloud())
			view, err := r.view()
			require.NoError(t, err)
			require.Equal(t, want, view)
			require.Equal(t, sent+1, r.sent("p"))
		})
	}
}

// Moved here, and moved once more, while others have put a new version on it of which nothing was heard: by the move it
// is a file of its own, wherever it has got to.
func TestMovedAfterItBecameAnOlderVersion(t *testing.T) {
	for _, way := range []string{"once", "back", "into a folder that is thrown away"} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, settleNever)
			w, o := world{r}, there{r}
			o.mkdir("d")
			o.write("a", "old")
			r.caughtUp()
			w.hearing(false)
			w.rename("a", "d/b")
			o.write("a", "new")
			w.flushUntil(func(done <-chan error) bool {
				if len(done) > 0 && way == "into a folder that is thrown away" {
					o.trash("d")
				}
				return len(done) > 0
			})
			if way == "back" {
				w.hearing(false)
				w.rename("d/b", "c")
				w.flushUntil(func(done <-chan error) bool { return len(done) > 0 })
			}
			r.caughtUp()
			r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil && r.quiet() })
			view, err := r.view()
			require.NoError(t, err)
			require.Equal(t, values(r.cloud()), values(view), r.dump())
			want := map[string]string{"a": "new", "d": "/", "d/b": "old"}
			switch way {
			case "back":
				want = map[string]string{"a": "new", "c": "old", "d": "/"}
			case "into a folder that is thrown away":
				want = map[string]string{"a": "new"}
			}
			require.Equal(t, want, view)
		})
	}
}

// A move of ours to the bin that changed nothing has no packet, since others had put the file there. They took it out
// again, which is held off as long as ours might be newer, and no longer than until a later packet of ours has come.
func TestTakenOutOfTheBinWhereWeHadPutItToo(t *testing.T) {
	r := newRig(t, settleNever)
	w, o := world{r}, there{r}
	o.mkdir("d")
	h := o.write("a", "A")
	r.caughtUp()
	w.hearing(false)
	o.trash("a")
	w.unlink("a")
	w.flush()
	r.account.Move(h, o.handle("d"))
	w.mkdir("later")
	w.flush()
	w.hearing(true)
	r.eventually(func() bool {
		view, err := r.view()
		return err == nil && maps.Equal(view, map[string]string{"d": "/", "d/a": "A", "later": "/"})
	})
}

// A large folder that was made and moved to the bin here, of which the packets come after a crash and before the answer
// about the move: its packet takes two transactions, and what comes with the second isn't what others want back.
func TestPacketOfALargeRemovalBeforeItsAnswer(t *testing.T) {
	const folders = nodesAtOnce + 200
	r := newRig(t, settleNever)
	f := r.server.Faults()
	f.FailPoll(int(megaclient.EAGAIN), megatest.Always)
	r.mkdir("top")
	for i := range folders {
		r.mkdir(fmt.Sprintf("top/%d", i))
	}
	r.flush()
	top := r.account.Find("top")
	for i := range folders {
		r.rmdir(fmt.Sprintf("top/%d", i))
	}
	r.rmdir("top")
	_, err := r.engine.Approve(r.ctx) // so many at once are asked about
	require.NoError(t, err)
	f.DropAfter("", megatest.Always)
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool { return s.Commands["m"] > 0 }))
	r.crash()
	f.Clear()
	f.DropAfter("", megatest.Always)
	r.start()
	r.caughtUp()
	f.Clear()
	r.flush()
	require.Empty(t, r.names(""))
	require.Empty(t, r.cloud())
	require.True(t, r.account.InRubbish(top))
}

// The packet of a removal comes twice before its answer: nobody wants back what it has put into the bin.
func TestPacketOfARemovalTwiceBeforeItsAnswer(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("top")
	r.write("top/file", "text")
	r.flush()
	r.caughtUp()
	top := r.account.Find("top")
	r.unlink("top/file")
	r.rmdir("top")
	f := r.server.Faults()
	f.DropAfter("", megatest.Always)
	failed := make(chan error, 1)
	go func() { failed <- r.engine.Flush(r.ctx, 0) }()
	r.eventually(func() bool { return r.account.InRubbish(top) })
	r.caughtUp()
	f.Redeliver(2)
	r.account.Mkdir(r.account.Root(), "later") // what ends the wait that comes once more
	r.caughtUp()
	f.Clear()
	require.NoError(t, <-failed)
	r.flush()
	require.Equal(t, []string{"later"}, r.names(""))
	require.Equal(t, map[string]string{"later": "/"}, r.cloud())
	require.True(t, r.account.InRubbish(top))
}

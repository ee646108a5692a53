package writeback

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// countNodes counts everything in the drive, doubled names too.
func (r *rig) countNodes() int { return len(r.account.Tree()) }

func TestAnswerLostAfterExecution(t *testing.T) {
	r := newRig(t, settleNever)
	r.server.Faults().DropAfter("p", 1)
	r.write("a", "A")
	r.mkdir("d")
	r.flush()
	require.Equal(t, map[string]string{"a": "A", "d": "/"}, r.cloud())
	require.Equal(t, 2, r.countNodes())
}

// A batch in flight when the process dies was executed, and the server has
// forgotten its id: what it did is found and not done again.
func TestCrashAfterSendingFindsWhatWasDone(t *testing.T) {
	for _, way := range []string{"executed", "not executed"} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, settleNever)
			old := r.account.PutFile(r.account.Root(), "over", []byte("old"), time.Time{})
			gone := r.account.PutFile(r.account.Root(), "gone", []byte("gone"), time.Time{})
			moved := r.account.PutFile(r.account.Root(), "moved", []byte("moved"), time.Time{})
			d := r.account.Mkdir(r.account.Root(), "d")
			r.caughtUp()
			r.write("a", "A")
			r.mkdir("new")
			r.write("over", "new")
			r.unlink("gone")
			r.rename("moved", "d/renamed")
			if way == "executed" {
				r.server.Faults().DropAfter("", megatest.Always)
			} else {
				r.server.Faults().DropBefore("p", megatest.Always)
			}
			go func() { _ = r.engine.Flush(r.ctx, 0) }()
			require.NoError(t, r.server.Await(r.ctx, func(s megatest.Stats) bool {
				return s.Commands["p"] > 0 || s.Faults > 5
			}))
			r.eventually(func() bool { return r.engine.hasFlight() })
			r.crash()
			r.server.Faults().Clear()
			r.server.Faults().ForgetRequestIDs()
			r.start()
			r.flush()
			require.Equal(t, map[string]string{
				"a": "A", "new": "/", "over": "new", "d": "/", "d/renamed": "moved",
			}, r.cloud())
			require.Equal(t, 5, r.countNodes())
			require.Equal(t, []string{r.account.Find("over"), old}, r.account.Versions(r.account.Find("over")))
			require.True(t, r.account.InRubbish(gone))
			require.Equal(t, moved, r.account.Find("d/renamed"))
			require.Equal(t, d, r.account.Find("d"))
			require.Empty(t, r.engine.Status().Pending)
			r.caughtUp()
			require.ElementsMatch(t, []string{"a", "d", "new", "over"}, r.names(""))
			require.Equal(t, "new", r.read("over"))
		})
	}
}

func TestCrashKeepsWhatCloseAcknowledged(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("closed", "safe")
	f := r.create("synced")
	_, err := f.WriteAt(r.ctx, []byte("safe too"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Fsync(r.ctx))
	r.crash()
	r.start()
	require.Equal(t, "safe", r.read("closed"))
	require.Equal(t, "safe too", r.read("synced"))
	r.flush()
	require.Equal(t, map[string]string{"closed": "safe", "synced": "safe too"}, r.cloud())
}

// What the server took and said so before an end is not sent again; everything else is, once.
func TestLargeUploadGoesOnAfterAnEnd(t *testing.T) {
	const size, half = 24 << 20, 12 << 20
	r := newRig(t, settleNever)
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	f := r.create("big")
	_, err := f.WriteAt(r.ctx, content, 0)
	require.NoError(t, err)
	require.NoError(t, f.Flush(r.ctx))
	f.Release()
	release := r.server.Faults().HoldUploads(half)
	defer release()
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	var acknowledged int64
	r.eventually(func() bool { // the rest is held, and the client knows of all that wasn't
		st, up := r.server.Stats(), r.engine.Status().Uploads
		if len(up) != 1 {
			return false
		}
		acknowledged = up[0].Done
		return st.Held > 0 && acknowledged == st.BytesUp && acknowledged > half/2
	})

	r.stop() // Close saves the state
	// Nothing is under way any more, also not in buffers of the kernel.
	require.NoError(t, r.server.Await(r.ctx, func(st megatest.Stats) bool { return st.OpenConnections == 0 }))
	release()
	before := r.server.Stats()
	r.open()
	known := bytesKnown(t, r.engine.queue.generation(r.ino("big")))
	require.GreaterOrEqual(t, known, acknowledged, "what was acknowledged is remembered")
	require.LessOrEqual(t, known, before.BytesUp, "nothing is taken for sent that wasn't")
	r.run()
	r.flush()
	after := r.server.Stats()
	require.Equal(t, size-known, after.BytesUp-before.BytesUp, "exactly the rest")
	require.Equal(t, before.Commands["u"], after.Commands["u"], "the same upload")
	require.Equal(t, content, r.account.ReadFile(r.account.Find("big")))
}

// bytesKnown is how much of a generation the server has taken, as far as we know.
func bytesKnown(t *testing.T, g *generation) int64 {
	t.Helper()
	require.NotNil(t, g)
	var n int64
	for _, c := range g.State.Chunks {
		start, end := megacrypto.ChunkBounds(c.Index, g.State.Size)
		n += end - start
	}
	return n
}

func TestConflictOfContent(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "doc.txt", []byte("base"), time.Time{})
	r.caughtUp()
	r.write("doc.txt", "mine")
	ino := r.ino("doc.txt")
	r.account.PutVersion(h, []byte("theirs"), time.Time{})
	r.caughtUp()
	r.flush()
	view := r.cloud()
	require.Len(t, view, 2)
	require.Equal(t, "theirs", view["doc.txt"])
	r.caughtUp()
	require.Equal(t, "theirs", r.read("doc.txt"))
	names := r.names("")
	require.Len(t, names, 2)
	require.Regexp(t, `^doc \(conflict \d{4}-\d\d-\d\d rig-[A-Z0-9]{4}\)\.txt$`, names[0])
	require.Equal(t, "mine", r.read(names[0]))
	require.Equal(t, "mine", view[names[0]])
	require.Equal(t, ino, r.ino(names[0]), "our inode goes with our content")
}

func TestConflictOfRenameOver(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "doc", []byte("base"), time.Time{})
	r.caughtUp()
	r.write("tmp", "mine")
	r.rename("tmp", "doc")
	r.account.PutVersion(h, []byte("theirs"), time.Time{})
	r.caughtUp()
	r.flush()
	view := r.cloud()
	require.Len(t, view, 2)
	require.Equal(t, "theirs", view["doc"])
	r.caughtUp()
	require.Equal(t, "theirs", r.read("doc"))
}

func TestRemovalIsDroppedWhenSomebodyChangedIt(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "doc", []byte("base"), time.Time{})
	r.caughtUp()
	r.unlink("doc")
	r.account.PutVersion(h, []byte("theirs"), time.Time{})
	r.caughtUp()
	r.flush()
	require.Equal(t, map[string]string{"doc": "theirs"}, r.cloud())
	require.Equal(t, "theirs", r.read("doc"))
}

func TestRemoteRemovalOfWhatWasChangedHere(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "doc", []byte("base"), time.Time{})
	r.caughtUp()
	r.write("doc", "mine")
	r.account.Remove(h)
	r.caughtUp()
	r.flush()
	require.Equal(t, map[string]string{"doc": "mine"}, r.cloud())
}

func TestWriteToWhatWasReplacedElsewhere(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "doc", []byte("base"), time.Time{})
	r.caughtUp()
	f, err := r.engine.Open(r.ctx, r.ino("doc"), true, false)
	require.NoError(t, err)
	r.account.PutVersion(h, []byte("theirs"), time.Time{})
	r.caughtUp()
	require.Equal(t, "theirs", r.read("doc"))
	text, err := readAll(r.ctx, f)
	require.NoError(t, err)
	require.Equal(t, "base", text)
	_, err = f.WriteAt(r.ctx, []byte("MINE"), 0)
	require.NoError(t, err)
	f.Release()
	r.flush()
	view := r.cloud()
	require.Len(t, view, 2)
	require.Equal(t, "theirs", view["doc"])
}

func TestStaleEchoesDontUndo(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.PutFile(r.account.Root(), "0", []byte("x"), time.Time{})
	r.caughtUp()
	r.mount.ctx = tree.WithOrigin(r.ctx, "a mount")
	seen := map[string]bool{}
	cancel := r.engine.Tree().Subscribe(func(changes []tree.Change) {
		for _, ch := range changes {
			if ch.Origin == nil && ch.Name != "" {
				seen[ch.Name] = true
			}
		}
	})
	for i := range 10 {
		r.rename(fmt.Sprint(i), fmt.Sprint(i+1))
		r.flush()
	}
	r.caughtUp()
	cancel()
	require.Equal(t, []string{"10"}, r.names(""))
	require.Empty(t, seen, "our own packets are no news")
}

func TestSessionEnded(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "A")
	r.server.Faults().EndSessions()
	r.eventually(func() bool { return r.engine.Status().SessionEnded })
	require.Equal(t, "A", r.read("a"))
	require.Len(t, r.engine.Status().Pending, 1)
	r.stop()
	client, err := megaclient.Login(r.ctx, megaclient.Config{APIURL: r.server.URL()}, testMail, testPassword, "")
	require.NoError(t, err)
	r.session = client.Session()
	client.Close()
	r.start()
	r.flush()
	require.Equal(t, map[string]string{"a": "A"}, r.cloud())
}

func TestTooOldFetchesAgain(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "a", []byte("A"), time.Time{})
	r.account.PutFile(r.account.Root(), "b", []byte("B"), time.Time{})
	r.caughtUp()
	ino := r.ino("a")
	r.write("mine", "mine")
	r.stop()
	r.account.Rename(h, "renamed")
	r.account.Remove(r.account.Find("b"))
	r.server.Faults().ForgetPackets()
	r.start()
	r.caughtUp()
	require.ElementsMatch(t, []string{"mine", "renamed"}, r.names(""))
	require.Equal(t, ino, r.ino("renamed"))
	r.flush()
	require.Equal(t, map[string]string{"mine": "mine", "renamed": "A"}, r.cloud())
}

func TestTwoEnginesConverge(t *testing.T) {
	r := newRig(t, settleNever)
	other := newMount(t, r.ctx, r.server, nil)
	other.start()
	require.NoError(t, other.engine.Ready(r.ctx))
	r.mkdir("d")
	r.write("d/from-here", "1")
	other.write("from-there", "2")
	r.flush()
	other.flush()
	r.caughtUp()
	other.caughtUp()
	require.Equal(t, "2", r.read("from-there"))
	require.Equal(t, "1", other.read("d/from-here"))
	r.write("from-there", "3")
	other.rename("from-there", "d/moved")
	other.flush()
	r.caughtUp()
	r.flush()
	other.caughtUp()
	require.Equal(t, map[string]string{"d": "/", "d/from-here": "1", "d/moved": "3"}, r.cloud())
	require.Equal(t, "3", other.read("d/moved"))
	require.Equal(t, "3", r.read("d/moved"))
}

func TestFlushOfOneFileLeavesOthers(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	r.write("d/a", "A")
	r.write("b", "B")
	require.NoError(t, r.engine.Flush(r.ctx, r.ino("d/a")))
	require.Equal(t, map[string]string{"d": "/", "d/a": "A"}, r.cloud())
}

func TestFlushOfAnOpenFile(t *testing.T) {
	r := newRig(t, settleNever)
	f := r.create("log")
	defer f.Release()
	_, err := f.WriteAt(r.ctx, []byte("one"), 0)
	require.NoError(t, err)
	r.flush()
	require.Equal(t, map[string]string{"log": "one"}, r.cloud())
	_, err = f.WriteAt(r.ctx, []byte("two"), 3)
	require.NoError(t, err)
	text, err := readAll(r.ctx, f)
	require.NoError(t, err)
	require.Equal(t, "onetwo", text)
	r.flush()
	require.Equal(t, map[string]string{"log": "onetwo"}, r.cloud())
}

func TestSmallFilesShareRequests(t *testing.T) {
	r := newRig(t, settleNever)
	r.mkdir("d")
	for i := range 200 {
		r.write(fmt.Sprintf("d/%03d", i), fmt.Sprint(i))
	}
	before := r.server.Stats()
	r.flush()
	after := r.server.Stats()
	require.Len(t, r.cloud(), 201)
	require.Equal(t, 200, after.Commands["u"]-before.Commands["u"])
	t.Logf("%d requests for 200 files", after.Batches-before.Batches)
}

// theirsOnTop writes a file and loses the answer, does something, lets another client put its version on top, and looks
// that this one is what all see.
func theirsOnTop(t *testing.T, meanwhile func(*rig)) {
	t.Helper()
	r := newRig(t, settleNever)
	r.write("a", "ours")
	r.server.Faults().DropAfter("p", megatest.Always)
	go func() { _ = r.engine.Flush(r.ctx, 0) }()
	r.eventually(func() bool { return r.account.Find("a") != "" })
	meanwhile(r)
	r.account.PutVersion(r.account.Find("a"), []byte("theirs"), time.Time{})
	r.caughtUp()
	r.server.Faults().Clear()
	r.flush()
	r.caughtUp()
	require.Equal(t, map[string]string{"a": "theirs"}, r.cloud())
	require.Equal(t, []string{"a"}, r.names(""), r.dump())
	require.Equal(t, "theirs", r.read("a"))
	require.Empty(t, r.engine.Status().Pending)
}

// Another client's version lands on top of ours before our answer comes.
func TestVersionOnTopOfOursBeforeTheAnswer(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprint("open ", open), func(t *testing.T) {
			theirsOnTop(t, func(r *rig) {
				if open {
					f, err := r.engine.Open(r.ctx, r.ino("a"), false, false)
					require.NoError(t, err)
					t.Cleanup(f.Release)
				}
			})
		})
	}
}

// Two versions of others land on top of ours before our answer comes, and the packet of each tells the whole chain: that
// ours is in it once more doesn't make it the newest.
func TestVersionsOnTopOfOursBeforeTheAnswer(t *testing.T) {
	r := newRig(t, settleNever)
	w, o := world{r}, there{r}
	o.write("a", "old")
	r.caughtUp()
	r.write("a", "ours")
	before := sends(r.server.Stats())
	w.losingAnswers()
	w.flushUntil(func(<-chan error) bool { return sends(r.server.Stats()) > before })
	r.server.Faults().FailHTTP(megatest.API, 503, megatest.Always) // so that nobody says what became of it
	for _, content := range []string{"theirs", "theirs again"} {
		o.write("a", content)
		r.caughtUp()
	}
	r.server.Faults().Clear()
	r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil && r.quiet() })
	require.Equal(t, map[string]string{"a": "theirs again"}, r.cloud())
	require.Equal(t, []string{"a"}, r.names(""), r.dump())
	require.Equal(t, "theirs again", r.read("a"), r.dump())
	require.Len(t, r.account.Versions(r.account.Find("a")), 4)
}

// The same, when theirs was heard of before it was said that ours lies below, and opened in the moment between.
func TestVersionOnTopOfOursThatIsOpened(t *testing.T) {
	r := newRig(t, settleNever)
	w, o := world{r}, there{r}
	o.write("a", "old")
	r.caughtUp()
	r.write("a", "ours")
	before := sends(r.server.Stats())
	w.losingAnswers()
	w.flushUntil(func(<-chan error) bool {
		if sends(r.server.Stats()) == before {
			return false
		}
		r.server.Faults().FailHTTP(megatest.API, 503, megatest.Always) // so that nobody says what became of it
		return true
	})
	r.caughtUp()
	w.hearing(false)
	h := o.write("a", "theirs")
	require.NoError(t, r.engine.update(r.ctx, func(c *change) error { // a packet of many nodes ends in several transactions
		return c.ApplyNode(&megaclient.Node{Handle: megaclient.Handle(h), Parent: megaclient.Handle(r.account.Root()),
			Type: megaclient.FileNode, Size: 6, Created: time.Now().Unix(), Key: r.account.Key(h), Attrs: r.account.Attrs(h)}, "")
	}))
	require.Len(t, r.names(""), 2)
	for _, name := range r.names("") {
		if in := r.stat(name); in.Cloud != nil && string(in.Cloud.Handle) == h {
			f, err := r.engine.Open(r.ctx, in.Ino, false, false)
			require.NoError(t, err)
			t.Cleanup(f.Release)
		}
	}
	r.server.Faults().Clear()
	r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil && r.quiet() })
	require.Equal(t, map[string]string{"a": "theirs"}, r.cloud())
	require.Equal(t, []string{"a"}, r.names(""), r.dump())
	require.Equal(t, "theirs", r.read("a"), r.dump())
	require.Len(t, r.account.Versions(h), 3)
}

// The same, when the file was removed here meanwhile: theirs stays.
func TestVersionOnTopOfOursThatWasRemoved(t *testing.T) {
	theirsOnTop(t, func(r *rig) { r.unlink("a") })
}

// Packets that are older than our move to the bin don't bring the node back.
func TestOldPacketsAfterARemoval(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "a", []byte("A"), time.Time{})
	d := r.account.Mkdir(r.account.Root(), "d")
	r.caughtUp()
	r.server.Faults().FailHTTP(megatest.Events, 503, megatest.Always)
	r.account.Move(h, d)
	r.account.Rename(h, "b")
	r.unlink("a")
	r.flush() // it was in d, which we don't know yet
	r.server.Faults().Clear()
	r.caughtUp()
	require.True(t, r.account.InRubbish(h))
	require.Equal(t, []string{"d"}, r.names(""))
	require.Empty(t, r.names("d"))
}

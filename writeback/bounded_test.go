package writeback

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// manyRows are more than a transaction takes.
const manyRows = 14_000

// alone ends what runs, and leaves the engine open.
func (m *mount) alone() {
	m.cancel()
	m.done.Wait()
}

// inSteps calls fn with the numbers below n, in transactions of bounded size.
func (m *mount) inSteps(n int, fn func(c *change, i int) error) {
	m.t.Helper()
	for i := 0; i < n; {
		require.NoError(m.t, m.engine.update(m.ctx, func(c *change) error {
			for end := min(i+50, n); i < end; i++ {
				if err := fn(c, i); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// foreignFile is a file that somebody else has put into the drive, with so many bytes of attributes.
func (r *rig) foreignFile(i, text int) *megaclient.Node {
	key := megacrypto.NewFileKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", fmt.Sprintf("file-%d", i))
	attrs.SetString("x", strings.Repeat("x", text))
	return &megaclient.Node{Handle: megaclient.Handle(fmt.Sprintf("N%07d", i)), Parent: megaclient.Handle(r.account.Root()),
		Type: megaclient.FileNode, Size: 1, Created: 1_600_000_000, Key: key.Pack(), Attrs: attrs, Access: megaclient.AccessOwner}
}

// Files that others move to where we can't see them go when the stream says that nothing more is to come, however many.
func TestVeryManyFilesMovedOutOfSight(t *testing.T) {
	const files = 4000
	r := newRig(t, settleNever)
	r.caughtUp()
	r.alone()
	r.inSteps(files, func(c *change, i int) error { return c.ApplyNode(r.foreignFile(i, 0), "") })
	r.inSteps(files, func(c *change, i int) error { return c.ApplyRemove(r.foreignFile(i, 0).Handle, true) })

	require.NoError(t, r.engine.applyIdle(r.ctx, &megaclient.Answer{Asked: time.Now()}))
	require.Empty(t, r.names("/"))
	require.NoError(t, r.engine.Tree().CheckInvariants())
}

// A full fetch ends all that waits for packets, however much that is.
func TestAFullFetchEndsVeryManyEchoes(t *testing.T) {
	r := newRig(t, settleNever)
	r.caughtUp()
	r.alone()
	r.inSteps(manyRows, func(c *change, i int) error {
		id := echoID{megaclient.Handle(fmt.Sprintf("E%07d", i)), fieldPlace, "tag"}
		c.after = append(c.after, func() { c.e.echoes.put(id, echoRow{}) })
		return putRow(c.b, id.key(), echoRow{})
	})

	require.NoError(t, r.engine.fullFetch(r.ctx))
	require.Empty(t, r.engine.echoes)
	require.NoError(t, r.engine.tree.View(func(tx *tree.Tx) error {
		return scanRows(tx.Badger(), []byte{rowPrefix, rowEcho}, func(_, _ []byte) error { return errEnough })
	}))
}

// The links of a full fetch are noted in the rows of their nodes, which may be long.
func TestAFullFetchWithLinksToNodesWithMuchText(t *testing.T) {
	const files = 100
	r := newRig(t, settleNever)
	r.caughtUp()
	r.alone()
	epoch, err := r.engine.tree.BeginFetch(r.ctx)
	require.NoError(t, err)
	links := map[megaclient.Handle]megaclient.Handle{}
	for i := range files {
		n := r.foreignFile(i, 20<<10)
		links[n.Handle] = megaclient.Handle(fmt.Sprintf("L%07d", i))
		require.NoError(t, r.engine.update(r.ctx, func(c *change) error { return c.ApplyNode(n, "") }))
	}

	require.NoError(t, r.engine.endFetch(r.ctx, epoch, &megaclient.FetchResult{SN: r.engine.tree.SN(), Links: links}))
	in, err := r.engine.tree.Lookup(tree.DriveIno, "file-7")
	require.NoError(t, err)
	require.Equal(t, megaclient.Handle("L0000007"), in.Cloud.Link)
}

// Versions that needn't be removed any more are forgotten, however many.
func TestVeryManySpentVersionsAreForgotten(t *testing.T) {
	r := newRig(t, settleNever)
	r.caughtUp()
	r.alone()
	r.inSteps(manyRows, func(c *change, i int) error {
		return c.putSpent(megaclient.Handle(fmt.Sprintf("V%07d", i)), spentRow{By: "UNKNOWN0"})
	})

	_, err := r.engine.spendSome(r.ctx)
	require.NoError(t, err)
	require.Empty(t, r.engine.spent)
}

// The answer about several very large files ends what is staged of them.
func TestAnswerAboutSeveralVeryLargeFiles(t *testing.T) {
	const files, regions = 8, 2048
	r := newRig(t, settleNever)
	r.caughtUp()
	r.alone()
	e, root := r.engine, megaclient.Handle(r.account.Root())
	var tasks []task
	outcomes := make([]outcome, files)
	for i := range files {
		name := fmt.Sprintf("large-%d", i)
		f := r.create(name)
		for at := range int64(regions) {
			_, err := f.WriteAt(r.ctx, []byte{1}, at*4<<20)
			require.NoError(t, err)
		}
		require.NoError(t, f.Flush(r.ctx))
		f.Release()
		ino := r.ino(name)
		g, err := e.frozen(r.ctx, ino)
		require.NoError(t, err)
		g.State.Token, g.CRC = "token", [16]byte{1}
		e.queue.with(ino, func(d *dirtyInode) { d.uploaded = true })
		tasks = append(tasks, task{ino: ino, step: stepFile, target: root, parent: tree.DriveIno, name: name})
		outcomes[i] = outcome{done: true, node: &megaclient.Node{Handle: megaclient.Handle(fmt.Sprintf("N%07d", i)), Parent: root,
			Type: megaclient.FileNode, Size: g.State.Size, Key: g.State.Key.Pack(), Attrs: r.foreignFile(i, 0).Attrs}}
	}
	f, err := e.buildBatch(r.ctx, tasks)
	require.NoError(t, err)
	require.Len(t, f.Items, files)

	require.NoError(t, e.settleBatch(r.ctx, f, f.Items, outcomes))
	require.Zero(t, e.staging.Usage().Live)
	require.NoError(t, e.tree.View(func(tx *tree.Tx) error {
		return scanRows(tx.Badger(), []byte{rowPrefix, rowExtents}, func(_, _ []byte) error { return errEnough })
	}))
}

// findFate of a batch that couldn't be written down finds the same once more.
func TestFateIsFoundAgainAfterAnError(t *testing.T) {
	r := newRig(t, settleNever)
	for _, p := range []string{"moved", "gone"} {
		r.account.PutFile(r.account.Root(), p, []byte(p), time.Time{})
	}
	r.caughtUp()
	r.alone()
	e, root := r.engine, megaclient.Handle(r.account.Root())
	moved, gone := r.ino("moved"), r.ino("gone")
	r.rename("moved", "renamed")
	r.unlink("gone")
	r.mkdir("made")
	f, err := e.buildBatch(r.ctx, []task{
		{ino: moved, step: stepAttrs, target: root, parent: tree.DriveIno, name: "renamed"},
		{ino: gone, step: stepTrash, target: root, parent: tree.DriveIno, name: "gone"},
		{ino: r.ino("made"), step: stepFolder, target: root, parent: tree.DriveIno, name: "made"},
	})
	require.NoError(t, err)
	require.NotNil(t, f)

	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	_, err = e.findFate(ended, true)
	require.Error(t, err)
	settled, err := e.findFate(r.ctx, true)
	require.NoError(t, err)
	require.True(t, settled)
	require.Equal(t, []string{"made", "renamed"}, r.names("/"))
	r.stop()
	r.start()
	r.flush()
	require.Equal(t, map[string]string{"made": "/", "renamed": "moved"}, r.cloud())
}

// A packet with the tag of a creation, and without its node, says nothing about it.
func TestPacketWithoutTheNodeIsNoCreation(t *testing.T) {
	for _, kind := range []itemKind{itemFolder, itemFile} {
		it := item{Kind: kind, Key: []byte("key"), Echoed: true}
		require.False(t, executed(&it, nil, "BIN"))
		require.True(t, executed(&it, &tree.Cloud{Key: bytes.Clone(it.Key)}, "BIN"))
		it.Found = "FOUND000"
		require.True(t, executed(&it, nil, "BIN"))
	}
}

// What a packet says about the batch in flight is unsaid when it couldn't be applied.
func TestPacketThatCouldNotBeAppliedMarksNothing(t *testing.T) {
	r := newRig(t, settleNever)
	h := r.account.PutFile(r.account.Root(), "moved", []byte("moved"), time.Time{})
	r.caughtUp()
	r.alone()
	e, root, moved := r.engine, megaclient.Handle(r.account.Root()), r.ino("moved")
	r.rename("moved", "renamed")
	f, err := e.buildBatch(r.ctx, []task{{ino: moved, step: stepAttrs, target: root, parent: tree.DriveIno, name: "renamed"}})
	require.NoError(t, err)

	require.ErrorIs(t, e.update(r.ctx, func(c *change) error {
		c.markEchoed(&megaclient.AttrsPacket{Tag: f.Batch.Tags[0], Node: megaclient.Handle(h)})
		return errEnough
	}), errEnough)
	require.False(t, f.Items[0].Echoed)
}

// An upload that was broken off, since its content isn't to go up any more, says nothing about what is written next.
func TestUploadOfEarlierContentHoldsBackNothing(t *testing.T) {
	r := newRig(t, settleNever)
	r.caughtUp()
	r.alone()
	r.write("file", "later")
	ino := r.ino("file")
	earlier := &worker{ctx: r.ctx, ino: ino, up: &upload{cancel: func() {}}}
	r.engine.uploadEnded(earlier, &staging.CorruptError{Err: staging.ErrMissing})

	d, _ := r.engine.queue.get(ino)
	require.False(t, d.entry.Held)
	require.Empty(t, d.entry.Reason)
}

package writeback

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// keylessRig is a rig whose account shares a folder, and is about to move another one into it.
type keylessRig struct {
	*rig
	friend *megatest.Account
	dir    string // the folder to be moved
}

func newKeylessRig(t *testing.T) *keylessRig {
	r := newRig(t, settleNever)
	k := &keylessRig{rig: r, friend: r.server.AddAccount("friend@example.org", testPassword, megatest.V1())}
	shared := r.account.Mkdir(r.account.Root(), "shared")
	r.account.Share(shared, k.friend, megaclient.AccessRead)
	k.dir = r.account.Mkdir(r.account.Root(), "dir")
	r.account.PutFile(k.dir, "known", []byte("x"), time.Unix(1, 0))
	r.caughtUp()
	return k
}

// move has the folder moved into another one, and something done while the server hasn't carried that out.
func (k *keylessRig) move(into string, meanwhile func()) {
	k.Helper()
	release := k.server.Faults().Hold("m")
	defer release()
	k.rename("dir", into+"/dir")
	flushed := make(chan error, 1)
	go func() { flushed <- k.engine.Flush(k.ctx, 0) }()
	require.NoError(k, k.server.Await(k.ctx, func(s megatest.Stats) bool { return s.Held > 0 }))
	meanwhile()
	release()
	require.NoError(k, <-flushed)
}

// late puts something into the folder, as another client of the account that doesn't know of the share.
func (k *keylessRig) late() (handles []string) {
	sub := k.account.Mkdir(k.dir, "late folder")
	moved := k.account.PutFile(k.account.Root(), "moved", []byte("x"), time.Unix(1, 0))
	k.account.Move(moved, k.dir)
	return []string{k.account.PutFile(k.dir, "late", []byte("x"), time.Unix(1, 0)), sub, moved,
		k.account.PutFile(sub, "later", []byte("x"), time.Unix(1, 0))}
}

// readable waits until who is in the share can read the nodes.
func (k *keylessRig) readable(handles []string) {
	k.Helper()
	for _, h := range handles {
		k.eventually(func() bool { return k.friend.CanRead(h) })
	}
}

// What others put into a folder while our move of it into a share is on its way has its key given to the share.
func TestKeysOfWhatComesIntoAShareUnseen(t *testing.T) {
	k := newKeylessRig(t)
	var late []string
	k.move("shared", func() { late = k.late() })
	k.readable(late)
	k.caughtUp()
	require.True(t, k.friend.CanRead(k.account.Find("shared/dir/known")))
	require.Equal(t, len(late), k.sent("k"), "once each, and nothing else")
}

// The same of more than one request brings.
func TestKeysOfManyComeIntoAShareUnseen(t *testing.T) {
	k := newKeylessRig(t)
	var late []string
	k.move("shared", func() {
		for i := range 2*keysAtOnce + 1 {
			late = append(late, k.account.Mkdir(k.dir, fmt.Sprint(i)))
		}
	})
	k.readable(late)
}

// The same when the process dies in between, and whatever the server first says to it.
func TestKeysOfWhatComesIntoAShareUnseenLater(t *testing.T) {
	k := newKeylessRig(t)
	k.server.Faults().FailCommand("k", int(megaclient.EOVERQUOTA), megatest.Always)
	var late []string
	k.move("shared", func() { late = k.late() })
	k.eventually(func() bool { return k.sent("k") > 0 })
	for _, h := range late {
		require.False(t, k.friend.CanRead(h))
	}
	k.crash()
	k.server.Faults().Clear()
	k.start()
	k.readable(late)
}

// Whatever number refuses it once, it is tried again, but where there is nothing to be given.
func TestEveryCodeOnKeysGivenLater(t *testing.T) {
	k := newKeylessRig(t)
	for _, code := range everyCode() {
		refused := k.server.Stats().Faults
		k.server.Faults().FailCommand("k", code, 1)
		var late string
		k.move("shared", func() { late = k.account.PutFile(k.dir, fmt.Sprint(code), []byte("x"), time.Unix(1, 0)) })
		k.eventually(func() bool { return k.server.Stats().Faults > refused })
		switch megaclient.ErrorCode(code) {
		case megaclient.ENOENT, megaclient.EACCESS:
		default:
			k.eventually(func() bool { poke(k.engine.keysSoon); return k.friend.CanRead(late) })
		}
		k.server.Faults().Clear()
		k.caughtUp()
		k.rename("shared/dir", "dir")
		k.flush()
		k.caughtUp()
	}
}

// Nobody is given keys where nothing is shared.
func TestNoKeysWhereNothingIsShared(t *testing.T) {
	k := newKeylessRig(t)
	k.mkdir("plain")
	k.flush()
	k.move("plain", func() { k.late() })
	k.caughtUp()
	require.Zero(t, k.sent("k"))
}

// A row that can't be read, of the node or of what is above it, isn't one that is gone: the key is owed as before.
func TestKeysAreOwedWhileARowCantBeRead(t *testing.T) {
	k := newKeylessRig(t)
	k.server.Faults().FailCommand("k", int(megaclient.EOVERQUOTA), megatest.Always)
	var late string
	k.move("shared", func() { late = k.account.PutFile(k.dir, "late", []byte("x"), time.Unix(1, 0)) })
	k.eventually(func() bool { return k.sent("k") > 0 })
	k.caughtUp()
	for _, path := range []string{"shared/dir/late", "shared/dir"} {
		ino, err := k.engine.tree.Resolve(path)
		require.NoError(t, err)
		k.scribbled(ino, func() {
			require.ErrorIs(t, k.engine.tree.View(func(tx *tree.Tx) error {
				c := &change{Tx: tx, e: k.engine, b: tx.Badger()}
				_, _, forgotten, err := c.keysToGive()
				require.Zero(t, forgotten, path)
				return err
			}), tree.ErrCorrupt, path)
		})
	}
	k.server.Faults().Clear()
	poke(k.engine.keysSoon)
	k.readable([]string{late})
}

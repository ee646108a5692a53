package megaclient_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// sharers makes two accounts with ^!keys, the first one's client, and a folder of its own with a key for others (which a
// web client made: it has a link).
func sharers(t *testing.T) (s *megatest.Server, a, b *megatest.Account, mine, theirs *megaclient.Client, folder *megaclient.Node) {
	s, a = newWorld(t, megatest.WithAccountKeys())
	b = s.AddAccount("guest@example.com", password, megatest.WithAccountKeys())
	dir := a.Mkdir(a.Root(), "dir")
	a.Mkdir(dir, "below")
	a.Export(dir)
	mine, theirs = login(t, s, a), login(t, s, b)
	return s, a, b, mine, theirs, byName(t, mine)["dir"]
}

func TestShareFolder(t *testing.T) {
	_, a, b, mine, theirs, folder := sharers(t)
	a.Meet(b, false)
	peer, err := mine.Peer(t.Context(), megaclient.UserHandle(b.Handle))
	require.NoError(t, err)
	require.Equal(t, b.Credentials(), peer.Signing)
	require.Equal(t, megaclient.Met, peer.Known)
	below := byName(t, mine)["below"]
	keys := []megaclient.KeyedNode{{Handle: below.Handle, Key: below.Key}}
	for range 2 { // again is harmless
		require.NoError(t, mine.ShareFolder(t.Context(), folder, keys, peer, megaclient.AccessWrite))
	}
	require.NoError(t, theirs.LoadKeys(t.Context()))
	seen := byName(t, theirs)
	require.Contains(t, seen, "below")
	require.Equal(t, megaclient.AccessWrite, seen["dir"].Access)

	_, result := collect(t, mine)
	require.Contains(t, result.OutShares, megaclient.Share{Node: folder.Handle, User: peer.User, Access: megaclient.AccessWrite})
	require.NoError(t, mine.UnshareFolder(t.Context(), folder.Handle, peer.User))
	require.NotContains(t, byName(t, theirs), "dir")
}

func TestPeersAreKnownByTheirKeys(t *testing.T) {
	_, a, b, mine, _, _ := sharers(t)
	known := func() megaclient.Acquaintance {
		peer, err := mine.Peer(t.Context(), megaclient.UserHandle(b.Handle))
		require.NoError(t, err)
		require.Equal(t, b.Credentials(), peer.Signing)
		return peer.Known
	}
	require.Equal(t, megaclient.Stranger, known())
	a.Meet(b, true)
	require.Equal(t, megaclient.Compared, known())
	b.RenewKeys()
	require.Equal(t, megaclient.Changed, known())
}

// TestKeysThatNobodySigned: a server that puts a key of its own in place of a user's is found out, unless it replaces the
// signing key too; that one has another fingerprint.
func TestKeysThatNobodySigned(t *testing.T) {
	_, a, b, mine, _, _ := sharers(t)
	a.Meet(b, false)
	user := megaclient.UserHandle(b.Handle)
	before, err := mine.Peer(t.Context(), user)
	require.NoError(t, err)
	other := make([]byte, 32)
	other[0] = 9
	b.SetUserAttr("+puCu255", base64.RawURLEncoding.EncodeToString(other))
	_, err = mine.Peer(t.Context(), user)
	require.ErrorIs(t, err, megacrypto.ErrKeySignature)
	b.RenewKeys() // both, as the server could do
	after, err := mine.Peer(t.Context(), user)
	require.NoError(t, err)
	require.NotEqual(t, before.Signing, after.Signing)
	require.Equal(t, megaclient.Changed, after.Known)
	b.SetUserAttr("+sigCu255", "AAAA")
	_, err = mine.Peer(t.Context(), user)
	require.ErrorIs(t, err, megacrypto.ErrKeySignature)
}

func TestOnlyFoldersWithAKeyAreShared(t *testing.T) {
	_, a, b, mine, _, _ := sharers(t)
	a.Meet(b, false)
	peer, err := mine.Peer(t.Context(), megaclient.UserHandle(b.Handle))
	require.NoError(t, err)
	a.Mkdir(a.Root(), "without")
	without := byName(t, mine)["without"]
	require.ErrorIs(t, mine.ShareFolder(t.Context(), without, nil, peer, megaclient.AccessRead), megaclient.ErrNewShare)
	_, result := collect(t, mine)
	for _, s := range result.OutShares {
		require.True(t, s.Link, "nobody was let in")
	}

	s, old := newWorld(t)
	plain := s.AddAccount("plain@example.com", password)
	_, err = login(t, s, old).Peer(t.Context(), megaclient.UserHandle(plain.Handle))
	require.ErrorIs(t, err, megaclient.ErrNoPeerKeys)
}

// The keys of shares from many users come with few requests; who is missing in an answer is asked for alone.
func TestKeysOfManySharers(t *testing.T) {
	s, guest := newWorld(t, megatest.WithAccountKeys())
	var names []string
	for i := range 4 {
		owner := s.AddAccount(fmt.Sprintf("owner%d@example.com", i), password, megatest.WithAccountKeys())
		names = append(names, fmt.Sprint("from", i))
		owner.Share(owner.Mkdir(owner.Root(), names[i]), guest, megaclient.AccessRead)
	}
	learned := func() (requests int) {
		t.Helper()
		c := login(t, s, guest)
		before := s.Stats().Batches
		require.NoError(t, c.LoadKeys(t.Context()))
		requests = s.Stats().Batches - before
		seen := byName(t, c)
		for _, name := range names {
			require.Contains(t, seen, name)
		}
		return requests
	}
	require.LessOrEqual(t, learned(), 4)

	var busy sync.Once
	s.OnCommand(func(name string, body json.RawMessage) {
		if name == "uga" && bytes.Contains(body, []byte("+puCu255")) {
			busy.Do(func() { s.Faults().FailCommand("uga", -3, 1) })
		}
	})
	learned()
	require.Equal(t, 1, s.Stats().Faults)
}

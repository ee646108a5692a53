package megaclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// everyCode are all numbers that a command may be refused with, but for those that end or block the session
// (TestEndedSession, TestBlockedWhileLoggedIn) or slow all that follows (TestRateLimitSlows), and one that nobody knows.
func everyCode() (codes []int) {
	for code := -1; code >= int(megaclient.ESUBUSERKEYMISSING)-1; code-- {
		switch megaclient.ErrorCode(code) {
		case megaclient.ESID, megaclient.EBLOCKED, megaclient.ERATELIMIT:
		default:
			codes = append(codes, code)
		}
	}
	return codes
}

// saysWhy tells whether an error has a sentence of its own for what a number means there.
func saysWhy(err error) bool {
	for _, sentence := range []error{megaclient.ErrBadLogin, megaclient.ErrMFARequired, megaclient.ErrMFAWrong, megaclient.ErrNewShare, megaclient.ErrNoPeerKeys} {
		if errors.Is(err, sentence) {
			return true
		}
	}
	return false
}

// Whatever number refuses a command of an account, of sharing, of links, of deletion or of pictures: it is done all the
// same, or fails with an error that says why, and the next time it is done.
func TestEveryCodeOnEveryOtherCommand(t *testing.T) {
	server, a, b, mine, theirs, folder := sharers(t)
	a.Meet(b, false)
	ctx := t.Context()
	peer, err := mine.Peer(ctx, megaclient.UserHandle(b.Handle))
	require.NoError(t, err)
	below := byName(t, mine)["below"]
	keys := []megaclient.KeyedNode{{Handle: below.Handle, Key: below.Key}}
	share := func() error { return mine.ShareFolder(ctx, folder, keys, peer, megaclient.AccessWrite) }
	export := func() error { _, err := mine.ExportLink(ctx, folder, keys...); return err }
	picture := a.PutFile(a.Root(), "picture", []byte("content"), time.Unix(1e9, 0))
	key, err := megacrypto.UnpackFileKey(a.Key(picture))
	require.NoError(t, err)
	attach := func() error {
		return mine.AttachFileAttrs(ctx, megaclient.Handle(picture), key, map[megaclient.FileAttrType][]byte{megaclient.Thumbnail: []byte("thumbnail")})
	}
	for _, deed := range []struct {
		commands []string
		do       func() error
		before   func() error // what do needs, each time
	}{
		{[]string{"ug"}, func() error { _, err := mine.Account(ctx); return err }, nil},
		{[]string{"uga"}, func() error { _, err := mine.KeepsVersions(ctx); return err }, nil},
		{[]string{"uge"}, func() error { _, err := mine.UserEmail(ctx, peer.User); return err }, nil},
		{[]string{"usr"}, func() error { return mine.EndSession(ctx, "of another program") }, nil},
		{[]string{"uga"}, func() error { _, err := mine.Peer(ctx, peer.User); return err }, nil},
		{[]string{"s2", "pk", "uga"}, share, nil},
		{[]string{"pk", "uga"}, func() error { return theirs.LoadKeys(ctx) }, nil},
		{[]string{"s2"}, func() error { return mine.UnshareFolder(ctx, folder.Handle, peer.User) }, share},
		{[]string{"l"}, export, nil},
		{[]string{"l"}, func() error { return mine.Unexport(ctx, folder.Handle) }, export},
		{[]string{"d"}, func() error { return mine.Remove(ctx, megaclient.Handle(a.Mkdir(a.Root(), "gone"))) }, nil},
		{[]string{"ufa", "pfa"}, attach, nil},
		{[]string{"ufa"}, func() error {
			fa, ok := megaclient.ParseFileAttr(a.FileAttrs(picture), megaclient.Thumbnail)
			require.True(t, ok)
			var got bytes.Buffer
			err := mine.FetchFileAttrs(ctx, []megaclient.FileAttr{fa}, func(_ megaclient.FileAttr, data []byte) { got.Write(data) })
			if err == nil {
				require.NotZero(t, got.Len())
			}
			return err
		}, attach},
	} {
		for _, command := range deed.commands {
			for _, code := range everyCode() {
				what := fmt.Sprintf("%s refused with %d", command, code)
				for _, refuse := range []func(command string, code, n int){server.Faults().FailCommand, server.Faults().FailBatch} {
					if deed.before != nil {
						require.NoError(t, deed.before(), "before %s", what)
					}
					refuse(command, code, 1)
					hit := server.Stats().Faults
					err := deed.do()
					require.Greater(t, server.Stats().Faults, hit, "%s was not asked", command)
					server.Faults().Clear()
					if err != nil {
						require.True(t, isTyped(err) || saysWhy(err), "%s: %v", what, err)
						require.NoError(t, deed.do(), "after %s", what)
					}
				}
			}
		}
	}
	require.NoError(t, share())
	require.NoError(t, theirs.LoadKeys(ctx))
	require.Contains(t, byName(t, theirs), "below")
}

// The same of logging in, by an account of the old kind, since the keys of a new one take long to derive.
func TestEveryCodeOnLogin(t *testing.T) {
	server, a := newWorld(t, megatest.V1())
	enter := func() error {
		c, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: server.URL()}, a.Email, password, "")
		if err == nil {
			c.Close()
		}
		return err
	}
	for _, command := range []string{"us0", "us"} {
		for _, code := range everyCode() {
			server.Faults().FailCommand(command, code, 1)
			hit := server.Stats().Faults
			err := enter()
			require.Greater(t, server.Stats().Faults, hit, "%s was not asked", command)
			if err != nil {
				require.True(t, isTyped(err) || saysWhy(err), "%s refused with %d: %v", command, code, err)
			}
		}
		require.NoError(t, enter())
	}
}

// The same of logging out: whoever is told that it failed can do it again.
func TestEveryCodeOnLogout(t *testing.T) {
	server, a := newWorld(t, megatest.V1())
	for _, code := range everyCode() {
		session := login(t, server, a).Session()
		leave := func() error {
			c, err := megaclient.Resume(megaclient.Config{APIURL: server.URL()}, session)
			require.NoError(t, err)
			return c.Logout(t.Context())
		}
		server.Faults().FailCommand("sml", code, 1)
		hit := server.Stats().Faults
		err := leave()
		require.Greater(t, server.Stats().Faults, hit, "sml was not asked")
		if err != nil {
			require.True(t, isTyped(err), "sml refused with %d: %v", code, err)
			require.NotEmpty(t, a.Sessions())
			require.NoError(t, leave())
		}
		require.Empty(t, a.Sessions())
	}
}

// The same of asking why the account is blocked: that it is blocked is known in any case.
func TestEveryCodeOnTheReasonOfABlock(t *testing.T) {
	server, a := newWorld(t, megatest.V1())
	c := login(t, server, a)
	a.Block(300)
	why := func() *megaclient.BlockedError {
		_, err := c.Account(t.Context())
		var blocked *megaclient.BlockedError
		require.ErrorAs(t, err, &blocked)
		return blocked
	}
	for _, code := range everyCode() {
		server.Faults().FailCommand("whyamiblocked", code, 1)
		hit := server.Stats().Faults
		why()
		require.Greater(t, server.Stats().Faults, hit, "whyamiblocked was not asked")
		require.Equal(t, 300, why().Reason, "after %d", code)
	}
}

package megatest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

func TestLoginKinds(t *testing.T) {
	s := newServer(t)
	s.AddAccount("v1@example.com", password, megatest.V1())
	s.AddAccount("v2@example.com", password)
	s.AddAccount("mfa@example.com", password, megatest.MFA("123456"))
	for _, tc := range []struct {
		email, password, mfa string
		want                 float64
	}{
		{"v1@example.com", password, "", 0},
		{"V1@example.com", "wrong", "", -9},
		{"v2@example.com", password, "", 0},
		{"v2@example.com", "wrong", "", -9},
		{"nobody@example.com", password, "", -9},
		{"mfa@example.com", password, "", -26},
		{"mfa@example.com", password, "654321", -5},
		{"mfa@example.com", "wrong", "123456", -9},
		{"mfa@example.com", password, "123456", 0},
	} {
		require.Equal(t, tc.want, newRaw(t, s).login(tc.email, tc.password, tc.mfa), "%v", tc)
	}
}

func TestSessionID(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	sid := unb64(t, c.sid)
	require.Len(t, sid, 43)
	require.NotZero(t, sid[0])
	require.Equal(t, a.Handle, string(sid[16:27]))
	require.Equal(t, []string{c.sid}, a.Sessions())
}

func TestResumeReturnsTheStoredKey(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	_, nodes := c.fetch()
	require.Len(t, nodes, 3)
	answer, _ := c.fetch()
	got := c.cmd(object{"a": "us", "sek": "AAAAAAAAAAAAAAAAAAAAAA", "sn": answer["sn"]}).(object)
	require.Equal(t, a.Handle, got["u"])
	require.EqualValues(t, 1, got["sn"])
	got = c.cmd(object{"a": "us", "sn": "AAAAAAAAAAA"}).(object)
	require.EqualValues(t, 0, got["sn"])
	require.Equal(t, -2, newRaw(t, s).code(object{"a": "us"}))
}

func TestEndedSession(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	other := login(t, s, a)
	answer, _ := c.fetch()
	require.Equal(t, 0, c.code(object{"a": "usr", "ko": 1}))
	require.Equal(t, -15.0, other.cmd(object{"a": "ug"}))
	require.Equal(t, a.Email, c.cmd(object{"a": "ug"}).(object)["email"])
	require.Equal(t, 0, c.code(object{"a": "sml"}))
	require.Equal(t, -15.0, c.batch("x", object{"a": "ug"}), "the whole batch fails")
	require.Equal(t, -15.0, c.poll(answer["sn"].(string)))
}

func TestBlockedAccount(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	require.Equal(t, 0, c.code(object{"a": "whyamiblocked"}))
	a.Block(700)
	require.Equal(t, -16.0, c.cmd(object{"a": "f"}))
	require.Equal(t, -16.0, c.poll("AAAAAAAAAAA"))
	require.Equal(t, 700, c.code(object{"a": "whyamiblocked"}))
	a.Block(0)
	require.IsType(t, object{}, c.cmd(object{"a": "ug"}))
}

func TestUserAttributes(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	b := s.AddAccount("other@example.com", password)
	c, d := login(t, s, a), login(t, s, b)
	answer, _ := c.fetch()
	require.Equal(t, -9, c.code(object{"a": "uga", "u": a.Handle, "ua": "^!x", "v": 1}))
	set := c.cmd(object{"a": "upv", "^!x": []string{"QUJD"}}).(object)
	version := set["^!x"].(string)
	require.Equal(t, object{"av": "QUJD", "v": version}, c.cmd(object{"a": "uga", "u": a.Handle, "ua": "^!x", "v": 1}))
	require.Equal(t, "QUJD", c.cmd(object{"a": "uga", "u": a.Handle, "ua": "^!x"}))
	require.Equal(t, -8, c.code(object{"a": "upv", "^!x": []string{"REVG"}}))
	require.Equal(t, -8, c.code(object{"a": "upv", "^!x": []string{"REVG", "stale"}}))
	require.IsType(t, object{}, c.cmd(object{"a": "upv", "^!x": []string{"REVG", version}}))
	require.IsType(t, object{}, c.cmd(object{"a": "up2", "+pub": "R0hJ"}))
	require.Equal(t, -11, d.code(object{"a": "uga", "u": a.Handle, "ua": "^!x"}))
	require.Equal(t, "R0hJ", d.cmd(object{"a": "uga", "u": a.Handle, "ua": "+pub"}))
	packets, _ := c.packets(answer["sn"].(string))
	require.Len(t, packets, 3)
	require.Equal(t, "ua", packets[0]["a"])
	require.Equal(t, []any{"^!x"}, packets[0]["ua"])
	require.Contains(t, c.cmd(object{"a": "ug", "v": 1}), "^!x")
}

func TestAccountKeys(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password, megatest.WithAccountKeys())
	dir := a.Mkdir(a.Root(), "exported")
	link, err := megacrypto.ParseLink(a.Export(dir))
	require.NoError(t, err)
	c := login(t, s, a)
	attr := c.cmd(object{"a": "uga", "u": a.Handle, "ua": "^!keys", "v": 1}).(object)
	keys, err := megacrypto.ParseAccountKeys(c.mk, unb64(t, attr["av"]))
	require.NoError(t, err)
	require.Equal(t, megacrypto.Key(link.Key), keys.ShareKeys[dir])
	require.Equal(t, a.Handle, keys.Identity)
	answer, _ := c.fetch()
	entry := answer["ok"].([]any)[0].(object)
	require.Equal(t, "AAAAAAAAAAAAAAAAAAAAAA", entry["k"], "such accounts get dummies")
}

func TestQuotas(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password, megatest.Quota(1000))
	c := login(t, s, a)
	require.Equal(t, -24, c.code(object{"a": "u", "s": 1001}))
	up := c.upload("x", make([]byte, 1000))
	require.Equal(t, -17, c.code(object{"a": "p", "t": a.Root(), "n": []any{up}, "x": a.PutFile(a.Root(), "small", []byte("1"), zero)}))
	require.Equal(t, -24, c.code(object{"a": "u", "s": 1000}))
	a.PutFile(a.Root(), "rest", make([]byte, 999), zero)
	require.Equal(t, -17, c.code(object{"a": "u", "s": 1}))
	q := c.cmd(object{"a": "uq", "strg": 1, "xfer": 1}).(object)
	require.EqualValues(t, 1000, q["mstrg"])
	require.EqualValues(t, 1000, q["cstrg"])
	require.Equal(t, []any{1000.0, 2.0, 0.0, 0.0, 0.0}, q["cstrgn"].(object)[a.Root()])
}

package megaclient_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

func TestLogin(t *testing.T) {
	for name, opts := range map[string][]megatest.AccountOption{
		"version 2": nil,
		"version 1": {megatest.V1()},
		"modern":    {megatest.WithAccountKeys()},
	} {
		t.Run(name, func(t *testing.T) {
			s, a := newWorld(t, append(opts, megatest.Named("Somebody"), megatest.Quota(1000))...)
			c, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: s.URL() + "/"}, " User@Example.COM ", password, "")
			require.NoError(t, err)
			defer c.Close()
			require.Equal(t, a.MasterKey(), c.Session().MasterKey)
			require.Equal(t, megaclient.UserHandle(a.Handle), c.Session().User)
			account, err := c.Account(t.Context())
			require.NoError(t, err)
			require.Equal(t, megaclient.Account{User: megaclient.UserHandle(a.Handle), Email: "user@example.com", Name: "Somebody"}, account)
			quota, err := c.Quota(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 1000, quota.Total)
			require.Zero(t, quota.Used)
		})
	}
}

func TestLoginWithForeignLetters(t *testing.T) {
	s := megatest.NewServer()
	defer s.Close()
	for _, opts := range [][]megatest.AccountOption{nil, {megatest.V1()}} {
		a := s.AddAccount([]string{"two@example.com", "one@example.com"}[len(opts)], "pässwörd ☃", opts...)
		c, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: s.URL()}, a.Email, "pässwörd ☃", "")
		require.NoError(t, err)
		c.Close()
	}
}

func TestLoginRefused(t *testing.T) {
	s, a := newWorld(t)
	s.AddAccount("mfa@example.com", password, megatest.MFA("123456"))
	for name, test := range map[string]struct {
		email, password, code string
		want                  error
	}{
		"wrong password": {"user@example.com", "wrong", "", megaclient.ErrBadLogin},
		"no account":     {"nobody@example.com", password, "", megaclient.ErrBadLogin},
		"no code":        {"mfa@example.com", password, "", megaclient.ErrMFARequired},
		"wrong code":     {"mfa@example.com", password, "654321", megaclient.ErrMFAWrong},
		"right code":     {"mfa@example.com", password, " 123456 ", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: s.URL()}, test.email, test.password, test.code)
			require.ErrorIs(t, err, test.want)
			if err == nil {
				c.Close()
			}
		})
	}
	a.Block(200)
	_, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: s.URL()}, a.Email, password, "")
	require.ErrorIs(t, err, megaclient.EBLOCKED)
}

func TestBlockedWhileLoggedIn(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	a.Block(300)
	_, err := c.Account(t.Context())
	var blocked *megaclient.BlockedError
	require.ErrorAs(t, err, &blocked)
	require.Equal(t, 300, blocked.Reason)
}

func TestResumeAndLogout(t *testing.T) {
	s, a := newWorld(t)
	first := login(t, s, a)
	stored, err := json.Marshal(first.Session())
	require.NoError(t, err)
	first.Close()
	var session megaclient.Session
	require.NoError(t, json.Unmarshal(stored, &session))
	require.Equal(t, first.Session(), session)

	c, err := megaclient.Resume(megaclient.Config{APIURL: s.URL()}, session)
	require.NoError(t, err)
	_, err = c.Account(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Logout(t.Context()))
	require.Empty(t, a.Sessions(), "ended on the server too")

	c, err = megaclient.Resume(megaclient.Config{APIURL: s.URL()}, session)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Account(t.Context())
	require.ErrorIs(t, err, megaclient.ESID)
	require.ErrorContains(t, err, "log in again")
	require.NoError(t, c.Logout(t.Context()), "already ended")
}

func TestLoginThroughHashcashAndStorms(t *testing.T) {
	s, a := newWorld(t)
	s.Faults().DemandHashcash(255, 2)
	s.Faults().FailBatch("us0", -3, 5)
	s.Faults().FailBatch("us", -4, 2)
	s.Faults().DropBefore("us0", 1)
	s.Faults().DropAfter("us", 1)
	login(t, s, a)
	require.Len(t, a.Sessions(), 1, "the lost answer was replayed")
}

// loginStub answers us0 and us.
func loginStub(t *testing.T, us0, us string) megaclient.Config {
	s := newStub(t, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		answer := us
		if strings.Contains(string(body), `"us0"`) {
			answer = us0
		}
		_, _ = io.WriteString(w, answer)
	})
	return megaclient.Config{APIURL: s.URL}
}

func TestLoginWithATemporarySession(t *testing.T) {
	master := megacrypto.NewKey()
	salt := make([]byte, 32)
	key, _ := megacrypto.DeriveV2(password, salt)
	sealed, err := megacrypto.EncryptKey(key, master[:])
	require.NoError(t, err)
	sid := make([]byte, 43)
	sid[3] = 7
	proof, err := megacrypto.EncryptKey(master, sid[:16])
	require.NoError(t, err)
	copy(sid[27:], proof)
	us := func() string {
		return `[{"k":"` + megacrypto.EncodeBase64(sealed) + `","u":"UUUUUUUUUUU","tsid":"` + megacrypto.EncodeBase64(sid) + `"}]`
	}
	us0 := `[{"v":2,"s":"` + megacrypto.EncodeBase64(salt) + `"}]`
	c, err := megaclient.Login(t.Context(), loginStub(t, us0, us()), "a@b.c", password, "")
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, megacrypto.EncodeBase64(sid), c.Session().SID)
	require.Equal(t, master, c.Session().MasterKey)

	sid[40]++
	_, err = megaclient.Login(t.Context(), loginStub(t, us0, us()), "a@b.c", password, "")
	require.ErrorIs(t, err, megaclient.ErrBadLogin)
}

// What the account's RSA key opens as a session id goes back to the server. It must be one: else the server could have the
// keys read to it that others have encrypted for the account.
func TestLoginDecryptsNothingButASessionID(t *testing.T) {
	rsa, err := megacrypto.GeneratePrivateKey()
	require.NoError(t, err)
	master := megacrypto.NewKey()
	privk, err := megacrypto.EncryptKey(master, rsa.Marshal())
	require.NoError(t, err)
	key, _ := megacrypto.DeriveV2(password, nil)
	k, err := megacrypto.EncryptKey(key, master[:])
	require.NoError(t, err)
	session := make([]byte, 43)
	copy(session[16:], stubUser)
	for name, test := range map[string]struct {
		user  megaclient.UserHandle
		plain []byte
		sound bool
	}{
		"its session":       {stubUser, session, true},
		"another's session": {"VVVVVVVVVVV", session, false},
		"a node's key":      {stubUser, megacrypto.NewFileKey().Pack(), false},
	} {
		csid, err := rsa.Public().Encrypt(test.plain)
		require.NoError(t, err)
		answer, err := json.Marshal([]any{map[string]any{
			"k": megacrypto.EncodeBase64(k), "u": test.user, "privk": megacrypto.EncodeBase64(privk), "csid": megacrypto.EncodeBase64(csid),
		}})
		require.NoError(t, err)
		c, err := megaclient.Login(t.Context(), loginStub(t, `[{"v":2,"s":""}]`, string(answer)), "a@b.c", password, "")
		if !test.sound {
			require.ErrorIs(t, err, megaclient.ErrBadAnswer, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, megacrypto.EncodeBase64(session), c.Session().SID)
		c.Close()
	}
}

func TestLoginAnswersOfJunk(t *testing.T) {
	const us0 = `[{"v":2,"s":"AAAA"}]`
	for _, test := range [][2]string{
		{`[{}]`, "0"}, {`[{"v":3}]`, "0"}, {`[{"v":2,"s":"!"}]`, "0"}, {`[0]`, "0"}, {`[7,8]`, "0"}, {`[-13]`, "0"}, {`[-6]`, "0"},
		{us0, `[{}]`}, {us0, `[0]`}, {us0, `[{"k":"AAAA","u":"UUUUUUUUUUU"}]`}, {us0, `[{"k":"AAAAAAAAAAAAAAAAAAAAAA","u":"x"}]`},
		{us0, `[{"k":"AAAAAAAAAAAAAAAAAAAAAA","u":"UUUUUUUUUUU","csid":"AAAA"}]`},
		{us0, `[{"k":"AAAAAAAAAAAAAAAAAAAAAA","u":"UUUUUUUUUUU","csid":"AAAA","privk":"AAAA"}]`},
		{us0, `[{"k":"AAAAAAAAAAAAAAAAAAAAAA","u":"UUUUUUUUUUU","tsid":"AAAA"}]`}, {us0, "[-13]"}, {us0, "[-6]"},
	} {
		_, err := megaclient.Login(t.Context(), loginStub(t, test[0], test[1]), "a@b.c", "p", "")
		require.Error(t, err, test)
		require.NotContains(t, err.Error(), "UUUUUUUUUUU")
	}
}

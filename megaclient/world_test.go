package megaclient_test

import (
	"testing"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

const password = "correct horse battery staple"

// newWorld starts a server with one account.
func newWorld(t testing.TB, opts ...megatest.AccountOption) (*megatest.Server, *megatest.Account) {
	s := megatest.NewServer()
	t.Cleanup(s.Close)
	return s, s.AddAccount("user@example.com", password, opts...)
}

// login makes a client of the account.
func login(t testing.TB, s *megatest.Server, a *megatest.Account) *megaclient.Client {
	t.Helper()
	c, err := megaclient.Login(t.Context(), megaclient.Config{APIURL: s.URL()}, a.Email, password, "")
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/program"
)

// sessionOfList is what `megadisk sessions list --json` prints for each.
type sessionOfList struct {
	ID      string `json:"id"`
	Current bool   `json:"current"`
}

// TestSessions: the account's sessions are listed and closed, never the program's own; a login says when there are many.
func TestSessions(t *testing.T) {
	p, account := program.WithAccount(t)
	var errs string
	for range 22 {
		var status int
		_, errs, status = p.Try(program.Password+"\n", "login", program.Email, "--password-file", "-")
		require.Zero(t, status, errs)
	}
	require.Contains(t, errs, "logged in 2")
	list := readJSON[[]sessionOfList](t, p.Run("sessions", "list", "--json"))
	require.Len(t, list, len(account.Sessions()))
	own, other := "", ""
	for _, s := range list {
		if s.Current {
			own = s.ID
		} else {
			other = s.ID
		}
	}
	require.Equal(t, 1, strings.Count(p.Run("sessions", "list"), "* "+own))
	require.Contains(t, p.Run("sessions", "close", other), "Closed: 1")
	require.Contains(t, refused(t, p, 8, "", "sessions", "close", other), "no session")
	require.Contains(t, refused(t, p, 2, "", "sessions", "close", own), "logout")
	require.Contains(t, refused(t, p, 2, "", "sessions", "close"), "--others")
	p.Run("sessions", "close", "--others")
	require.Len(t, readJSON[[]sessionOfList](t, p.Run("sessions", "list", "--json")), 1)
	require.Contains(t, p.Run("whoami"), program.Email, "its own is alive")
}

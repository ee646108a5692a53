package megaclient_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
)

// TestEventsNameUsers: who becomes a contact, is one no longer, or has a new address, and who comes along with nodes.
func TestEventsNameUsers(t *testing.T) {
	s, a := newWorld(t)
	b := s.AddAccount("guest@example.com", password)
	c := login(t, s, a)
	l := listen(t, c)
	guest := megaclient.User{Handle: megaclient.UserHandle(b.Handle), Email: "guest@example.com"}
	with := func(change func(*megaclient.User)) []megaclient.User {
		u := guest
		change(&u)
		return []megaclient.User{u}
	}

	a.Befriend(b)
	require.Equal(t, with(func(u *megaclient.User) { u.Contact = true }), next[*megaclient.UsersPacket](t, l).Users)
	b.Part(a)
	require.Equal(t, with(func(u *megaclient.User) { u.Former = true }), next[*megaclient.UsersPacket](t, l).Users)

	tell := func(packet string) { s.Faults().Tell(a, strings.ReplaceAll(packet, "GUEST", b.Handle)) }
	tell(`{"a":"se","u":"GUEST","e":"new@example.com","s":3}`)
	require.Equal(t, with(func(u *megaclient.User) { u.Email = "new@example.com" }), next[*megaclient.UsersPacket](t, l).Users)
	for _, none := range []string{
		`{"a":"se","u":"GUEST","e":"new@example.com","s":2}`, `{"a":"se","e":"new@example.com","s":3}`, `{"a":"se","u":7,"e":[],"s":"x"}`,
		`{"a":"c"}`, `{"a":"c","u":"GUEST"}`, `{"a":"c","u":[7,{},{"u":"short","m":"x"},null]}`,
	} {
		tell(none)
		require.Empty(t, next[*megaclient.UsersPacket](t, l).Users, none)
	}
	tell(`{"a":"c","u":[{"u":"GUEST","m":"` + strings.Repeat("x", 300) + `"}]}`)
	require.Equal(t, with(func(u *megaclient.User) { u.Email = "" }), next[*megaclient.UsersPacket](t, l).Users, "no address is that long")

	tell(`{"a":"t","t":{"f":[],"u":[{"u":"GUEST","m":"guest@example.com"}]},"u":[{"u":"GUEST","c":1,"m":"guest@example.com"}]}`)
	require.Equal(t, append(with(func(*megaclient.User) {}), with(func(u *megaclient.User) { u.Contact = true })...), next[*megaclient.NodesPacket](t, l).Users)
}

func TestUserEmail(t *testing.T) {
	s, a := newWorld(t)
	b := s.AddAccount("guest@example.com", password)
	c := login(t, s, a)
	mail, err := c.UserEmail(t.Context(), megaclient.UserHandle(b.Handle))
	require.NoError(t, err)
	require.Equal(t, "guest@example.com", mail)
	_, err = c.UserEmail(t.Context(), "AAAAAAAAAAA")
	require.ErrorIs(t, err, megaclient.ENOENT)
	s.Faults().FailCommand("uge", -3, 2)
	_, err = c.UserEmail(t.Context(), megaclient.UserHandle(b.Handle))
	require.NoError(t, err, "that the server is busy passes")
}

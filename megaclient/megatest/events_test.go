package megatest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// soon bounds everything that has to happen by itself.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// idle opens the wait URL in the background and returns when it blocks. The channel gives its answer.
func idle(t *testing.T, c *raw, sn string) <-chan string {
	url := c.poll(sn).(object)["w"].(string)
	require.NotContains(t, url, "?")
	done := make(chan string, 1)
	go func() {
		_, reply, err := c.tryPost(url, "")
		if err != nil {
			reply = []byte(err.Error())
		}
		done <- string(reply)
	}()
	require.NoError(t, c.s.Await(soon(t), func(n megatest.Stats) bool { return n.Waiting > 0 }))
	return done
}

func TestWaitReturnsWithAPacket(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	answer, _ := c.fetch()
	sn := answer["sn"].(string)
	done := idle(t, c, sn)
	select {
	case got := <-done:
		t.Fatal("returned without a packet: " + got)
	default:
	}
	url := c.poll(sn).(object)["w"].(string)
	h := a.Mkdir(a.Root(), "x")
	require.Equal(t, "0", <-done)
	_, reply := c.get(url) // a packet that came before the wait began is not missed
	require.Equal(t, "0", string(reply))
	packets, _ := c.packets(sn)
	require.Equal(t, []string{h}, nodesOf(packets[0], "f"))
}

func TestWaitTimesOut(t *testing.T) {
	s := newServer(t, megatest.WithWaitTime(10*time.Millisecond))
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	answer, _ := c.fetch()
	require.Equal(t, "0", <-idleOnce(t, c, answer["sn"].(string)))
}

// idleOnce opens the wait URL in the background.
func idleOnce(t *testing.T, c *raw, sn string) <-chan string {
	url := c.poll(sn).(object)["w"].(string)
	done := make(chan string, 1)
	go func() {
		_, reply, _ := c.tryPost(url, "")
		done <- string(reply)
	}()
	return done
}

func TestWaitEndsWithTheSession(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	for name, tc := range map[string]struct {
		end  func(*raw)
		want string
	}{
		"logout elsewhere": {func(c *raw) { s.Faults().EndSession(c.sid) }, "-15"},
		"all sessions":     {func(*raw) { s.Faults().EndSessions() }, "-15"},
		"of the account":   {func(*raw) { a.EndSessions() }, "-15"},
		"blocked":          {func(*raw) { a.Block(200) }, "-16"},
	} {
		a.Block(0)
		c := login(t, s, a)
		answer, _ := c.fetch()
		done := idle(t, c, answer["sn"].(string))
		tc.end(c)
		require.Equal(t, tc.want, <-done, name)
		require.NoError(t, s.Await(soon(t), func(n megatest.Stats) bool { return n.Waiting == 0 }))
	}
}

func TestSequenceNumbers(t *testing.T) {
	s := newServer(t, megatest.WithPacketLog(5))
	a := s.AddAccount("user@example.com", password)
	b := s.AddAccount("other@example.com", password)
	c := login(t, s, a)
	answer, _ := c.fetch()
	sn := answer["sn"].(string)
	require.Equal(t, -2.0, c.poll("nonsense"))
	require.Equal(t, -6.0, c.poll("__________8"), "from the future")
	foreign, _ := login(t, s, b).fetch()
	require.Equal(t, -6.0, c.poll(foreign["sn"].(string)), "of another account")
	for range 5 {
		a.Mkdir(a.Root(), "x")
	}
	packets, _ := c.packets(sn)
	require.Len(t, packets, 5)
	for range 20 {
		a.Mkdir(a.Root(), "x")
	}
	require.Equal(t, -6.0, c.poll(sn), "too old")
	tags := map[any]bool{}
	for _, p := range packets {
		tags[p["st"]] = true
	}
	require.Len(t, tags, 5, "each command has its own sequence tag")
}

func TestSlicesSayThatThereIsMore(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	answer, _ := c.fetch()
	for range 3 {
		a.Mkdir(a.Root(), "x")
	}
	s.Faults().SlicePackets(2)
	first := c.poll(answer["sn"].(string)).(object)
	require.Len(t, first["a"], 2)
	require.EqualValues(t, 1, first["ir"])
	second := c.poll(first["sn"].(string)).(object)
	require.Len(t, second["a"], 1)
	require.NotContains(t, second, "ir")
}

func TestFrozenTree(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	s.Faults().FreezeTrees()
	h := a.Mkdir(a.Root(), "x")
	old := c.cmd(object{"a": "f", "c": 1, "ca": 1}).(object)
	require.Len(t, old["f"], 3)
	packets, _ := c.packets(old["sn"].(string))
	require.Equal(t, []string{h}, nodesOf(packets[0], "f"), "the packets since then tell the rest")
	_, nodes := c.fetch()
	require.Contains(t, nodes, h, "without ca it is fresh")
	s.Faults().Clear()
	require.Len(t, c.cmd(object{"a": "f", "c": 1, "ca": 1}).(object)["f"], 4)
}

func TestRedelivery(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	a.Mkdir(a.Root(), "one")
	two := a.Mkdir(a.Root(), "two")
	answer, _ := c.fetch()
	s.Faults().Redeliver(1)
	packets, sn := c.packets(answer["sn"].(string))
	require.Equal(t, []string{two}, nodesOf(packets[0], "f"))
	require.Equal(t, answer["sn"], sn)
}

func TestForgottenPackets(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	answer, _ := c.fetch()
	sn := answer["sn"].(string)
	s.Faults().ForgetPackets()
	require.IsType(t, object{}, c.poll(sn), "nothing was missed")
	a.Mkdir(a.Root(), "x")
	s.Faults().ForgetPackets()
	require.Equal(t, -6.0, c.poll(sn))
}

package megaclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

// listener collects what a Listen brings.
type listener struct {
	answers chan *megaclient.Answer
	kick    chan struct{}
	ended   chan error
}

// listen listens from the state of a fresh fetch on.
func listen(t *testing.T, c *megaclient.Client) *listener {
	t.Helper()
	_, result := collect(t, c)
	return listenFrom(t, c, result.SN)
}

func listenFrom(t *testing.T, c *megaclient.Client, sn string) *listener {
	l := &listener{answers: make(chan *megaclient.Answer, 100), kick: make(chan struct{}, 1), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		l.ended <- c.Listen(ctx, sn, l.kick, func(a *megaclient.Answer) error { l.answers <- a; return nil })
	}()
	t.Cleanup(func() { cancel(); <-l.ended })
	return l
}

// next waits for a packet of a type.
func next[P megaclient.Packet](t *testing.T, l *listener) P {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case a := <-l.answers:
			for _, p := range a.Packets {
				if got, ok := p.(P); ok {
					return got
				}
			}
		case err := <-l.ended:
			l.ended <- err
			require.Fail(t, "the stream ended", "%v", err)
		case <-timeout:
			require.Fail(t, "no such event")
		}
	}
}

func TestEventsOfAnotherClient(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	before := time.Now()
	l := listen(t, c)
	first := <-l.answers
	require.Empty(t, first.Packets, "up to date")
	require.False(t, first.More)
	require.WithinRange(t, first.Asked, before, time.Now())

	dir := a.Mkdir(a.Root(), "dir")
	nodes := next[*megaclient.NodesPacket](t, l)
	require.Len(t, nodes.Nodes, 1)
	require.Equal(t, "dir", nameOf(t, nodes.Nodes[0]))
	require.Equal(t, megaclient.UserHandle(a.Handle), nodes.Origin)

	file := a.PutFile(a.Root(), "file", []byte("1"), time.Unix(5, 0))
	fileNode := next[*megaclient.NodesPacket](t, l).Nodes[0]
	require.Equal(t, "file", nameOf(t, fileNode))

	a.Rename(file, "renamed")
	attrs := next[*megaclient.AttrsPacket](t, l)
	require.Equal(t, megaclient.Handle(file), attrs.Node)
	opened, err := megaclient.DecryptAttrs(megaclient.FileNode, fileNode.Key, attrs.RawAttrs)
	require.NoError(t, err)
	name, _ := opened.String("n")
	require.Equal(t, "renamed", name)

	a.Export(file)
	link := next[*megaclient.LinkPacket](t, l)
	require.Equal(t, megaclient.Handle(file), link.Node)
	require.Len(t, link.Public, 8)
	require.False(t, link.Removed)
	a.Unexport(file)
	require.True(t, next[*megaclient.LinkPacket](t, l).Removed)

	newer := a.PutVersion(file, []byte("2"), time.Unix(6, 0))
	versions := next[*megaclient.NodesPacket](t, l)
	byHandle := make(map[megaclient.Handle]*megaclient.Node)
	for _, n := range versions.Nodes {
		byHandle[n.Handle] = n
	}
	require.False(t, byHandle[megaclient.Handle(newer)].Version)
	require.True(t, byHandle[megaclient.Handle(file)].Version)
	require.Equal(t, megaclient.Handle(newer), byHandle[megaclient.Handle(file)].Parent)

	a.Remove(dir)
	removed := next[*megaclient.RemovePacket](t, l)
	require.Equal(t, megaclient.Handle(dir), removed.Node)
	require.False(t, removed.Move)
}

func TestAMoveIsTwoPackets(t *testing.T) {
	s, a := newWorld(t)
	from, to := a.Mkdir(a.Root(), "from"), a.Mkdir(a.Root(), "to")
	child := a.Mkdir(from, "child")
	c := login(t, s, a)
	l := listen(t, c)
	a.Move(from, to)
	var packets []megaclient.Packet
	for len(packets) < 2 {
		packets = append(packets, (<-l.answers).Packets...)
	}
	half, ok := packets[0].(*megaclient.RemovePacket)
	require.True(t, ok)
	require.True(t, half.Move)
	require.Equal(t, megaclient.Handle(from), half.Node)
	place, ok := packets[1].(*megaclient.NodesPacket)
	require.True(t, ok)
	require.Equal(t, half.Tag, place.Tag)
	require.Equal(t, megaclient.Handle(from), place.Nodes[0].Handle)
	require.Equal(t, megaclient.Handle(to), place.Nodes[0].Parent)
	require.Equal(t, megaclient.Handle(child), place.Nodes[1].Handle, "with all below it")
}

func TestOwnEventsCarryTheTag(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	l := listen(t, c)
	b := prepare(t, c, renamedParent(mkdirOp("mine"), a.Root()), renamedParent(mkdirOp("mine too"), a.Root()))
	_, err := c.Execute(t.Context(), b)
	require.NoError(t, err)
	tags := make(map[string]bool)
	for len(tags) < 2 {
		for _, p := range (<-l.answers).Packets {
			tags[p.PacketTag()] = true
		}
	}
	require.True(t, tags[b.Tags[0]] && tags[b.Tags[1]])
	require.NotEqual(t, b.Tags[0], b.Tags[1])
}

func TestEventsBetweenTwoSessions(t *testing.T) {
	s, a := newWorld(t)
	one, two := login(t, s, a), login(t, s, a)
	l := listen(t, two)
	dir, err := one.Mkdir(t.Context(), megaclient.Handle(a.Root()), "dir")
	require.NoError(t, err)
	require.Equal(t, dir.Handle, next[*megaclient.NodesPacket](t, l).Nodes[0].Handle)
	require.NoError(t, one.Rename(t.Context(), dir, "renamed"))
	require.Equal(t, dir.Handle, next[*megaclient.AttrsPacket](t, l).Node)
	require.NoError(t, one.Trash(t.Context(), dir, megaclient.Handle(a.Rubbish())))
	require.True(t, next[*megaclient.RemovePacket](t, l).Move)
}

func TestNewShareArrivesReadable(t *testing.T) {
	for name, opts := range map[string][]megatest.AccountOption{"old": nil, "modern": {megatest.WithAccountKeys()}} {
		t.Run(name, func(t *testing.T) {
			s, a := newWorld(t, opts...)
			other := s.AddAccount("other@example.com", password, opts...)
			dir := a.Mkdir(a.Root(), "dir")
			a.PutFile(dir, "file", []byte("x"), time.Unix(5, 0))
			c := login(t, s, other)
			l := listen(t, c)
			a.Share(dir, other, megaclient.AccessWrite)
			var share *megaclient.SharePacket
			nodes := make(map[megaclient.Handle]*megaclient.Node)
			waitForKeys := name == "modern"
			for share == nil || len(nodes) < 2 || waitForKeys {
				for _, p := range (<-l.answers).Packets {
					switch p := p.(type) {
					case *megaclient.SharePacket:
						share = p
					case *megaclient.NodesPacket:
						for _, n := range p.Nodes {
							nodes[n.Handle] = n
						}
					case *megaclient.PendingKeysPacket:
						waitForKeys = false
					}
				}
			}
			require.Equal(t, megaclient.Handle(dir), share.Node)
			require.Equal(t, megaclient.AccessWrite, share.Access)
			require.False(t, share.Removed)
			if name == "modern" {
				require.NoError(t, c.LoadKeys(t.Context()))
			}
			require.True(t, nodes[megaclient.Handle(dir)].ShareRoot)
			for _, n := range nodes {
				require.True(t, c.Unlock(n))
			}
			a.Unshare(dir, other)
			for share = next[*megaclient.SharePacket](t, l); !share.Removed; {
				share = next[*megaclient.SharePacket](t, l)
			}
		})
	}
}

func TestTheStreamSurvivesTrouble(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	l := listen(t, c)
	<-l.answers
	s.Faults().FailPoll(-3, 2)
	s.Faults().FailHTTP(megatest.Events, 500, 2)
	s.Faults().SlicePackets(1)
	for range 3 {
		a.Mkdir(a.Root(), "x")
	}
	for range 3 {
		require.Len(t, next[*megaclient.NodesPacket](t, l).Nodes, 1)
	}
}

func TestTheStreamEndsWithATypedError(t *testing.T) {
	for code, want := range map[int]error{-6: megaclient.ErrTooOld, -15: megaclient.ESID, -9: megaclient.ENOENT} {
		s, a := newWorld(t)
		c := login(t, s, a)
		s.Faults().FailPoll(code, 1)
		err := c.Listen(t.Context(), "AAAAAAAAAAA", nil, func(*megaclient.Answer) error { return nil })
		require.ErrorIs(t, err, want)
	}
	s, a := newWorld(t)
	c := login(t, s, a)
	_, result := collect(t, c)
	a.Mkdir(a.Root(), "x")
	s.Faults().ForgetPackets()
	require.ErrorIs(t, c.Listen(t.Context(), result.SN, nil, func(*megaclient.Answer) error { return nil }), megaclient.ErrTooOld)
	a.Block(500)
	require.ErrorIs(t, c.Listen(t.Context(), result.SN, nil, func(*megaclient.Answer) error { return nil }), megaclient.EBLOCKED)
}

// TestEventsThatAreTooMany: an answer longer than the client reads would be as long the next time, so the tree is fetched.
func TestEventsThatAreTooMany(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	_, result := collect(t, c)
	for range 9 {
		s.Faults().Tell(a, `{"a":"zz","x":"`+strings.Repeat("x", 1<<20)+`"}`)
	}
	require.ErrorIs(t, c.Listen(t.Context(), result.SN, nil, func(*megaclient.Answer) error { return nil }), megaclient.ErrTooOld)
}

func TestTheHandlersErrorEndsTheStream(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	_, result := collect(t, c)
	stop := errors.New("stop")
	require.ErrorIs(t, c.Listen(t.Context(), result.SN, nil, func(*megaclient.Answer) error { return stop }), stop)
}

// waitingStub makes a stub whose wait address blocks until the request ends.
func waitingStub(t *testing.T) *stub {
	var s *stub
	s = newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		if strings.HasPrefix(r.URL.Path, "/wait") {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"w":"`+s.URL+`/wait"}`)
	})
	return s
}

func TestKickInterruptsTheWait(t *testing.T) {
	c := waitingStub(t).resume(t)
	megaclient.SetWait(c, time.Hour)
	l := listenFrom(t, c, "AAAAAAAAAAA")
	first := <-l.answers
	for range 3 {
		l.kick <- struct{}{}
		a := <-l.answers
		require.Empty(t, a.Packets)
		require.Equal(t, "AAAAAAAAAAA", a.SN)
		require.True(t, a.Asked.After(first.Asked))
	}
}

func TestTheWaitIsBounded(t *testing.T) {
	c := waitingStub(t).resume(t)
	megaclient.SetWait(c, 30*time.Millisecond)
	l := listenFrom(t, c, "AAAAAAAAAAA")
	for range 3 {
		<-l.answers
	}
}

func TestAnUnusableWaitAddressIsNoBusyLoop(t *testing.T) {
	s := saying(t, `{"w":"gopher://x/"}`)
	c := s.resume(t)
	const wait = 50 * time.Millisecond
	megaclient.SetWait(c, wait)
	begun := time.Now()
	l := listenFrom(t, c, "AAAAAAAAAAA")
	for range 3 {
		<-l.answers
	}
	require.LessOrEqual(t, len(s.seen()), 1+int(time.Since(begun)/wait), "each but the first waited")
}

// What an answer has that can't be gone on from isn't taken for part of the next, and where it says to go on isn't kept.
func TestARefusedAnswerLeavesNothing(t *testing.T) {
	for _, refused := range []string{`{"a":[{"a":"sqac"}]}`, `{"a":[{"a":"sqac"}],"sn":"junk"}`, `{"w":"https://x/","sn":"junk"}`} {
		l := listenFrom(t, saying(t, refused, `{"w":"gopher://x/"}`).resume(t), "AAAAAAAAAAA")
		first := <-l.answers
		require.Empty(t, first.Packets, refused)
		require.Equal(t, "AAAAAAAAAAA", first.SN, refused)
	}
}

// TestHostileEvents: what can't be understood is told as such, and takes nothing away from what comes with it.
func TestHostileEvents(t *testing.T) {
	heard := errors.New("heard")
	for packet, bad := range map[string]bool{
		`{"a":"u"}`: true, `{"a":"d","n":7}`: true, `{"a":"fa","n":"short"}`: true, `{"a":"ph","h":"","n":1}`: true,
		`{"a":"s2"}`: true, `{"a":"d","n":"AAAAAAA!"}`: true,
		`7`: false, `"x"`: false, `{"a":{}}`: false, `{"a":"t","t":{"f":[7,{"h":"x"}]}}`: false,
	} {
		var got []megaclient.Packet
		err := saying(t, `{"a":[`+packet+`,{"a":"d","n":"FILEAAAA"}],"sn":"AAAAAAAAAAB"}`).resume(t).
			Listen(t.Context(), "AAAAAAAAAAA", nil, func(a *megaclient.Answer) error { got = a.Packets; return heard })
		require.ErrorIs(t, err, heard, packet)
		require.Len(t, got, 2, packet)
		_, is := got[0].(*megaclient.BadPacket)
		require.Equal(t, bad, is, packet)
		require.Equal(t, &megaclient.RemovePacket{Node: "FILEAAAA"}, got[1])
	}
}

func TestPacketsOfAllKinds(t *testing.T) {
	c := saying(t, "0").resume(t)
	for raw, want := range map[string]megaclient.Packet{
		`{"a":"u","i":"T","n":"FILEAAAA","at":"AT","ts":5,"u":"UUUUUUUUUUU"}`: &megaclient.AttrsPacket{Tag: "T", Node: "FILEAAAA", RawAttrs: "AT", Owner: stubUser, Created: 5},
		`{"a":"d","i":"T","n":"FILEAAAA","m":1,"ou":"UUUUUUUUUUU"}`:           &megaclient.RemovePacket{Tag: "T", Node: "FILEAAAA", Move: true, Origin: stubUser},
		`{"a":"fa","n":"FILEAAAA","fa":"1:0*X"}`:                              &megaclient.FileAttrsPacket{Node: "FILEAAAA", FileAttrs: "1:0*X"},
		`{"a":"ph","h":"FILEAAAA","ph":"PUBLICAA","n":1}`:                     &megaclient.LinkPacket{Node: "FILEAAAA", Public: "PUBLICAA"},
		`{"a":"ph","h":"FILEAAAA","ph":"PUBLICAA","d":1}`:                     &megaclient.LinkPacket{Node: "FILEAAAA", Public: "PUBLICAA", Removed: true},
		`{"a":"ph","h":"FILEAAAA","ph":"PUBLICAA","down":1}`:                  &megaclient.LinkPacket{Node: "FILEAAAA", Public: "PUBLICAA", Down: true},
		`{"a":"s2","n":"DIRAAAAA","o":"UUUUUUUUUUU","u":"EXP","r":0}`:         &megaclient.SharePacket{Node: "DIRAAAAA", Owner: stubUser, Link: true},
		`{"a":"s2","n":"DIRAAAAA","o":"UUUUUUUUUUU","u":"PPPPPPPPPPP"}`:       &megaclient.SharePacket{Node: "DIRAAAAA", Owner: stubUser, User: "PPPPPPPPPPP", Removed: true},
		`{"a":"s","n":"DIRAAAAA","k":"x"}`:                                    &megaclient.SharePacket{Node: "DIRAAAAA", KeyOnly: true},
		`{"a":"ua","u":"UUUUUUUUUUU","ua":["^!keys"]}`:                        &megaclient.UserAttrsPacket{User: stubUser, Names: []string{"^!keys"}},
		`{"a":"pk"}`:             &megaclient.PendingKeysPacket{},
		`{"a":"sqac","i":"T"}`:   &megaclient.QuotaPacket{Tag: "T"},
		`{"a":"mcc","x":[[[]]]}`: &megaclient.OtherPacket{Type: "mcc"},
		`{}`:                     &megaclient.OtherPacket{},
	} {
		got, err := c.DecodePacket(json.RawMessage(raw))
		require.NoError(t, err, raw)
		require.Equal(t, want, got)
		require.Equal(t, strings.Contains(raw, `"i":"T"`), got.PacketTag() == "T")
	}
}

func TestEmptyEventsStillMoveOn(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	s := newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		mu.Lock()
		defer mu.Unlock()
		sn := r.URL.Query().Get("sn")
		asked = append(asked, sn)
		switch len(asked) {
		case 1:
			_, _ = io.WriteString(w, `{"a":[],"sn":"AAAAAAAAAAB"}`)
		case 2:
			_, _ = io.WriteString(w, `{"a":[{"a":"xyz"}],"ir":1,"sn":"AAAAAAAAAAC"}`)
		default:
			_, _ = io.WriteString(w, "-9")
		}
	})
	var more []bool
	err := s.resume(t).Listen(t.Context(), "AAAAAAAAAAA", nil, func(a *megaclient.Answer) error { more = append(more, a.More); return nil })
	require.ErrorIs(t, err, megaclient.ENOENT)
	require.Equal(t, []string{"AAAAAAAAAAA", "AAAAAAAAAAB", "AAAAAAAAAAC"}, asked)
	require.Equal(t, []bool{false, true}, more)
}

package megaclient_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

// byName fetches the tree and finds nodes by name.
func byName(t *testing.T, c *megaclient.Client) map[string]*megaclient.Node {
	t.Helper()
	nodes, _ := collect(t, c)
	named := make(map[string]*megaclient.Node)
	for _, n := range nodes {
		if name, ok := n.Name(); ok && !n.Version {
			named[name] = n
		}
	}
	return named
}

func TestTreeOfAnotherClient(t *testing.T) {
	s, a := newWorld(t)
	mtime := time.Unix(1234567890, 0)
	dir := a.Mkdir(a.Root(), "dir")
	file := a.PutFile(dir, "file", []byte("first"), mtime)
	newer := a.PutVersion(file, []byte("second"), mtime.Add(time.Hour))
	link, err := megacrypto.ParseLink(a.Export(newer))
	require.NoError(t, err)
	c := login(t, s, a)

	nodes, result := collect(t, c)
	require.Equal(t, result.Nodes, len(nodes))
	require.Zero(t, result.Locked)
	require.True(t, nodes[megaclient.Handle(file)].Version)
	n := nodes[megaclient.Handle(newer)]
	require.False(t, n.Version)
	require.Equal(t, "file", nameOf(t, n))
	require.EqualValues(t, len("second"), n.Size)
	require.True(t, mtime.Add(time.Hour).Equal(n.Mtime()))
	require.Equal(t, megaclient.AccessOwner, n.Access)
	require.Equal(t, megaclient.Handle(link.Handle), result.Links[n.Handle])
	require.Equal(t, link.Key, n.Key)
	types := make(map[megaclient.NodeType]int)
	for _, n := range nodes {
		types[n.Type]++
	}
	require.Equal(t, map[megaclient.NodeType]int{0: 2, 1: 1, 2: 1, 3: 1, 4: 1}, types)
}

func TestFetchTwentyThousandNodes(t *testing.T) {
	s, a := newWorld(t)
	const folders, each = 20, 1000
	c := login(t, s, a)
	for f := range folders {
		op := megaclient.PutNodes{Parent: megaclient.Handle(a.Root())}
		for i := range each {
			op.Nodes = append(op.Nodes, mkdirOp(fmt.Sprint(f, " ", i)).Nodes...)
		}
		results, err := c.Execute(t.Context(), prepare(t, c, op))
		require.NoError(t, err)
		require.NoError(t, results[0].Err)
		require.Len(t, results[0].Nodes, each)
	}
	named := byName(t, c)
	require.Len(t, named, folders*each)
	require.Contains(t, named, "19 999")
}

func TestChanges(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	root := megaclient.Handle(a.Root())

	dir, err := c.Mkdir(t.Context(), root, "dir")
	require.NoError(t, err)
	sub, err := c.Mkdir(t.Context(), dir.Handle, "sub")
	require.NoError(t, err)
	require.Equal(t, "sub", nameOf(t, sub))
	require.NoError(t, c.Rename(t.Context(), sub, "renamed"))
	require.NoError(t, c.Move(t.Context(), sub, root))
	require.Contains(t, a.Tree(), "renamed")
	require.ErrorIs(t, c.Move(t.Context(), dir, dir.Handle), megaclient.ECIRCULAR)
	require.NoError(t, c.Trash(t.Context(), sub, megaclient.Handle(a.Rubbish())))
	require.True(t, a.InRubbish(string(sub.Handle)))
	require.NoError(t, c.Remove(t.Context(), dir.Handle))
	require.False(t, a.Exists(string(dir.Handle)))
	require.ErrorIs(t, c.Remove(t.Context(), dir.Handle), megaclient.ENOENT)
}

func TestAttributesOfOthersStay(t *testing.T) {
	s, a := newWorld(t)
	h := a.PutFile(a.Root(), "old", []byte("x"), time.Unix(5, 0))
	a.SetAttr(h, "lbl", "3")
	c := login(t, s, a)
	n := byName(t, c)["old"]
	require.NoError(t, c.Rename(t.Context(), n, "new"))
	label, _ := a.Attrs(h).String("lbl")
	require.Equal(t, "3", label)
	require.Equal(t, "new", a.Name(h))
	_, ok := a.Attrs(h).String("c")
	require.True(t, ok, "and so does the fingerprint")
}

func TestLinks(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	file := a.PutFile(a.Root(), "file", []byte("x"), time.Unix(5, 0))
	dir := a.Mkdir(a.Root(), "dir")
	inside := a.PutFile(dir, "inside", []byte("y"), time.Unix(5, 0))
	named := byName(t, c)

	link, err := c.ExportLink(t.Context(), named["file"])
	require.NoError(t, err)
	require.Equal(t, a.Export(file), link.String())
	require.NoError(t, c.Unexport(t.Context(), named["file"].Handle))

	link, err = c.ExportLink(t.Context(), named["dir"], megaclient.KeyedNode{Handle: named["inside"].Handle, Key: named["inside"].Key})
	require.NoError(t, err)
	require.Equal(t, megacrypto.FolderLink, link.Kind)
	require.True(t, a.Exists(inside))

	again := login(t, s, a)
	_, result := collect(t, again)
	require.Equal(t, megaclient.Handle(link.Handle), result.Links[megaclient.Handle(dir)])
	require.Contains(t, result.OutShares, megaclient.Share{Node: megaclient.Handle(dir), Link: true})
	key := again.ShareKeys()[megaclient.Handle(dir)]
	require.Equal(t, link.Key, key.Key[:], "the server keeps the share's key for our other sessions")
	same, err := again.ExportLink(t.Context(), byName(t, again)["dir"])
	require.NoError(t, err)
	require.Equal(t, link, same, "asked again, the same link")
}

// TestLostAnswerOfACreation lets the server do the work and lose the answer.
func TestLostAnswerOfACreation(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	s.Faults().DropAfter("p", 1)
	n, err := c.Mkdir(t.Context(), megaclient.Handle(a.Root()), "once")
	require.NoError(t, err)
	require.Equal(t, "once", nameOf(t, n))
	require.Len(t, a.Tree(), 1, "made once only")
	require.Equal(t, 1, s.Stats().Done["p"])
	require.Equal(t, 1, s.Stats().Replayed)
}

func TestForgottenRequestIsNotDoneTwice(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	megaclient.SetResend(c, 0)
	s.Faults().DropAfter("p", 1)
	b := prepare(t, c, renamedParent(mkdirOp("once"), a.Root()))
	_, err := c.Execute(t.Context(), b)
	require.ErrorIs(t, err, megaclient.ErrUncertain)
	busy, err := c.Busy(t.Context())
	require.NoError(t, err)
	require.False(t, busy)
	require.Len(t, a.Tree(), 1)
	require.Equal(t, 1, s.Stats().Commands["p"])
}

func renamedParent(op megaclient.PutNodes, parent string) megaclient.PutNodes {
	op.Parent = megaclient.Handle(parent)
	return op
}

func TestBusy(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	release := s.Faults().Hold("p")
	done := make(chan error, 1)
	go func() { _, err := c.Mkdir(t.Context(), megaclient.Handle(a.Root()), "x"); done <- err }()
	require.NoError(t, s.Await(t.Context(), func(st megatest.Stats) bool { return st.Held == 1 }))
	busy, err := c.Busy(t.Context())
	require.NoError(t, err)
	require.True(t, busy)
	release()
	require.NoError(t, <-done)
}

// TestSecondAccountReadsWhatIsPutIntoAShare is what cr is for.
func TestSecondAccountReadsWhatIsPutIntoAShare(t *testing.T) {
	for name, opts := range map[string][]megatest.AccountOption{"old": nil, "modern": {megatest.WithAccountKeys()}} {
		t.Run(name, func(t *testing.T) {
			s, a := newWorld(t, opts...)
			other := s.AddAccount("other@example.com", password, opts...)
			dir := a.Mkdir(a.Root(), "dir")
			a.Share(dir, other, megaclient.AccessFull)
			mine, theirs := login(t, s, a), login(t, s, other)
			require.NoError(t, mine.LoadKeys(t.Context()))
			require.NoError(t, theirs.LoadKeys(t.Context()))
			byName(t, mine)
			require.Contains(t, mine.ShareKeys(), megaclient.Handle(dir))

			made, err := mine.Mkdir(t.Context(), megaclient.Handle(dir), "made by owner", megaclient.Handle(dir))
			require.NoError(t, err)
			seen := byName(t, theirs)
			require.Contains(t, seen, "made by owner")
			require.Equal(t, made.Handle, seen["made by owner"].Handle)
			require.True(t, seen["dir"].ShareRoot)
			require.Equal(t, megaclient.AccessFull, seen["dir"].Access)
			require.Equal(t, megaclient.UserHandle(a.Handle), seen["dir"].SharedBy)

			// And the other way round: what the guest puts in, the owner reads.
			_, err = theirs.Mkdir(t.Context(), megaclient.Handle(dir), "made by guest", megaclient.Handle(dir))
			require.NoError(t, err)
			nodes, _ := collect(t, mine)
			var names []string
			for _, n := range nodes {
				mine.Unlock(n)
				if name, ok := n.Name(); ok {
					names = append(names, name)
				}
			}
			require.Contains(t, names, "made by guest")

			// Moved in, with all below it.
			outside := a.Mkdir(a.Root(), "outside")
			below := a.Mkdir(outside, "below")
			own := byName(t, mine)
			op := megaclient.MoveNode{
				Node: megaclient.Handle(outside), Parent: megaclient.Handle(dir), Shares: []megaclient.Handle{megaclient.Handle(dir)},
				Moved: []megaclient.KeyedNode{{Handle: megaclient.Handle(outside), Key: own["outside"].Key}, {Handle: megaclient.Handle(below), Key: own["below"].Key}},
			}
			results, err := mine.Execute(t.Context(), prepare(t, mine, op))
			require.NoError(t, err)
			require.NoError(t, results[0].Err)
			seen = byName(t, theirs)
			require.Contains(t, seen, "outside")
			require.Contains(t, seen, "below")
		})
	}
}

func TestSessionLostInTheMiddle(t *testing.T) {
	s, a := newWorld(t)
	c := login(t, s, a)
	a.EndSessions()
	_, err := c.Mkdir(t.Context(), megaclient.Handle(a.Root()), "x")
	require.ErrorIs(t, err, megaclient.ESID)
	require.NotErrorIs(t, err, megaclient.ErrUncertain)
	require.ErrorIs(t, c.Listen(t.Context(), "AAAAAAAAAAA", nil, func(*megaclient.Answer) error { return nil }), megaclient.ESID)
	_, err = c.FetchNodes(context.Background(), true, func(*megaclient.Node) error { return nil })
	require.ErrorIs(t, err, megaclient.ESID)
}

package megatest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// follower is the simplest client that follows the event channel: what it knows after applying every
// packet must be what a fresh f says.
type follower struct {
	c     *raw
	owner bool
	sn    string
	nodes map[string]object
}

// all returns the nodes of an f answer, older versions too.
func all(answer object) map[string]object {
	nodes := map[string]object{}
	for _, list := range []string{"f", "f2"} {
		for _, n := range answer[list].([]any) {
			nodes[n.(object)["h"].(string)] = n.(object)
		}
	}
	return nodes
}

func follow(t *testing.T, s *megatest.Server, a *megatest.Account, owner bool) *follower {
	c := login(t, s, a)
	answer, _ := c.fetch()
	return &follower{c: c, owner: owner, sn: answer["sn"].(string), nodes: all(answer)}
}

// catchUp applies what has happened.
func (f *follower) catchUp() []object {
	packets, sn := f.c.packets(f.sn)
	f.sn = sn
	for _, p := range packets {
		switch p["a"] {
		case "t":
			for _, list := range []string{"f", "f2"} {
				nodes, _ := p["t"].(object)[list].([]any)
				for _, n := range nodes {
					n := n.(object)
					delete(n, "i")
					f.nodes[n["h"].(string)] = n
				}
			}
		case "u":
			if n := f.nodes[p["n"].(string)]; n != nil {
				n["a"] = p["at"]
			}
		case "d":
			f.remove(p["n"].(string))
		case "s2":
			n := f.nodes[p["n"].(string)]
			switch {
			case f.owner || n == nil:
			case p["r"] == nil: // the share has ended; the folder may still lie in another one
				delete(n, "r")
				delete(n, "su")
			default:
				n["r"], n["su"] = p["r"], p["o"]
			}
		}
	}
	return packets
}

// remove forgets a node and everything below it.
func (f *follower) remove(h string) {
	delete(f.nodes, h)
	for c, n := range f.nodes {
		if n["p"] == h {
			f.remove(c)
		}
	}
}

// check compares with a fresh tree.
func (f *follower) check(t *testing.T, step string) {
	packets := f.catchUp()
	answer, _ := f.c.fetch()
	want := all(answer)
	require.Equal(t, f.describe(want), f.describe(f.nodes), "after %s: %v", step, packets)
}

// describe writes nodes down for comparison. A guest who has several keys for a node may get any of them.
func (f *follower) describe(nodes map[string]object) string {
	var lines []string
	for h, n := range nodes {
		if !f.owner {
			n["k"] = ""
		}
		lines = append(lines, fmt.Sprint(h, " p:", n["p"], " t:", n["t"], " k:", n["k"], " a:", n["a"], " r:", n["r"], " su:", n["su"]))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// TestFollowers lets an owner and a guest do random things, and two followers keep up.
func TestFollowers(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newServer(t, megatest.WithSuperseded(megatest.Superseded(seed%3)))
			r := &randomizer{
				rand:  rand.New(rand.NewPCG(seed, 1)),
				owner: s.AddAccount("owner@example.com", password), guest: s.AddAccount("guest@example.com", password),
			}
			followers := []*follower{follow(t, s, r.owner, true), follow(t, s, r.guest, false)}
			r.folders = []string{r.owner.Root(), r.owner.Mkdir(r.owner.Root(), "first")}
			for range 120 {
				step := r.step()
				require.NoError(t, s.CheckInvariants(), step)
				for _, f := range followers {
					f.check(t, step)
				}
			}
			require.Greater(t, r.done, 40)
		})
	}
}

// randomizer does random things to an account; what the server refuses is no failure.
type randomizer struct {
	rand           *rand.Rand
	owner, guest   *megatest.Account
	folders, files []string
	done           int
}

func (r *randomizer) pick(from []string) string {
	if len(from) == 0 {
		return "AAAAAAAA"
	}
	return from[r.rand.IntN(len(from))]
}

// step does one thing and says what.
func (r *randomizer) step() (what string) {
	defer func() {
		if e := recover(); e != nil { // refused, which the trusted client takes for a mistake in the test
			what = fmt.Sprint(what, " refused: ", e)
			return
		}
		r.done++
	}()
	gone := func(h string) bool { return !r.owner.Exists(h) }
	r.folders, r.files = slices.DeleteFunc(r.folders, gone), slices.DeleteFunc(r.files, gone)
	who := r.owner
	if r.rand.IntN(3) == 0 {
		who = r.guest
	}
	folder, file := r.pick(r.folders), r.pick(r.files)
	node := r.pick(slices.Concat(r.folders[1:], r.files))
	steps := []struct {
		name string
		do   func()
	}{
		{"mkdir", func() { r.folders = append(r.folders, who.Mkdir(folder, "dir")) }},
		{"file", func() { r.files = append(r.files, who.PutFile(folder, "file", []byte("x"), zero)) }},
		{"file", func() { r.files = append(r.files, who.PutFile(folder, "file", []byte("x"), zero)) }},
		{"version", func() { r.files = append(r.files, who.PutVersion(file, []byte("xx"), zero)) }},
		{"version elsewhere", func() {
			r.files = append(r.files, who.Put(megatest.PutSpec{Parent: folder, Name: "n", Content: []byte("y"), Replaces: file}))
		}},
		{"rename", func() { who.Rename(node, fmt.Sprint("name", r.rand.IntN(100))) }},
		{"move", func() { who.Move(node, folder) }},
		{"bin", func() { who.Move(node, r.owner.Rubbish()) }},
		{"delete", func() { who.Remove(node) }},
		{"delete version", func() { who.RemoveVersion(file) }},
		{"share", func() { r.owner.Share(r.pick(r.folders[1:]), r.guest, r.rand.IntN(3)) }},
		{"unshare", func() { r.owner.Unshare(r.pick(r.folders[1:]), r.guest) }},
		{"export", func() { r.owner.Export(node) }},
		{"no versions", func() { r.owner.SetUserAttr("^!dv", fmt.Sprint(r.rand.IntN(2))) }},
	}
	s := steps[r.rand.IntN(len(steps))]
	what = fmt.Sprint(s.name, " by ", who.Email, " node ", node, " file ", file, " folder ", folder)
	s.do()
	return what
}

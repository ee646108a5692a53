package megatest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// versioned makes a file and returns an upload that is to replace it.
func versioned(t *testing.T, opts ...megatest.Option) (*megatest.Account, *raw, string, object) {
	s := newServer(t, opts...)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	old := a.PutFile(a.Root(), "file", []byte("old"), zero)
	next := c.upload("file", []byte("new"))
	next["ov"] = old
	return a, c, old, next
}

func TestNewVersion(t *testing.T) {
	a, c, old, next := versioned(t)
	answer, _ := c.fetch()
	h := c.put(a.Root(), next)[0]
	require.NotEqual(t, old, h)
	require.Equal(t, []string{h, old}, a.Versions(h))
	packets, _ := c.packets(answer["sn"].(string))
	require.Equal(t, []string{"t"}, types(packets))
	require.Equal(t, []string{h}, nodesOf(packets[0], "f"))
	require.Equal(t, []string{old}, nodesOf(packets[0], "f2"))
	fresh, nodes := c.fetch()
	require.NotContains(t, nodes, old)
	require.Equal(t, h, fresh["f2"].([]any)[0].(object)["p"])
	require.EqualValues(t, 6, a.Used())
	q := c.cmd(object{"a": "uq", "strg": 1}).(object)
	require.Equal(t, []any{3.0, 1.0, 0.0, 3.0, 1.0}, q["cstrgn"].(object)[a.Root()])
}

func TestVersionsInF(t *testing.T) {
	a, c, old, next := versioned(t, megatest.WithVersionsInF())
	answer, _ := c.fetch()
	h := c.put(a.Root(), next)[0]
	packets, _ := c.packets(answer["sn"].(string))
	require.Equal(t, []string{h, old}, nodesOf(packets[0], "f"))
	_, nodes := c.fetch()
	require.Equal(t, h, nodes[old]["p"])
}

func TestReplaceWithoutVersion(t *testing.T) {
	for name, off := range map[string]func(*megatest.Account, object){
		"vb:0": func(_ *megatest.Account, cmd object) { cmd["vb"] = 0 },
		"^!dv": func(a *megatest.Account, _ object) { a.SetUserAttr("^!dv", "1") },
	} {
		a, c, old, next := versioned(t)
		middle := a.PutVersion(old, []byte("middle"), zero)
		next["ov"] = middle
		cmd := object{"a": "p", "t": a.Root(), "n": []any{next}}
		off(a, cmd)
		answer, _ := c.fetch()
		h := c.cmd(cmd).(object)["f"].([]any)[0].(object)["h"].(string)
		require.Equal(t, []string{h, old}, a.Versions(h), name)
		require.False(t, a.Exists(middle))
		packets, _ := c.packets(answer["sn"].(string))
		require.Equal(t, []string{"t", "d"}, types(packets), name)
		require.Equal(t, middle, packets[1]["n"])
	}
}

func TestVersionForcedOn(t *testing.T) {
	a, c, old, next := versioned(t)
	a.SetUserAttr("^!dv", "1")
	h := c.cmd(object{"a": "p", "t": a.Root(), "n": []any{next}, "vb": 1}).(object)["f"].([]any)[0].(object)["h"].(string)
	require.Equal(t, []string{h, old}, a.Versions(h))
}

func TestSuperseded(t *testing.T) {
	for how, want := range map[megatest.Superseded]func(a *megatest.Account, got any, old, middle string){
		megatest.SupersededRefuse: func(a *megatest.Account, got any, old, middle string) {
			require.Equal(t, -9.0, got)
			require.Equal(t, []string{middle, old}, a.Versions(middle))
		},
		megatest.SupersededBeside: func(a *megatest.Account, got any, old, middle string) {
			h := got.(object)["f"].([]any)[0].(object)["h"].(string)
			require.Equal(t, []string{h}, a.Versions(h))
			require.Equal(t, []string{middle, old}, a.Versions(middle))
		},
		megatest.SupersededInsert: func(a *megatest.Account, got any, old, middle string) {
			h := got.(object)["f"].([]any)[0].(object)["h"].(string)
			require.Equal(t, []string{h, middle, old}, a.Versions(h))
		},
	} {
		a, c, old, next := versioned(t, megatest.WithSuperseded(how))
		middle := a.PutVersion(old, []byte("theirs"), zero)
		got := c.cmd(object{"a": "p", "t": a.Root(), "n": []any{next}, "vb": 1})
		want(a, got, old, middle)
	}
}

func TestReplacedFileIsGone(t *testing.T) {
	for how, want := range map[megatest.Superseded]int{
		megatest.SupersededRefuse: -9, megatest.SupersededBeside: 0, megatest.SupersededInsert: 0,
	} {
		a, c, old, next := versioned(t, megatest.WithSuperseded(how))
		a.Remove(old)
		got := c.cmd(object{"a": "p", "t": a.Root(), "n": []any{next}})
		if want != 0 {
			require.EqualValues(t, want, got)
			continue
		}
		require.Len(t, a.Tree(), 1)
	}
}

func TestRemoveOneVersion(t *testing.T) {
	a, c, one, _ := versioned(t)
	two := a.PutVersion(one, []byte("two"), zero)
	three := a.PutVersion(two, []byte("three"), zero)
	answer, _ := c.fetch()
	sn := answer["sn"].(string)
	require.Equal(t, 0, c.code(object{"a": "d", "n": two, "v": 1}))
	require.Equal(t, []string{three, one}, a.Versions(three))
	packets, sn := c.packets(sn)
	require.Equal(t, []string{"d", "t"}, types(packets))
	require.Equal(t, []string{one}, nodesOf(packets[1], "f2"))
	require.Equal(t, 0, c.code(object{"a": "d", "n": three, "v": 1}))
	require.Equal(t, "old", string(a.ReadFile(a.Find("file"))), "the version below comes up")
	packets, _ = c.packets(sn)
	require.Equal(t, []string{one}, nodesOf(packets[1], "f"))
}

func TestDeleteAndMoveTakeTheChain(t *testing.T) {
	a, c, one, _ := versioned(t)
	two := a.PutVersion(one, []byte("two"), zero)
	require.Equal(t, 0, c.code(object{"a": "m", "n": two, "t": a.Rubbish()}))
	require.True(t, a.InRubbish(one))
	require.Equal(t, 0, c.code(object{"a": "d", "n": two}))
	require.False(t, a.Exists(one))
}

func TestDeleteAllVersions(t *testing.T) {
	a, c, one, _ := versioned(t)
	two := a.PutVersion(one, []byte("two"), zero)
	three := a.PutVersion(two, []byte("three"), zero)
	require.Equal(t, 0, c.code(object{"a": "dv"}))
	require.Equal(t, []string{three}, a.Versions(three))
	require.EqualValues(t, 5, a.Used())
}

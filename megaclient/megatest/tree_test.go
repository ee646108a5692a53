package megatest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

var zero time.Time

// types lists the types of packets.
func types(packets []object) []string {
	names := []string{}
	for _, p := range packets {
		names = append(names, p["a"].(string))
	}
	return names
}

// nodesOf lists the handles in the f (or f2) of a t packet.
func nodesOf(packet object, list string) []string {
	handles := []string{}
	nodes, _ := packet["t"].(object)[list].([]any)
	for _, n := range nodes {
		handles = append(handles, n.(object)["h"].(string))
	}
	return handles
}

func TestRefusals(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	b := s.AddAccount("other@example.com", password)
	c := login(t, s, a)
	dir := a.Mkdir(a.Root(), "dir")
	sub := a.Mkdir(dir, "sub")
	file := a.PutFile(a.Root(), "file", []byte("x"), zero)
	folder := c.folder("new")
	upload := c.upload("new", []byte("y"))
	with := func(o object, k string, v any) object {
		n := object{}
		for key, value := range o {
			n[key] = value
		}
		n[k] = v
		return n
	}
	put := func(parent string, entry object) object { return object{"a": "p", "t": parent, "n": []any{entry}} }
	for name, tc := range map[string]struct {
		cmd  object
		want int
	}{
		"unknown command":        {object{"a": "nonsense"}, -2},
		"p: unknown parent":      {put("AAAAAAAA", folder), -9},
		"p: malformed parent":    {put("AAA", folder), -2},
		"p: parent of others":    {put(b.Root(), folder), -9},
		"p: file as parent":      {put(file, folder), -2},
		"p: the vault":           {put(a.Vault(), folder), -11},
		"p: nothing":             {object{"a": "p", "t": a.Root(), "n": []any{}}, -2},
		"p: unknown token":       {put(a.Root(), with(upload, "h", "AAAAAAAAAAAAAAAAAAAAAAAAAAA")), -9},
		"p: copy of nothing":     {put(a.Root(), with(upload, "h", "AAAAAAAA")), -9},
		"p: copy of a folder":    {put(a.Root(), with(upload, "h", dir)), -2},
		"p: no attributes":       {put(a.Root(), with(folder, "a", "")), -2},
		"p: short key":           {put(a.Root(), with(upload, "k", folder["k"])), -2},
		"p: a root":              {put(a.Root(), with(folder, "t", 2)), -2},
		"p: wrong type":          {object{"a": "p", "t": 5}, -2},
		"p: ov is a folder":      {put(a.Root(), with(upload, "ov", dir)), -2},
		"m: into itself":         {object{"a": "m", "n": dir, "t": dir}, -10},
		"m: into its child":      {object{"a": "m", "n": dir, "t": sub}, -10},
		"m: into a file":         {object{"a": "m", "n": dir, "t": file}, -2},
		"m: unknown":             {object{"a": "m", "n": "AAAAAAAA", "t": dir}, -9},
		"m: unknown target":      {object{"a": "m", "n": dir, "t": "AAAAAAAA"}, -9},
		"m: malformed":           {object{"a": "m", "n": "?", "t": dir}, -2},
		"m: a root":              {object{"a": "m", "n": a.Root(), "t": dir}, -11},
		"m: into the vault":      {object{"a": "m", "n": dir, "t": a.Vault()}, -11},
		"m: where it is":         {object{"a": "m", "n": dir, "t": a.Root()}, 0},
		"a: unknown":             {object{"a": "a", "n": "AAAAAAAA", "at": "xx"}, -9},
		"a: a root":              {object{"a": "a", "n": a.Root(), "at": "xx"}, -2},
		"a: nothing":             {object{"a": "a", "n": file}, -2},
		"d: unknown":             {object{"a": "d", "n": "AAAAAAAA"}, -9},
		"d: malformed":           {object{"a": "d", "n": "A"}, -2},
		"d: a root":              {object{"a": "d", "n": a.Root()}, -11},
		"u: negative":            {object{"a": "u", "s": -1}, -2},
		"u: no size":             {object{"a": "u"}, -2},
		"u: unknown target":      {object{"a": "u", "s": 1, "t": []string{"AAAAAAAA"}}, -9},
		"g: unknown":             {object{"a": "g", "g": 1, "n": "AAAAAAAA"}, -9},
		"g: a folder":            {object{"a": "g", "g": 1, "n": dir}, -2},
		"g: dead link":           {object{"a": "g", "g": 1, "p": "AAAAAAAA"}, -9},
		"l: folder not exported": {object{"a": "l", "n": dir}, -11},
		"l: no link to remove":   {object{"a": "l", "n": file, "d": 1}, -9},
		"l: a root":              {object{"a": "l", "n": a.Root()}, -11},
		"s2: a file":             {object{"a": "s2", "n": file, "s": []any{object{"u": "EXP", "r": 0}}}, -2},
		"uga: nobody":            {object{"a": "uga", "u": "AAAAAAAAAAA", "ua": "firstname"}, -9},
		"pfa: unknown":           {object{"a": "pfa", "n": file, "fa": "0*AAAAAAAAAAA"}, -9},
		"pk: nothing pending":    {object{"a": "pk"}, -9},
		"log":                    {object{"a": "log", "e": 1}, 0},
	} {
		require.Equal(t, tc.want, c.code(tc.cmd), name)
	}
	require.Equal(t, -11, newRaw(t, s).code(object{"a": "f"}), "no session")
	_, reply := c.post("/cs?id=x"+c.query(), "{nonsense")
	require.Equal(t, "-2", string(reply))
	require.Len(t, a.Tree(), 3, "nothing was changed")
}

func TestBatchIsExecutedInOrder(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	dir := a.Mkdir(a.Root(), "dir")
	answer := c.batch("1",
		object{"a": "m", "n": "AAAAAAAA", "t": dir},
		object{"a": "m", "n": dir, "t": a.Rubbish()},
		object{"a": "d", "n": dir},
		object{"a": "d", "n": dir})
	require.Equal(t, []any{-9.0, 0.0, 0.0, -9.0}, answer)
}

func TestTreeInOnePut(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	answer, _ := c.fetch()
	outer, inner, file := c.folder("outer"), c.folder("inner"), c.upload("file", []byte("content"))
	outer["h"], inner["h"], inner["p"], file["p"] = "AAAAAAAB", "AAAAAAAC", "AAAAAAAB", "AAAAAAAC"
	c.put(a.Root(), outer, inner, file)
	require.Contains(t, a.Tree(), "outer/inner/file")
	packets, _ := c.packets(answer["sn"].(string))
	require.Len(t, packets, 1)
	for i, n := range packets[0]["t"].(object)["f"].([]any) {
		require.EqualValues(t, i, n.(object)["i"])
	}
}

func TestPartlyFailedPut(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	bad := c.folder("bad")
	bad["p"] = "AAAAAAAA"
	answer := c.cmd(object{"a": "p", "t": a.Root(), "n": []any{bad, c.folder("good")}}).(object)
	require.Len(t, answer["f"], 1)
	require.Equal(t, object{"0": -9.0}, answer["e"])
}

func TestMovePackets(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	dir, to := a.Mkdir(a.Root(), "dir"), a.Mkdir(a.Root(), "to")
	file := a.PutFile(dir, "file", []byte("1"), zero)
	newer := a.PutVersion(file, []byte("2"), zero)
	answer, before := c.fetch()
	require.Equal(t, 0, c.code(object{"a": "m", "n": dir, "t": to, "i": "tag"}))
	packets, _ := c.packets(answer["sn"].(string))
	require.Equal(t, []string{"d", "t"}, types(packets))
	require.EqualValues(t, 1, packets[0]["m"])
	require.Equal(t, "tag", packets[0]["i"])
	require.Equal(t, "tag", packets[1]["i"])
	require.NotContains(t, packets[1], "st")
	require.Equal(t, []string{dir, newer}, nodesOf(packets[1], "f"), "the whole subtree, parents first")
	require.Equal(t, []string{file}, nodesOf(packets[1], "f2"))
	_, after := c.fetch()
	require.Equal(t, to, after[dir]["p"])
	for _, field := range []string{"ts", "a", "k"} {
		require.Equal(t, before[dir][field], after[dir][field])
	}
}

func TestDeletePackets(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	dir := a.Mkdir(a.Root(), "dir")
	a.PutFile(dir, "file", []byte("1"), zero)
	one, two := a.Mkdir(a.Root(), "one"), a.Mkdir(a.Root(), "two")
	answer, _ := c.fetch()
	require.Equal(t, 0, c.code(object{"a": "d", "n": dir}))
	require.Equal(t, object{"r": []any{0.0, -9.0, 0.0}}, c.cmd(object{"a": "d", "n": []string{one, "AAAAAAAA", two}}))
	packets, _ := c.packets(answer["sn"].(string))
	require.Equal(t, []string{"d", "d", "d"}, types(packets))
	require.Equal(t, dir, packets[0]["n"])
	require.Zero(t, a.Used())
}

func TestAttributePacket(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	file := a.PutFile(a.Root(), "old", []byte("1"), time.Unix(5, 0))
	a.SetAttr(file, "custom", "kept")
	answer, _ := c.fetch()
	sn := answer["sn"].(string)
	a.Rename(file, "new")
	packets, sn := c.packets(sn)
	require.Equal(t, []string{"u"}, types(packets))
	require.Equal(t, file, packets[0]["n"])
	require.Equal(t, time.Unix(5, 0), a.Tree()["new"].Mtime)
	kept, _ := a.Attrs(file).String("custom")
	require.Equal(t, "kept", kept)
	// go-mega's names of the arguments
	require.Equal(t, 0, c.code(object{"a": "a", "n": file, "attr": packets[0]["at"], "key": "x"}))
	packets, _ = c.packets(sn)
	require.Len(t, packets, 1)
}

func TestCopyOnServer(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	file := a.PutFile(a.Root(), "file", []byte("content"), zero)
	_, nodes := c.fetch()
	dir := a.Mkdir(a.Root(), "dir")
	copied := c.put(dir, object{"h": file, "t": 0, "a": nodes[file]["a"], "k": nodes[file]["k"].(string)[12:]})[0]
	a.Remove(file)
	require.Equal(t, "content", string(a.ReadFile(copied)))
}

func TestOrphansToBin(t *testing.T) {
	s := newServer(t, megatest.WithOrphansToBin())
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	dir := a.Mkdir(a.Root(), "dir")
	a.Remove(dir)
	h := c.put(dir, c.folder("late"))[0]
	require.Equal(t, a.Rubbish(), a.Parent(h))
	require.True(t, a.InRubbish(h))
}

func TestHostileNodes(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	a.Put(megatest.PutSpec{Parent: a.Root(), Name: "nokey", Content: []byte("x"), NoKey: true})
	a.Put(megatest.PutSpec{Parent: a.Root(), Name: "badattrs", Content: []byte("x"), BadAttrs: true})
	a.Put(megatest.PutSpec{Parent: a.Root(), Name: "badmac", Content: []byte("x"), WrongMAC: true})
	a.Put(megatest.PutSpec{Parent: a.Root(), Name: "rsa", Content: []byte("x"), RSAKey: true})
	a.Put(megatest.PutSpec{Parent: a.Root(), Name: "js", Content: make([]byte, 131072), JSMAC: true})
	a.PutFile(a.Root(), "same", []byte("1"), zero)
	second := a.PutFile(a.Root(), "same", []byte("2"), zero)
	tree := a.Tree()
	require.NoError(t, tree["rsa"].Err)
	require.NoError(t, tree["js"].Err)
	require.ErrorIs(t, tree["badmac"].Err, megatest.ErrContent)
	require.Equal(t, second, tree["same#"+second].Handle)
	require.Len(t, tree, 7)
}

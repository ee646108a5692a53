package megatest_test

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// sharing makes two accounts, a folder with a file in it, and a session for each.
func sharing(t *testing.T, opts ...megatest.AccountOption) (s *megatest.Server, a, b *megatest.Account, folder, file string) {
	s = newServer(t)
	a = s.AddAccount("owner@example.com", password, opts...)
	b = s.AddAccount("guest@example.com", password, opts...)
	folder = a.Mkdir(a.Root(), "shared")
	file = a.PutFile(folder, "file", []byte("content"), zero)
	return s, a, b, folder, file
}

// open decrypts a node's name with a share key.
func open(t *testing.T, key megacrypto.Key, n object, holder string) string {
	h, k, _ := strings.Cut(n["k"].(string), ":")
	require.Equal(t, holder, h)
	packed, err := megacrypto.DecryptKey(key, unb64(t, k))
	require.NoError(t, err)
	var attrKey megacrypto.Key
	copy(attrKey[:], packed)
	if len(packed) == 32 {
		fk, err := megacrypto.UnpackFileKey(packed)
		require.NoError(t, err)
		attrKey = fk.Key
	}
	attrs, err := megacrypto.DecryptAttributes(attrKey, n["a"].(string))
	require.NoError(t, err)
	name, _ := attrs.String("n")
	return name
}

func TestIncomingShare(t *testing.T) {
	s, a, b, folder, file := sharing(t)
	c := login(t, s, b)
	answer, _ := c.fetch()
	a.Share(folder, b, 0)
	packets, _ := c.packets(answer["sn"].(string))
	require.Equal(t, []string{"s2", "t"}, types(packets))
	require.Equal(t, []string{folder, file}, nodesOf(packets[1], "f"))
	_, nodes := c.fetch()
	root := nodes[folder]
	require.EqualValues(t, 0, root["r"])
	require.Equal(t, a.Handle, root["su"])
	priv := unb64(t, c.cmd(object{"a": "ug"}).(object)["privk"])
	plain, err := megacrypto.DecryptKey(c.mk, priv)
	require.NoError(t, err)
	rsa, err := megacrypto.ParsePrivateKey(plain)
	require.NoError(t, err)
	sk, err := rsa.Decrypt(unb64(t, root["sk"]), 16)
	require.NoError(t, err)
	require.Equal(t, "shared", open(t, megacrypto.Key(sk), root, folder))
	require.Equal(t, "file", open(t, megacrypto.Key(sk), nodes[file], folder))
	require.NotContains(t, nodes[file], "su")
}

func TestShareAccessLevels(t *testing.T) {
	s, a, b, folder, file := sharing(t)
	c := login(t, s, b)
	require.Equal(t, -9, c.code(object{"a": "g", "n": file}), "not shared yet")
	put := func() any { return c.cmd(object{"a": "p", "t": folder, "n": []any{c.folder("x")}}) }
	attr := object{"a": "a", "n": file, "at": "AAAA"}
	for level, want := range []struct{ put, change int }{{-11, -11}, {0, -11}, {0, 0}} {
		a.Share(folder, b, level)
		got := put()
		if want.put != 0 {
			require.EqualValues(t, want.put, got, level)
		} else {
			require.IsType(t, object{}, got, level)
		}
		require.Equal(t, want.change, c.code(attr), level)
		require.Equal(t, -11, c.code(object{"a": "s2", "n": folder, "s": []any{object{"u": "EXP", "r": 0}}}))
		require.Equal(t, -11, c.code(object{"a": "m", "n": file, "t": b.Root()}), "across the border")
		require.Equal(t, -11, c.code(object{"a": "m", "n": folder, "t": b.Root()}))
	}
	require.Equal(t, 0, c.code(object{"a": "d", "n": file}))
}

func TestKeysOfNewNodesInShares(t *testing.T) {
	s, a, b, folder, _ := sharing(t)
	a.Share(folder, b, 1)
	owner, guest := login(t, s, a), login(t, s, b)
	answer, _ := owner.fetch()
	sub := b.Mkdir(folder, "from the guest") // with cr
	packets, _ := owner.packets(answer["sn"].(string))
	node := packets[0]["t"].(object)["f"].([]any)[0].(object)
	require.True(t, strings.HasPrefix(node["k"].(string), folder+":"), "the owner gets the share's key")
	require.Equal(t, a.Handle, node["u"])
	require.Equal(t, b.Handle, packets[0]["ou"])
	_, nodes := guest.fetch()
	require.True(t, strings.HasPrefix(nodes[sub]["k"].(string), b.Handle+":"), "the guest its own")
	require.Equal(t, "from the guest", a.Name(sub))

	without := guest.put(folder, guest.folder("without cr"))[0]
	_, nodes = owner.fetch()
	require.True(t, strings.HasPrefix(nodes[without]["k"].(string), b.Handle+":"), "nothing the owner can use")

	late := object{"a": "k", "cr": []any{[]string{folder}, []string{without}, []any{0, 0, "abcdefghijklmnopqrstuv"}}}
	require.Equal(t, 0, guest.code(late))
	_, nodes = owner.fetch()
	require.Equal(t, folder+":abcdefghijklmnopqrstuv", nodes[without]["k"])
	require.Equal(t, 0, owner.code(object{"a": "k", "nk": []string{without, "zyxdefghijklmnopqrstuv"}}))
	_, nodes = owner.fetch()
	require.Equal(t, a.Handle+":zyxdefghijklmnopqrstuv", nodes[without]["k"])
}

func TestMoveIntoAndOutOfAShare(t *testing.T) {
	s, a, b, folder, _ := sharing(t)
	a.Share(folder, b, 0)
	guest := login(t, s, b)
	dir := a.Mkdir(a.Root(), "dir")
	file := a.PutFile(dir, "inside", []byte("1"), zero)
	answer, nodes := guest.fetch()
	require.NotContains(t, nodes, dir)
	a.Move(dir, folder)
	packets, sn := guest.packets(answer["sn"].(string))
	require.Equal(t, []string{"t"}, types(packets))
	require.Equal(t, []string{dir, file}, nodesOf(packets[0], "f"))
	_, nodes = guest.fetch()
	require.True(t, strings.HasPrefix(nodes[file]["k"].(string), folder+":"))
	a.Move(dir, a.Root())
	packets, _ = guest.packets(sn)
	require.Equal(t, []string{"d"}, types(packets))
	require.NotContains(t, packets[0], "m", "for the guest it is gone")
}

func TestShareEnds(t *testing.T) {
	s, a, b, folder, _ := sharing(t)
	guest := login(t, s, b)
	for name, end := range map[string]func(){
		"revoked":           func() { a.Unshare(folder, b) },
		"left by the guest": func() { require.Equal(t, 0, guest.code(object{"a": "d", "n": folder})) },
		"binned": func() {
			a.Move(folder, a.Rubbish())
			defer a.Move(folder, a.Root())
		},
	} {
		a.Share(folder, b, 2)
		answer, nodes := guest.fetch()
		require.Contains(t, nodes, folder, name)
		end()
		_, nodes = guest.fetch()
		require.NotContains(t, nodes, folder, name)
		packets, _ := guest.packets(answer["sn"].(string))
		require.Contains(t, types(packets), "s2", name)
		require.Contains(t, types(packets), "d", name)
	}
	require.True(t, a.Exists(folder))
}

func TestShareKeysByCurve(t *testing.T) {
	s, a, b, folder, file := sharing(t, megatest.WithAccountKeys())
	guest := login(t, s, b)
	answer, _ := guest.fetch()
	a.Share(folder, b, 1)
	packets, _ := guest.packets(answer["sn"].(string))
	require.Equal(t, []string{"s2", "t", "pk"}, types(packets))
	_, nodes := guest.fetch()
	require.NotContains(t, nodes[folder], "sk")
	pending := guest.cmd(object{"a": "pk"}).(object)
	sealed := pending[a.Handle].(object)[folder].(string)
	key := pairwise(t, guest, a, b, sealed)
	require.Equal(t, "file", open(t, key, nodes[file], folder))
	require.Equal(t, 0, guest.code(object{"a": "pk", "d": pending["d"]}))
	require.Equal(t, -9, guest.code(object{"a": "pk"}))
}

// pairwise decrypts a share key as the receiver does, from public attributes and ^!keys.
func pairwise(t *testing.T, guest *raw, from, to *megatest.Account, sealed string) megacrypto.Key {
	attr := guest.cmd(object{"a": "uga", "u": to.Handle, "ua": "^!keys", "v": 1}).(object)
	keys, err := megacrypto.ParseAccountKeys(guest.mk, unb64(t, attr["av"]))
	require.NoError(t, err)
	own, err := ecdh.X25519().NewPrivateKey(keys.Cu25519Private)
	require.NoError(t, err)
	public := guest.cmd(object{"a": "uga", "u": from.Handle, "ua": "+puCu255", "v": 1}).(object)
	theirs, err := ecdh.X25519().NewPublicKey(unb64(t, public["av"]))
	require.NoError(t, err)
	secret, err := own.ECDH(theirs)
	require.NoError(t, err)
	pair, err := hkdf.Key(sha256.New, secret, nil, "strongvelope pairwise key", 16)
	require.NoError(t, err)
	key, err := megacrypto.DecryptKey(megacrypto.Key(pair), unb64(t, sealed))
	require.NoError(t, err)
	return megacrypto.Key(key)
}

func TestFileLink(t *testing.T) {
	s, a, _, _, file := sharing(t)
	owner := login(t, s, a)
	answer, _ := owner.fetch()
	link, err := megacrypto.ParseLink(a.Export(file))
	require.NoError(t, err)
	require.Equal(t, link.Handle, owner.cmd(object{"a": "l", "n": file}), "there is one link")
	anyone := newRaw(t, s)
	g := anyone.cmd(object{"a": "g", "g": 1, "p": link.Handle}).(object)
	key, err := megacrypto.UnpackFileKey(link.Key)
	require.NoError(t, err)
	_, body := anyone.get(g["g"].(string) + "/0-6")
	megacrypto.NewCipher(key).XORKeyStreamAt(body, body, 0)
	require.Equal(t, "content", string(body))
	require.Equal(t, -2, anyone.code(object{"a": "g", "n": file}), "handles need a session")
	fresh, _ := owner.fetch()
	require.Equal(t, file, fresh["ph"].([]any)[0].(object)["h"])
	a.Unexport(file)
	require.Equal(t, -9, anyone.code(object{"a": "g", "p": link.Handle}))
	packets, _ := owner.packets(answer["sn"].(string))
	require.Equal(t, "ph", packets[0]["a"])
	require.EqualValues(t, 1, packets[0]["n"])
	require.EqualValues(t, 1, packets[2]["d"])
}

func TestFolderLink(t *testing.T) {
	s, a, _, folder, file := sharing(t)
	link, err := megacrypto.ParseLink(a.Export(folder))
	require.NoError(t, err)
	anyone := newRaw(t, s)
	anyone.link = link.Handle
	answer := anyone.cmd(object{"a": "f", "c": 1, "r": 1, "ca": 1}).(object)
	nodes := answer["f"].([]any)
	require.Equal(t, folder, nodes[0].(object)["h"], "the root comes first")
	require.Equal(t, "shared", open(t, megacrypto.Key(link.Key), nodes[0].(object), folder))
	require.Equal(t, "file", open(t, megacrypto.Key(link.Key), nodes[1].(object), folder))
	require.Contains(t, anyone.cmd(object{"a": "g", "g": 1, "n": file}), "g")
	outside := a.PutFile(a.Root(), "outside", []byte("x"), zero)
	require.Equal(t, -9, anyone.code(object{"a": "g", "g": 1, "n": outside}))
	require.Equal(t, -11, anyone.code(object{"a": "d", "n": file}))
	require.Equal(t, -11, anyone.code(object{"a": "p", "t": folder, "n": []any{anyone.folder("x")}}))
	later := a.PutFile(folder, "later", []byte("y"), zero)
	packets, _ := anyone.packets(answer["sn"].(string))
	require.Equal(t, []string{later}, nodesOf(packets[0], "f"))
	require.Equal(t, "later", open(t, megacrypto.Key(link.Key), packets[0]["t"].(object)["f"].([]any)[0].(object), folder))
	a.Unexport(folder)
	require.Equal(t, -9.0, anyone.cmd(object{"a": "f"}))
}

func TestWritableFolderLink(t *testing.T) {
	s, a, _, folder, _ := sharing(t)
	a.Export(folder)
	owner := login(t, s, a)
	made := owner.cmd(object{"a": "l", "n": folder, "w": 1}).(object)
	anyone := newRaw(t, s)
	anyone.link = made["ph"].(string) + made["w"].(string)
	anyone.put(folder, anyone.folder("from anyone"))
	anyone.link = made["ph"].(string) + "wrong"
	require.Equal(t, -11.0, anyone.cmd(object{"a": "f"}))
}

func TestLinkExpires(t *testing.T) {
	s, a, _, _, file := sharing(t)
	owner := login(t, s, a)
	ph := owner.cmd(object{"a": "l", "n": file, "ets": 1}).(string)
	require.Equal(t, -9, newRaw(t, s).code(object{"a": "g", "p": ph}))
}

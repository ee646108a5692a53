package megacrypto_test

import (
	"bytes"
	"fmt"

	mc "megadisk/megaclient/megacrypto"
)

// Encrypting a file for upload, and what goes into its node.
func Example() {
	master := mc.NewKey()
	content := []byte("hello, cloud")

	k := mc.NewFileKey()
	c := mc.NewCipher(k)
	ciphertext := make([]byte, len(content))
	c.XORKeyStreamAt(ciphertext, content, 0)
	k.MAC = c.MetaMAC([]mc.ChunkMAC{c.ChunkMAC(content)}) // one chunk only

	attributes := mc.Attributes{}
	attributes.SetString("n", "greeting.txt")
	fingerprint, _ := mc.NewFingerprint(bytes.NewReader(content), int64(len(content)), 1700000000)
	attributes.SetString("c", fingerprint.String())
	a, _ := mc.EncryptAttributes(k.Key, attributes)
	nodeKey, _ := mc.EncryptKey(master, k.Pack())

	// Another client reads it.
	packed, _ := mc.DecryptKey(master, nodeKey)
	k2, _ := mc.UnpackFileKey(packed)
	got, _ := mc.DecryptAttributes(k2.Key, a)
	name, _ := got.String("n")
	c2 := mc.NewCipher(k2)
	c2.XORKeyStreamAt(ciphertext, ciphertext, 0)
	_, err := c2.CheckMAC(int64(len(ciphertext)), []mc.ChunkMAC{c2.ChunkMAC(ciphertext)}, k2.MAC)
	fmt.Println(name, string(ciphertext), err)
	// Output: greeting.txt hello, cloud <nil>
}

func ExampleParseLink() {
	l, err := mc.ParseLink("https://mega.nz/#F!aBcDeFgH!AAECAwQFBgcICQoLDA0ODw!zYxWvUtS")
	fmt.Println(l.Kind, l.Handle, len(l.Key), l.Sub, err)
	fmt.Println(l)
	// Output:
	// folder aBcDeFgH 16 zYxWvUtS <nil>
	// https://mega.nz/folder/aBcDeFgH#AAECAwQFBgcICQoLDA0ODw/file/zYxWvUtS
}

func ExampleChunkBounds() {
	const size = 500_000
	for i := range mc.ChunkCount(size) {
		fmt.Println(mc.ChunkBounds(i, size))
	}
	// Output:
	// 0 131072
	// 131072 393216
	// 393216 500000
}

func ExampleCipher_XORKeyStreamAt() {
	k, _ := mc.UnpackFileKey(make([]byte, 32))
	c := mc.NewCipher(k)
	file := []byte("any range can be read alone")
	c.XORKeyStreamAt(file, file, 0) // encrypted

	part := file[10:15]
	c.XORKeyStreamAt(part, part, 10)
	fmt.Printf("%s\n", part)
	// Output: can b
}

func ExampleAttributes_SetString() {
	a := mc.Attributes{}
	a.SetString("n", "not UTF-8: \xff")
	name, _ := a.String("n")
	fmt.Printf("%q\n", name)
	// Output: "not UTF-8: \xff"
}

func ExampleKey() {
	fmt.Println(mc.NewKey())
	// Output: [secret]
}

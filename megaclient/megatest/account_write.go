package megatest

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"megadisk/megaclient/megacrypto"
)

// PutSpec says what Put makes. Zero values of everything but Parent and Name are useful.
type PutSpec struct {
	Parent string
	Name   string
	// Content is the plaintext. With Size set and no Content, the file is that large and made of
	// synthetic bytes that take no room on the server (see SyntheticAt).
	Content []byte
	Size    int64
	// Mtime goes into the fingerprint attribute c; zero leaves that out, as megajs does.
	Mtime time.Time
	// Replaces is the file whose new version this is.
	Replaces string
	// Attrs are further attributes, and win over those made from the fields above.
	Attrs map[string]string
	// Key is used in place of a new random one (its MAC is computed).
	Key *megacrypto.FileKey
	// WrongMAC stores a MAC that doesn't fit the content (and costs no time, however large the file is); JSMAC the one that megajs makes at chunk
	// borders (PROTOCOL 4.4).
	WrongMAC, JSMAC bool
	// RSAKey stores the node key encrypted with RSA, NoKey one that nobody can decrypt.
	RSAKey, NoKey bool
	// BadAttrs stores attributes that don't decrypt.
	BadAttrs bool
	// RAID lets this file be served over six URLs, as the option of that name does for all.
	RAID bool
}

// PutFile makes a file and returns its handle. A file of that name stays beside it, as with megajs.
func (a *Account) PutFile(parent, name string, content []byte, mtime time.Time) string {
	return a.Put(PutSpec{Parent: parent, Name: name, Content: content, Mtime: mtime})
}

// PutVersion makes a new version of the file old, with its name and in its folder, and returns the new
// handle.
func (a *Account) PutVersion(old string, content []byte, mtime time.Time) string {
	return a.Put(PutSpec{
		Parent: a.Parent(old), Name: a.Name(old), Content: content, Mtime: mtime, Replaces: old,
	})
}

// Put makes a file as spec says and returns its handle.
func (a *Account) Put(spec PutSpec) string {
	size := spec.Size
	if spec.Content != nil {
		size = int64(len(spec.Content))
	}
	key := megacrypto.NewFileKey()
	if spec.Key != nil {
		key = *spec.Key
	}
	plain, stored := a.contentOf(spec, key, size)
	if spec.WrongMAC {
		copy(key.MAC[:], randomBytes(len(key.MAC)))
	} else {
		key.MAC = contentMAC(key, plain, size, spec.JSMAC)
	}
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", spec.Name)
	if !spec.Mtime.IsZero() {
		attrs.SetString("c", fingerprintOf(plain, size, spec.Mtime))
	}
	for k, v := range spec.Attrs {
		attrs.SetString(k, v)
	}
	entry := map[string]any{
		"h": a.s.deposit(size, stored, spec.RAID), "t": fileNode, "a": sealAttrs(key.Key, attrs), "k": a.sealNodeKey(key.Pack(), spec),
	}
	if spec.BadAttrs {
		entry["a"] = sealAttrs(megacrypto.NewKey(), attrs)
	}
	if spec.Replaces != "" {
		entry["ov"] = spec.Replaces
	}
	return a.putNode(spec.Parent, entry, key.Pack())
}

// contentOf returns the plaintext to read, and the ciphertext as it is stored.
func (a *Account) contentOf(spec PutSpec, key megacrypto.FileKey, size int64) (io.ReaderAt, content) {
	if spec.Content == nil && size > 0 {
		return synthetic{size: size}, synthetic{size, &key}
	}
	ciphertext := make([]byte, size)
	megacrypto.NewCipher(key).XORKeyStreamAt(ciphertext, spec.Content, 0)
	stored, err := a.s.put(ciphertext)
	if err != nil {
		panic("megatest: " + err.Error())
	}
	return bytes.NewReader(spec.Content), stored
}

// fingerprintOf makes the attribute c.
func fingerprintOf(plain io.ReaderAt, size int64, mtime time.Time) string {
	print, err := megacrypto.NewFingerprint(plain, size, mtime.Unix())
	if err != nil {
		panic("megatest: making a fingerprint: " + err.Error())
	}
	return print.String()
}

// contentMAC computes the MAC of the plaintext (PROTOCOL 4.4).
func contentMAC(key megacrypto.FileKey, plain io.ReaderAt, size int64, js bool) [8]byte {
	c := megacrypto.NewCipher(key)
	macs := make([]megacrypto.ChunkMAC, 0, megacrypto.ChunkCount(size)+1)
	buf := make([]byte, min(size, 1<<20))
	for i := range megacrypto.ChunkCount(size) {
		start, end := megacrypto.ChunkBounds(i, size)
		chunk := buf[:end-start]
		if n, err := plain.ReadAt(chunk, start); n < len(chunk) {
			panic(fmt.Sprintf("megatest: reading content at %d: %v", start, err))
		}
		macs = append(macs, c.ChunkMAC(chunk))
	}
	if js {
		macs = append(macs, c.ChunkMAC(nil))
	}
	return c.MetaMAC(macs)
}

// sealNodeKey encrypts a node key for the owner, in the way that spec asks for.
func (a *Account) sealNodeKey(packed []byte, spec PutSpec) string {
	switch {
	case spec.NoKey:
		return seal(megacrypto.NewKey(), packed)
	case spec.RSAKey:
		return a.Seal(packed)
	}
	return seal(a.master, packed)
}

func sealAttrs(key megacrypto.Key, attrs megacrypto.Attributes) string {
	s, err := megacrypto.EncryptAttributes(key, attrs)
	if err != nil {
		panic("megatest: encrypting attributes: " + err.Error())
	}
	return s
}

// putNode sends a p with one entry, and with its key for every share that parent lies in.
func (a *Account) putNode(parent string, entry map[string]any, packed []byte) string {
	cmd := map[string]any{"a": "p", "t": parent, "n": []any{entry}}
	if roots := a.sharesAbove(parent); len(roots) > 0 {
		flat, handles := []any{}, []string{}
		for i, r := range roots {
			handles = append(handles, r.handle)
			flat = append(flat, i, 0, seal(r.key, packed))
		}
		cmd["cr"] = []any{handles, []string{}, flat}
	}
	var answer struct {
		F []struct{ H string }
	}
	a.must(cmd, &answer)
	return answer.F[0].H
}

// Mkdir makes a folder and returns its handle.
func (a *Account) Mkdir(parent, name string) string {
	key := megacrypto.NewKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", name)
	return a.putNode(parent, map[string]any{
		"h": "xxxxxxxx", "t": folderNode, "a": sealAttrs(key, attrs), "k": seal(a.master, key[:]),
	}, key[:])
}

// Rename gives a node another name and leaves its other attributes as they are.
func (a *Account) Rename(handle, name string) { a.SetAttr(handle, "n", name) }

// SetAttr sets one attribute of a node, "" takes it away.
func (a *Account) SetAttr(handle, name, value string) {
	packed, attrs := a.open(handle)
	if value == "" {
		delete(attrs, name)
	} else {
		attrs.SetString(name, value)
	}
	a.must(map[string]any{"a": "a", "n": handle, "at": sealAttrs(attrKey(packed), attrs)}, nil)
}

// Move moves a node to another folder, with its keys for the shares that it enters.
func (a *Account) Move(handle, parent string) {
	cmd := map[string]any{"a": "m", "n": handle, "t": parent}
	if roots := a.sharesAbove(parent); len(roots) > 0 {
		cmd["cr"] = a.subtreeGrant(handle, roots)
	}
	a.must(cmd, nil)
}

// Trash moves a node to the bin, noting where it was, as MEGA's clients do.
func (a *Account) Trash(handle string) {
	a.SetAttr(handle, "rr", a.Parent(handle))
	a.Move(handle, a.Rubbish())
}

// Remove deletes a node for good, with all below it and all its versions.
func (a *Account) Remove(handle string) { a.must(map[string]any{"a": "d", "n": handle}, nil) }

// RemoveVersion deletes one version of a file and keeps the others.
func (a *Account) RemoveVersion(handle string) {
	a.must(map[string]any{"a": "d", "n": handle, "v": 1}, nil)
}

package megatest

import (
	"time"

	"megadisk/megaclient/megacrypto"
)

// Seeder puts nodes into an account's tree (see Account.Seed).
type Seeder struct{ a *Account }

// Seed lets fn put many nodes into the account at once: a million take seconds. They are what Put and Mkdir make,
// but no command, packet or statistic tells of them, and shares above get no keys: it is for what was there before
// anybody looks. fn must use nothing of the server but the Seeder.
func (a *Account) Seed(fn func(*Seeder)) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	fn(&Seeder{a})
}

// Mkdir makes a folder and returns its handle.
func (s *Seeder) Mkdir(parent, name string) string {
	key := megacrypto.NewKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", name)
	return s.add(parent, &node{typ: folderNode, attr: sealAttrs(key, attrs)}, key[:])
}

// File makes a file of synthetic bytes (see SyntheticAt) and returns its handle. Its MAC is computed, so it costs what
// it is large.
func (s *Seeder) File(parent, name string, size int64, mtime time.Time) string {
	key := megacrypto.NewFileKey()
	plain := synthetic{size: size}
	key.MAC = contentMAC(key, plain, size, false)
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", name)
	attrs.SetString("c", fingerprintOf(plain, size, mtime))
	n := &node{typ: fileNode, size: size, attr: sealAttrs(key.Key, attrs), blob: &blob{size: size, refs: 1, data: synthetic{size, &key}}}
	return s.add(parent, n, key.Pack())
}

func (s *Seeder) add(parent string, n *node, packed []byte) string {
	server := s.a.s
	above := server.nodes[parent]
	n.handle, n.owner, n.ts = server.newHandleLocked(), above.owner, server.unix()
	n.keys = []nodeKey{{s.a.Handle, seal(s.a.master, packed)}}
	n.attach(above)
	server.nodes[n.handle] = n
	return n.handle
}

package megacrypto

import "crypto/subtle"

// MACWriter computes a chunk's MAC while its plaintext arrives in any pieces, in order (PROTOCOL 4.4).
// It is for one goroutine. AdvanceMACs writes to several at once.
type MACWriter struct {
	c       *Cipher
	x       [16]byte
	partial int // bytes of the next block already in x
}

// NewMAC begins a chunk.
func (c *Cipher) NewMAC() *MACWriter { return &MACWriter{c: c, x: c.start()} }

// Reset begins another chunk of the same file.
func (m *MACWriter) Reset() { m.x, m.partial = m.c.start(), 0 }

// Write takes the next bytes of the chunk. It never fails.
func (m *MACWriter) Write(p []byte) (int, error) {
	rest := m.complete(p)
	if len(rest) > 0 {
		whole := len(rest) &^ 15
		m.c.foldBlocks(&m.x, rest[:whole])
		m.partial = subtle.XORBytes(m.x[:], m.x[:], rest[whole:])
	}
	return len(p), nil
}

// complete takes the bytes that a begun block lacks, and gives those behind them.
func (m *MACWriter) complete(p []byte) []byte {
	if m.partial == 0 {
		return p
	}
	used := subtle.XORBytes(m.x[m.partial:], m.x[m.partial:], p)
	m.partial += used
	if m.partial == 16 {
		m.c.block.Encrypt(m.x[:], m.x[:])
		m.partial = 0
	}
	return p[used:]
}

// Sum gives the MAC of what was written. More may be written after it.
func (m *MACWriter) Sum() ChunkMAC {
	if m.partial == 0 {
		return m.x
	}
	x := scratch.Get().(*[16]byte)
	defer scratch.Put(x)
	m.c.block.Encrypt(x[:], m.x[:])
	return *x
}

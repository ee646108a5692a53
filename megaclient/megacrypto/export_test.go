package megacrypto

// Portable gives a cipher under the same key that keeps to the way of machines without the assembly.
func (c *Cipher) Portable() *Cipher { return &Cipher{block: c.block, nonce: c.nonce} }

// Portable gives a GMAC under the same key that keeps to the standard library's.
func (g *GMAC) Portable() *GMAC { return &GMAC{block: g.block, gcm: g.gcm} }

// Fast tells whether the cipher goes through the assembly.
func (c *Cipher) Fast() bool { return c.fast }

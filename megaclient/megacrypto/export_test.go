package megacrypto

// Portable gives a cipher under the same key that keeps to the way of machines without the assembly.
func (c *Cipher) Portable() *Cipher { return &Cipher{block: c.block, nonce: c.nonce} }

// Fast tells whether the cipher goes through the assembly.
func (c *Cipher) Fast() bool { return c.fast }

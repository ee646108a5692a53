package megacrypto

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
)

// ErrRSA means that an RSA key or a value encrypted with one is malformed.
var ErrRSA = errors.New("malformed RSA value")

// PrivateKey is an account's RSA key (PROTOCOL 2.5), with which the session id of a login and the
// keys of nodes that others sent are encrypted.
type PrivateKey struct {
	p, q, d, u *big.Int // u = 1/p mod q
	n          *big.Int // p·q
	dp, dq     *big.Int // d mod p-1, d mod q-1
}

// String hides the key from logs.
func (PrivateKey) String() string { return redacted }

// GoString hides the key from %#v.
func (PrivateKey) GoString() string { return redacted }

// Format hides the key from every verb.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// ParsePrivateKey reads the four numbers p, q, d, u and at most 15 bytes of padding. Keys that are
// too short or whose u doesn't fit are refused, as MEGA's clients do since the attack of 2022, in
// which a server learned the key by sending a damaged one. The error is ErrRSA.
func ParsePrivateKey(plain []byte) (*PrivateKey, error) {
	const minFactorBits, minExponentBits = 1000, 2000
	k := &PrivateKey{}
	rest := plain
	for _, v := range []**big.Int{&k.p, &k.q, &k.d, &k.u} {
		var err error
		if *v, rest, err = readMPI(rest); err != nil {
			return nil, fmt.Errorf("reading an RSA private key: %w", err)
		}
	}
	switch {
	case len(rest) > 15:
		return nil, fmt.Errorf("reading an RSA private key: %d bytes left over: %w", len(rest), ErrRSA)
	case k.p.BitLen() <= minFactorBits, k.q.BitLen() <= minFactorBits, k.u.BitLen() <= minFactorBits, k.d.BitLen() <= minExponentBits:
		return nil, fmt.Errorf("reading an RSA private key: numbers too short: %w", ErrRSA)
	case k.p.Bit(0) == 0 || k.q.Bit(0) == 0:
		return nil, fmt.Errorf("reading an RSA private key: an even factor: %w", ErrRSA)
	}
	one := new(big.Int).Mul(k.u, k.p)
	if one.Mod(one, k.q).Cmp(big.NewInt(1)) != 0 {
		return nil, fmt.Errorf("reading an RSA private key: u is not 1/p: %w", ErrRSA)
	}
	return k.precompute(), nil
}

func (k *PrivateKey) precompute() *PrivateKey {
	one := big.NewInt(1)
	k.n = new(big.Int).Mul(k.p, k.q)
	k.dp = new(big.Int).Mod(k.d, new(big.Int).Sub(k.p, one))
	k.dq = new(big.Int).Mod(k.d, new(big.Int).Sub(k.q, one))
	return k
}

// publicExponent is the one that MEGA's clients use.
const publicExponent = 17

// GeneratePrivateKey makes a new key of 2048 bits, for test servers that open accounts.
func GeneratePrivateKey() (*PrivateKey, error) {
	const factorBits, minExponentBits = 1024, 2000
	one, e := big.NewInt(1), big.NewInt(publicExponent)
	for {
		p, err := rand.Prime(rand.Reader, factorBits)
		if err != nil {
			return nil, fmt.Errorf("drawing a prime: %w", err)
		}
		q, err := rand.Prime(rand.Reader, factorBits)
		if err != nil {
			return nil, fmt.Errorf("drawing a prime: %w", err)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d, u := new(big.Int).ModInverse(e, phi), new(big.Int).ModInverse(p, q)
		if d == nil || u == nil || d.BitLen() <= minExponentBits || u.BitLen() <= factorBits-24 {
			continue // rare: e divides phi, or a number that readers refuse as too short
		}
		return (&PrivateKey{p: p, q: q, d: d, u: u}).precompute(), nil
	}
}

// Marshal gives what ParsePrivateKey reads, padded with zeros to a multiple of 16 and not encrypted.
func (k *PrivateKey) Marshal() []byte {
	var out []byte
	for _, v := range []*big.Int{k.p, k.q, k.d, k.u} {
		out = appendMPI(out, v)
	}
	return append(out, make([]byte, (16-len(out)%16)%16)...)
}

// Public gives the public half. The exponent is computed from the private one.
func (k *PrivateKey) Public() *PublicKey {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(k.p, one), new(big.Int).Sub(k.q, one)
	lambda := new(big.Int).Mul(p1, q1) // the least common multiple: writers reduce d by it
	lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
	e := new(big.Int).ModInverse(k.d, lambda)
	if e == nil { // not a working pair; MEGA's clients assume this exponent
		e = big.NewInt(publicExponent)
	}
	return &PublicKey{n: k.n, e: e}
}

// Decrypt decrypts one MPI and gives the first n bytes of its plaintext. There is no standard
// padding: the plaintext is data, then noise, two bytes shorter than the modulus; it is padded to
// that length on the left first, so data that begins with zero bytes comes out right. The error is
// ErrRSA.
func (k *PrivateKey) Decrypt(mpi []byte, n int) ([]byte, error) {
	c, rest, err := readMPI(mpi)
	if err != nil {
		return nil, fmt.Errorf("reading an RSA ciphertext: %w", err)
	}
	if len(rest) != 0 || c.Cmp(k.n) >= 0 {
		return nil, fmt.Errorf("reading an RSA ciphertext: does not fit the key: %w", ErrRSA)
	}
	m := k.power(c)
	length := byteLen(k.p) + byteLen(k.q) - 2
	if byteLen(m) > length || n < 0 || n > length {
		return nil, fmt.Errorf("reading an RSA plaintext: does not fit the key: %w", ErrRSA)
	}
	return m.FillBytes(make([]byte, length))[:n], nil
}

// power computes c^d mod n by the Chinese remainder theorem: m = ((mq - mp)·u mod q)·p + mp.
func (k *PrivateKey) power(c *big.Int) *big.Int {
	mp := new(big.Int).Exp(new(big.Int).Mod(c, k.p), k.dp, k.p)
	mq := new(big.Int).Exp(new(big.Int).Mod(c, k.q), k.dq, k.q)
	m := mq.Sub(mq, mp)
	m.Mul(m, k.u).Mod(m, k.q)
	return m.Mul(m, k.p).Add(m, mp)
}

// PublicKey is the half of an RSA key that others encrypt with.
type PublicKey struct{ n, e *big.Int }

// ParsePublicKey reads the two numbers n and e. The error is ErrRSA.
func ParsePublicKey(b []byte) (*PublicKey, error) {
	n, rest, err := readMPI(b)
	if err != nil {
		return nil, fmt.Errorf("reading an RSA public key: %w", err)
	}
	e, rest, err := readMPI(rest)
	if err != nil {
		return nil, fmt.Errorf("reading an RSA public key: %w", err)
	}
	if len(rest) > 15 || byteLen(n) < 64 || n.Bit(0) == 0 || e.Sign() <= 0 {
		return nil, fmt.Errorf("reading an RSA public key: impossible numbers: %w", ErrRSA)
	}
	return &PublicKey{n: n, e: e}, nil
}

// Marshal gives what ParsePublicKey reads.
func (k *PublicKey) Marshal() []byte { return appendMPI(appendMPI(nil, k.n), k.e) }

// Encrypt encrypts data, followed by random bytes up to the length that the key asks, to an MPI.
// The error is ErrRSA when data is too long for the key.
func (k *PublicKey) Encrypt(data []byte) ([]byte, error) {
	m := make([]byte, byteLen(k.n)-2)
	if len(data) > len(m) {
		return nil, fmt.Errorf("encrypting %d bytes with RSA: too long for the key: %w", len(data), ErrRSA)
	}
	rand.Read(m[copy(m, data):])
	c := new(big.Int).Exp(new(big.Int).SetBytes(m), k.e, k.n)
	return appendMPI(nil, c), nil
}

func byteLen(v *big.Int) int { return (v.BitLen() + 7) / 8 }

// readMPI reads a two-byte length in bits and the number that follows. Writers that round the bit
// count up to whole bytes are understood too.
func readMPI(b []byte) (v *big.Int, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, fmt.Errorf("a number without its length: %w", ErrRSA)
	}
	n := (int(b[0])<<8 + int(b[1]) + 7) / 8
	if len(b) < 2+n {
		return nil, nil, fmt.Errorf("a number cut short: %w", ErrRSA)
	}
	return new(big.Int).SetBytes(b[2 : 2+n]), b[2+n:], nil
}

func appendMPI(out []byte, v *big.Int) []byte {
	bits := v.BitLen()
	out = append(out, byte(bits>>8), byte(bits))
	return append(out, v.Bytes()...)
}

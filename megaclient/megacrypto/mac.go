package megacrypto

import (
	"crypto/subtle"
	"errors"
	"fmt"
)

// ErrMAC means that a file's content isn't what its key says, in none of the known variants.
var ErrMAC = errors.New("content does not match the file's MAC")

// ChunkMAC authenticates one chunk's plaintext: CBC-MAC under the file's key, starting from N‖N
// (PROTOCOL 4.4).
type ChunkMAC [16]byte

// ChunkMAC computes the MAC of one whole chunk.
func (c *Cipher) ChunkMAC(plain []byte) ChunkMAC {
	x := scratch.Get().(*[16]byte)
	defer scratch.Put(x)
	*x = c.start()
	c.fold(x, plain)
	return *x
}

// MetaMAC folds the MACs of a file's chunks, in order, into the 8 bytes that its key carries. Without
// chunks it is zero.
func (c *Cipher) MetaMAC(macs []ChunkMAC) [8]byte {
	var y [16]byte
	c.foldMACs(&y, macs)
	return condense(y)
}

func (c *Cipher) foldMACs(y *[16]byte, macs []ChunkMAC) {
	for i := range macs {
		c.fold(y, macs[i][:])
	}
}

func condense(y [16]byte) (m [8]byte) {
	subtle.XORBytes(m[:4], y[0:4], y[4:8])
	subtle.XORBytes(m[4:], y[8:12], y[12:16])
	return m
}

// MACVariant tells in which form a file's MAC fits its content. Other clients have written wrong
// MACs for right content, so a plain mismatch is no proof of damage.
type MACVariant int

const (
	MACExact     MACVariant = iota // as it should be
	MACEmpty                       // an empty file: clients disagree, nothing is compared
	MACExtraEnd                    // megajs: the padded size ends on a chunk border, one MAC of N‖N too many
	MACLateGaps                    // old MEGA SDK: MACs of some of the last chunks were left out
	MACUnmatched MACVariant = -1   // none: what comes along with ErrMAC
)

// String names the variant.
func (v MACVariant) String() string {
	switch v {
	case MACExact:
		return "exact"
	case MACEmpty:
		return "empty file"
	case MACExtraEnd:
		return "extra chunk"
	case MACLateGaps:
		return "late chunks missing"
	case MACUnmatched:
		return "unmatched"
	}
	return fmt.Sprintf("MACVariant(%d)", int(v))
}

// CheckMAC tells whether the MACs of all chunks of a file of this size give the meta-MAC want, exactly
// or in a known variant (PROTOCOL 4.4). The error is ErrMAC, also when the number of MACs isn't that
// of the file's chunks. Only a mismatch is slow: up to a second.
func (c *Cipher) CheckMAC(size int64, macs []ChunkMAC, want [8]byte) (MACVariant, error) {
	if len(macs) != ChunkCount(size) {
		return MACUnmatched, fmt.Errorf("%d chunk MACs for %d chunks: %w", len(macs), ChunkCount(size), ErrMAC)
	}
	switch {
	case size == 0:
		return MACEmpty, nil
	case c.MetaMAC(macs) == want:
		return MACExact, nil
	case endsOnBorder(size) && c.extraEnd(macs) == want:
		return MACExtraEnd, nil
	case c.oneLateGap(macs, want) || c.twoLateGaps(macs, want):
		return MACLateGaps, nil
	}
	return MACUnmatched, ErrMAC
}

// endsOnBorder tells whether size, rounded up to whole blocks, is where a chunk ends.
func endsOnBorder(size int64) bool {
	padded := (size + 15) &^ 15
	return padded > 0 && chunkStart(ChunkIndex(padded)) == padded
}

// extraEnd is the MAC that megajs gives such a file: it opens one chunk more and closes it empty.
func (c *Cipher) extraEnd(macs []ChunkMAC) [8]byte {
	var y [16]byte
	c.foldMACs(&y, macs)
	extra := c.start()
	c.fold(&y, extra[:])
	return condense(y)
}

// Limits of the search for left out MACs, the SDK's own.
const (
	oneGapWindow, oneGapLength = 96, 64
	twoGapWindow, twoGapLength = 40, 16
)

// oneLateGap tries leaving out one run of MACs among the last. It never leaves out all of them: a MAC
// of nothing would fit every content.
func (c *Cipher) oneLateGap(macs []ChunkMAC, want [8]byte) bool {
	n := len(macs)
	var y [16]byte // the state before macs[start]
	first := max(0, n-oneGapWindow)
	c.foldMACs(&y, macs[:first])
	for start := first; start < n; start++ {
		for end := start + 1; end <= min(n, start+oneGapLength); end++ {
			if start == 0 && end == n {
				continue
			}
			z := y
			c.foldMACs(&z, macs[end:])
			if condense(z) == want {
				return true
			}
		}
		c.fold(&y, macs[start][:])
	}
	return false
}

// twoLateGaps tries leaving out two separate runs among the last MACs.
func (c *Cipher) twoLateGaps(macs []ChunkMAC, want [8]byte) bool {
	n := len(macs)
	var y [16]byte
	first := max(0, n-twoGapWindow)
	c.foldMACs(&y, macs[:first])
	for start := first; start < n; start++ {
		for end := start + 1; end <= min(n, start+twoGapLength); end++ {
			if c.secondGap(y, macs[end:], want) {
				return true
			}
		}
		c.fold(&y, macs[start][:])
	}
	return false
}

// secondGap continues from state y, just behind a first gap, and tries a second one, at least one MAC
// further on.
func (c *Cipher) secondGap(y [16]byte, macs []ChunkMAC, want [8]byte) bool {
	for start := 1; start < len(macs); start++ {
		c.fold(&y, macs[start-1][:])
		for end := start + 1; end <= min(len(macs), start+twoGapLength); end++ {
			z := y
			c.foldMACs(&z, macs[end:])
			if condense(z) == want {
				return true
			}
		}
	}
	return false
}

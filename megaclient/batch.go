package megaclient

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync"

	"megadisk/megaclient/megacrypto"

	"golang.org/x/sys/unix"
)

// run names this run of the process: a batch of another one is never sent.
var run = megacrypto.EncodeBase64(randomBytes(9))

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// bootID gives the kernel's name for this boot, "" where there is none.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})

// now reads the clock that also counts while the machine sleeps.
func now() Moment {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		// Linux has had this clock since 2.6.39; without it nothing may be sent twice.
		panic(fmt.Sprintf("CLOCK_BOOTTIME: %v", err))
	}
	return Moment{Boot: bootID(), Nanos: t.Nano()}
}

// newTag draws a tag that marks the events of one operation as ours.
func newTag() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	tag := make([]byte, 10)
	for i := range tag {
		tag[i] = letters[mathrand.IntN(len(letters))]
	}
	return string(tag)
}

// Prepare makes the request that will carry out the operations, in their order. It draws the request
// id and a tag for each operation, and sends nothing: what it returns is to be stored first.
func (c *Client) Prepare(ops ...Op) (*Batch, error) {
	if len(ops) == 0 {
		return nil, errors.New("a batch without operations")
	}
	b := &Batch{ID: c.lanes[laneCommand].nextID(), Run: run}
	cmds := make([]any, len(ops))
	for i, op := range ops {
		tag := newTag()
		cmd, err := op.encode(c, tag)
		if err != nil {
			return nil, fmt.Errorf("operation %d of a batch: %w", i, err)
		}
		cmds[i] = cmd
		b.Tags = append(b.Tags, tag)
	}
	body, _, err := marshalCommands(cmds...)
	if err != nil {
		return nil, err
	}
	b.Body = body
	return b, nil
}

// cryptoResponse is the cr of a command (PROTOCOL 7.6): keys of nodes, each encrypted for each share.
type cryptoResponse struct {
	shares []Handle
	keks   []megacrypto.Key // of each share
	nodes  []Handle         // empty in p, where the index into n says which
	keys   [][]byte         // plain, of each node
}

// newCR gives the cr for the shares whose key is known; nil if there is none.
func (c *Client) newCR(shares []Handle, nodes []Handle, keys [][]byte) *cryptoResponse {
	cr := &cryptoResponse{nodes: nodes, keys: keys}
	for _, s := range shares {
		if kek, known := c.givingKey(s); known {
			cr.shares, cr.keks = append(cr.shares, s), append(cr.keks, kek)
		}
	}
	if len(cr.shares) == 0 || len(keys) == 0 {
		return nil
	}
	return cr
}

// MarshalJSON encrypts the keys.
func (r *cryptoResponse) MarshalJSON() ([]byte, error) {
	triples := make([]any, 0, 3*len(r.shares)*len(r.keys))
	for s, kek := range r.keks {
		for n, key := range r.keys {
			sealed, err := megacrypto.EncryptKey(kek, key)
			if err != nil {
				return nil, fmt.Errorf("encrypting a key for a share: %w", err)
			}
			triples = append(triples, s, n, megacrypto.EncodeBase64(sealed))
		}
	}
	nodes := r.nodes
	if nodes == nil {
		nodes = []Handle{}
	}
	return json.Marshal([]any{r.shares, nodes, triples})
}

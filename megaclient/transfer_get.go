package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"

	"megadisk/megaclient/megacrypto"
)

// ErrNoFileKey says that a node is no file, or one whose key isn't known.
var ErrNoFileKey = errors.New("not a file whose key is known")

// getPiece is how much Get fetches over one connection; getAhead how many such pieces it holds.
const (
	getPiece = 2 << 20
	getAhead = 6
)

// Get writes the whole plaintext of a file to w, fetched over several connections, and verifies it as
// the last step: an error that is megacrypto.ErrMAC says that what w got is wrong, though it is
// complete. Other errors are those of ReadContent and of w.
func (c *Client) Get(ctx context.Context, n *Node, w io.Writer) error {
	key, ok := n.FileKey()
	if !ok {
		return ErrNoFileKey
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := &getting{c: c, node: n, cipher: megacrypto.NewCipher(key), w: w}
	g.mac = g.cipher.NewMAC()
	var queue []chan fetched
	next := int64(0)
	for next < n.Size || len(queue) > 0 {
		for next < n.Size && len(queue) < getAhead {
			end := min(next+getPiece, n.Size)
			queue = append(queue, g.fetch(ctx, next, end))
			next = end
		}
		f := <-queue[0]
		queue = queue[1:]
		err := f.err
		if err == nil {
			err = g.pass(f)
		}
		if err != nil {
			cancel()
			for _, rest := range queue {
				<-rest
			}
			return err
		}
	}
	if _, err := g.cipher.CheckMAC(n.Size, g.macs, key.MAC); err != nil {
		return fmt.Errorf("verifying a file: %w", err)
	}
	return nil
}

// getting is one Get under way.
type getting struct {
	c      *Client
	node   *Node
	cipher *megacrypto.Cipher
	w      io.Writer

	macs []megacrypto.ChunkMAC // of whole chunks so far
	mac  *megacrypto.MACWriter // of the chunk that pos is in
}

// fetched is a piece of ciphertext.
type fetched struct {
	off  int64
	data []byte
	err  error
}

func (g *getting) fetch(ctx context.Context, from, to int64) chan fetched {
	result := make(chan fetched, 1)
	go func() {
		into := &appender{data: make([]byte, 0, to-from)}
		err := g.c.ReadContent(ctx, g.node.Handle, from, to-from, into)
		result <- fetched{off: from, data: into.data, err: err}
	}()
	return result
}

type appender struct{ data []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.data = append(a.data, p...)
	return len(p), nil
}

// pass decrypts a piece, takes it into the MACs, and writes it.
func (g *getting) pass(f fetched) error {
	g.cipher.XORKeyStreamAt(f.data, f.data, f.off)
	for pos, rest := f.off, f.data; len(rest) > 0; {
		_, end := megacrypto.ChunkBounds(megacrypto.ChunkIndex(pos), g.node.Size)
		n := min(end-pos, int64(len(rest)))
		_, _ = g.mac.Write(rest[:n])
		pos, rest = pos+n, rest[n:]
		if pos == end {
			g.macs = append(g.macs, g.mac.Sum())
			g.mac.Reset()
		}
	}
	if _, err := g.w.Write(f.data); err != nil {
		return fmt.Errorf("passing on what was read: %w", err)
	}
	return nil
}

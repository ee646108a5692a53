package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"megadisk/megaclient/megacrypto"
)

// ErrNoFileKey says that a node is no file, or one whose key isn't known.
var ErrNoFileKey = errors.New("not a file whose key is known")

// Get fetches a file in pieces of whole chunks over one connection each: as many as getAhead are on
// their way or wait for their turn to be written, and a file isn't cut below getLeast.
const (
	getLeast = 2 << 20
	getAhead = 6
)

// Get writes the whole plaintext of a file to w, fetched over several connections, and verifies it as
// the last step: an error that is megacrypto.ErrMAC says that what w got is wrong, though it is
// complete. Called again it asks other servers; of a file that is spread over six, one may be wrong for ever,
// and the sixth call at the latest does without it. Other errors are those of ReadContent and of w. It holds up to
// 24 MiB meanwhile.
func (c *Client) Get(ctx context.Context, n *Node, w io.Writer) error {
	key, ok := n.FileKey()
	if !ok {
		return ErrNoFileKey
	}
	g := &getting{
		c: c, node: n, cipher: megacrypto.NewCipher(key), w: w,
		most: min(maxPiece, max(n.Size/getAhead, getLeast)),
	}
	if err := g.run(ctx); err != nil {
		return err
	}
	if _, err := g.cipher.CheckMAC(n.Size, g.macs, key.MAC); err != nil {
		c.RenewURL(ctx, n.Handle, time.Now())
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
	most   int64 // bytes of a piece

	macs []megacrypto.ChunkMAC // of the pieces that were written
}

// run fetches the pieces side by side and writes them in their order.
func (g *getting) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var queue []chan fetched
	defer func() {
		cancel()
		for _, rest := range queue {
			f := <-rest
			pieceBuffers.Put(f.buf)
		}
	}()
	next := g.pieceFrom(0)
	for next.start < g.node.Size || len(queue) > 0 {
		for next.start < g.node.Size && len(queue) < getAhead {
			queue = append(queue, g.fetch(ctx, next))
			next = g.pieceFrom(next.last + 1)
		}
		f := <-queue[0]
		queue = queue[1:]
		err := g.pass(f)
		pieceBuffers.Put(f.buf)
		if err != nil {
			return err
		}
	}
	return nil
}

// pieceFrom gives the piece that begins with a chunk.
func (g *getting) pieceFrom(first int) piece {
	start, end := megacrypto.ChunkBounds(first, g.node.Size)
	p := piece{first: first, last: first, start: start, end: end}
	for p.end < g.node.Size {
		_, end := megacrypto.ChunkBounds(p.last+1, g.node.Size)
		if end-start > g.most {
			break
		}
		p.last, p.end = p.last+1, end
	}
	return p
}

// fetched is a piece of plaintext.
type fetched struct {
	buf   *[]byte // lent by pieceBuffers
	plain []byte  // in it
	macs  []megacrypto.ChunkMAC
	err   error
}

// fetch brings in a piece, decrypts it and computes its MACs, all pieces on all cores.
func (g *getting) fetch(ctx context.Context, p piece) chan fetched {
	result := make(chan fetched, 1)
	go func() {
		f := fetched{buf: pieceBuffers.Get().(*[]byte)}
		into := &appender{data: (*f.buf)[:0]}
		f.err = g.c.ReadContent(ctx, g.node.Handle, p.start, p.end-p.start, into)
		if f.err == nil {
			f.plain = into.data
			g.cipher.XORKeyStreamAt(f.plain, f.plain, p.start)
			f.macs = g.cipher.ChunkMACs(nil, p.chunks(f.plain, g.node.Size))
		}
		result <- f
	}()
	return result
}

type appender struct{ data []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.data = append(a.data, p...)
	return len(p), nil
}

// pass writes a piece.
func (g *getting) pass(f fetched) error {
	if f.err != nil {
		return f.err
	}
	if _, err := g.w.Write(f.plain); err != nil {
		return fmt.Errorf("passing on what was read: %w", err)
	}
	g.macs = append(g.macs, f.macs...)
	return nil
}

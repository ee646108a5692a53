package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"megadisk/megaclient/megacrypto"
)

// pieceBuffers lends the memory of pieces under way: as many as there are connections.
var pieceBuffers = sync.Pool{New: func() any { b := make([]byte, maxPiece); return &b }}

// Upload encrypts src, of st.Size bytes, under st.Key and stores it. On success st.Token and
// st.Key.MAC are what the node to be made needs (PutNodes). The target's owner pays; "" is the
// account itself.
//
// st may come from an earlier call that was cut short, or from a store: what has arrived isn't sent
// again. src must be the very same content then, and must not change meanwhile, because the key of
// one content must never encrypt another (ErrContentChanged, as far as it can be noticed). On an
// error st holds what is worth keeping. Pieces are sent in parallel, those that fail are repeated,
// and an upload that the server lost is begun anew.
func (c *Client) Upload(ctx context.Context, target Handle, st *UploadState, src io.ReaderAt, hooks UploadHooks) error {
	if err := st.check(); err != nil {
		return err
	}
	ctx, done := c.bind(ctx)
	defer done()
	u := &uploading{
		c: c, target: target, st: st, src: src, hooks: hooks, cipher: megacrypto.NewCipher(st.Key),
		known: newKnownMACs(st), waits: c.transfers.timing.waits(), saved: st.done(),
	}
	if err := u.run(ctx); err != nil {
		return fmt.Errorf("uploading %d bytes: %w", st.Size, errors.Join(err, u.saveRest()))
	}
	return nil
}

// uploading is one Upload under way. Only its own goroutine touches the state; those that send
// pieces read st.URL and st.Size, which don't change while they run.
type uploading struct {
	// Dependencies and constant data.
	c      *Client
	target Handle
	src    io.ReaderAt
	hooks  UploadHooks
	cipher *megacrypto.Cipher
	hookMu sync.Mutex // held while a hook runs

	// Mutable state.
	st    *UploadState
	known *knownMACs
	waits *waits
	saved int64 // bytes that had arrived when the state was last saved
}

// maxStartOver is how often an upload is begun anew before it fails (PROTOCOL 5.3).
const maxStartOver = 16

func (u *uploading) run(ctx context.Context) error {
	for lost := 0; u.st.Token == ""; {
		if err := u.open(ctx); err != nil {
			return err
		}
		err := u.sendAll(ctx)
		if err == nil && u.st.Token == "" {
			err = fmt.Errorf("%w: all was taken, but no token came", errStartOver)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, errStartOver) || ctx.Err() != nil {
			return err
		}
		if lost++; lost > maxStartOver {
			return err
		}
		u.c.log.WithError(err).Info("upload lost by the server, starting over")
		u.st.forget()
		u.saved = 0
		u.progress()
		if err := u.waits.again(ctx, err, 0); err != nil {
			return err
		}
	}
	return u.finish()
}

// finish computes the meta-MAC from all chunks, also those whose piece was still under way when the
// token came, or had arrived before.
func (u *uploading) finish() error {
	count := megacrypto.ChunkCount(u.st.Size)
	macs := make([]megacrypto.ChunkMAC, count)
	for i := range macs {
		mac, known := u.known.get(i)
		if !known {
			start, end := megacrypto.ChunkBounds(i, u.st.Size)
			plain := make([]byte, end-start)
			if err := readFullAt(u.src, plain, start); err != nil {
				return fmt.Errorf("reading the content to upload: %w", err)
			}
			mac = u.cipher.ChunkMAC(plain)
		}
		macs[i] = mac
	}
	u.st.Key.MAC = u.cipher.MetaMAC(macs)
	u.st.Chunks = u.st.Chunks[:0]
	for i, mac := range macs {
		u.st.Chunks = append(u.st.Chunks, UploadedChunk{Index: i, MAC: mac})
	}
	u.progress()
	return u.save()
}

// sendAll sends the pieces that are missing, as many at a time as the connections allow.
func (u *uploading) sendAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	pieces := u.st.cutPieces(u.c.transfers.up.width())
	results := make(chan pieceResult) // all are received, or ctx ends
	under := map[int]int64{}          // pieces under way: first chunk and start
	for len(pieces) > 0 || len(under) > 0 {
		if len(pieces) > 0 && pieces[0].start-lowest(under, pieces[0].start) <= maxGap {
			r, err := u.start(ctx, &group, pieces[0], results)
			if err != nil {
				return err
			}
			if r == nil {
				under[pieces[0].first] = pieces[0].start
				pieces = pieces[1:]
				continue
			}
			delete(under, r.piece.first)
			if done, err := u.take(*r); done || err != nil {
				return err
			}
			continue
		}
		r := <-results
		delete(under, r.piece.first)
		if done, err := u.take(r); done || err != nil {
			return err
		}
	}
	return nil
}

// lowest gives the start of the first piece under way.
func lowest(under map[int]int64, otherwise int64) int64 {
	for _, start := range under {
		otherwise = min(otherwise, start)
	}
	return otherwise
}

// start sends a piece as soon as there is a connection. If another piece's result comes before, that
// is returned and nothing was started.
func (u *uploading) start(ctx context.Context, group *sync.WaitGroup, p piece, results chan pieceResult) (*pieceResult, error) {
	wait, stop := context.WithCancel(ctx)
	defer stop()
	entered := make(chan error, 1)
	go func() { entered <- u.c.transfers.up.enter(wait) }()
	select {
	case err := <-entered:
		if err != nil {
			return nil, err
		}
	case r := <-results:
		stop()
		if err := <-entered; err == nil {
			u.c.transfers.up.leave()
		}
		return &r, nil
	}
	group.Go(func() {
		r := u.send(ctx, p)
		u.c.transfers.up.leave()
		select {
		case results <- r:
		case <-ctx.Done():
		}
	})
	return nil, nil
}

// take takes a piece's result into the state; done says that the upload is complete.
func (u *uploading) take(r pieceResult) (done bool, err error) {
	if r.err != nil {
		return false, r.err
	}
	u.waits.progress()
	for i, mac := range r.macs {
		u.st.Chunks = appendChunk(u.st.Chunks, UploadedChunk{Index: r.piece.first + i, MAC: mac})
	}
	if r.token != "" {
		u.st.Token = r.token
		return true, nil
	}
	u.progress()
	if u.st.done()-u.saved >= maxPiece {
		return false, u.save()
	}
	return false, nil
}

// appendChunk adds a chunk unless it is there: the last one may be sent again to get the token.
func appendChunk(chunks []UploadedChunk, add UploadedChunk) []UploadedChunk {
	for _, c := range chunks {
		if c.Index == add.Index {
			return chunks
		}
	}
	return append(chunks, add)
}

func (u *uploading) progress() {
	if u.hooks.Progress != nil {
		u.hookMu.Lock()
		defer u.hookMu.Unlock()
		u.hooks.Progress(u.st.done())
	}
}

func (u *uploading) save() error {
	u.saved = u.st.done()
	if u.hooks.Save == nil {
		return nil
	}
	u.hookMu.Lock()
	defer u.hookMu.Unlock()
	if err := u.hooks.Save(u.st); err != nil {
		return fmt.Errorf("saving the state of an upload: %w", err)
	}
	return nil
}

// saveRest saves what has arrived since the last time, when the upload ends early.
func (u *uploading) saveRest() error {
	if u.st.done() == u.saved {
		return nil
	}
	return u.save()
}

// knownMACs has the MACs of chunks that were encrypted under the key, now or in an earlier run.
type knownMACs struct {
	mu   sync.Mutex
	macs map[int]megacrypto.ChunkMAC // GUARDED_BY(mu)
}

func newKnownMACs(st *UploadState) *knownMACs {
	k := &knownMACs{macs: make(map[int]megacrypto.ChunkMAC, len(st.Chunks))}
	for _, c := range st.Chunks {
		k.macs[c.Index] = c.MAC
	}
	return k
}

// add tells whether the chunk is new or the same as before.
func (k *knownMACs) add(i int, mac megacrypto.ChunkMAC) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, known := k.macs[i]
	k.macs[i] = mac
	return !known || old == mac
}

func (k *knownMACs) get(i int) (megacrypto.ChunkMAC, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	mac, known := k.macs[i]
	return mac, known
}

var _ = time.Second

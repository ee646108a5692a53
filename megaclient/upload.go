package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

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
		known: newKnownMACs(st), waits: c.transfers.timing.waits(),
	}
	u.recount()
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
	st      *UploadState
	known   *knownMACs
	waits   *waits
	have    map[int]bool // chunks in st.Chunks
	done    int64        // their bytes
	saved   int64        // those when the state was last saved
	doubted bool         // nothing has arrived since the server couldn't be reached though the API could
}

// recount looks at the state anew.
func (u *uploading) recount() {
	u.have, u.done = make(map[int]bool, len(u.st.Chunks)), 0
	for _, c := range u.st.Chunks {
		u.count(c.Index)
	}
	u.saved = u.done
}

func (u *uploading) count(i int) {
	start, end := megacrypto.ChunkBounds(i, u.st.Size)
	u.have[i] = true
	u.done += end - start
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
		if errors.Is(err, ErrUnreachable) && ctx.Err() == nil && u.onceMore(ctx) {
			continue
		}
		if !errors.Is(err, errStartOver) || ctx.Err() != nil {
			return err
		}
		if lost++; lost > maxStartOver {
			return err
		}
		u.c.log.WithError(err).Info("upload lost by the server, starting over")
		u.forget()
		u.progress()
		if err := u.waits.again(ctx, err, 0); err != nil {
			return err
		}
	}
	return u.finish()
}

// onceMore says whether a storage server that couldn't be reached for as long as was worth trying is to be tried again. Where
// the API can't be reached either it is the network, and what has arrived is kept. Else the server is tried once more, since the
// network may just be back, and then left with all that it has: its URL would be good for two days (PROTOCOL 5.3).
func (u *uploading) onceMore(ctx context.Context) bool {
	if _, err := u.c.askUploadURL(ctx, u.target, u.st.Size, u.waits); err != nil {
		return false
	}
	if !u.doubted {
		u.doubted = true
		return true
	}
	u.forget()
	u.progress()
	return false
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
	u.done = u.st.Size
	u.progress()
	return u.save()
}

// forget begins anew: nothing has arrived.
func (u *uploading) forget() {
	u.st.forget()
	u.recount()
}

// sendAll sends the pieces that are missing, as many at a time as the connections allow. What has
// arrived is in the state when it returns, whatever happened.
func (u *uploading) sendAll(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	pieces := u.st.cutPieces(u.c.transfers.up.width())
	f := &flight{u: u, results: make(chan pieceResult, len(pieces)), under: map[int]int64{}}
	defer func() {
		cancel()
		f.group.Wait()
		close(f.results)
		for r := range f.results {
			if r.err == nil {
				_, err2 := u.take(r)
				err = errors.Join(err, err2)
			}
		}
	}()
	for len(pieces) > 0 || len(f.under) > 0 {
		started := false
		if len(pieces) > 0 && f.near(pieces[0]) {
			if started, err = f.start(ctx, pieces[0]); err != nil {
				return err
			}
		}
		if started {
			pieces = pieces[1:]
			continue
		}
		r := <-f.results
		delete(f.under, r.piece.first)
		if done, err := u.take(r); done || err != nil {
			return err
		}
	}
	return nil
}

// flight is the pieces of an upload that are under way.
type flight struct {
	u       *uploading
	group   sync.WaitGroup
	results chan pieceResult // has room for all, so that none is lost
	under   map[int]int64    // first chunk and start of each
}

// near tells whether a piece isn't too far ahead of the first one under way.
func (f *flight) near(p piece) bool {
	for _, start := range f.under {
		if p.start-start > maxGap {
			return false
		}
	}
	return true
}

// start sends a piece as soon as there is a connection; false says that the result of another one
// came before.
func (f *flight) start(ctx context.Context, p piece) (bool, error) {
	gate := f.u.c.transfers.up
	turn, err := gate.queue(ctx, "")
	if err != nil {
		return false, err
	}
	select {
	case <-turn:
	case r := <-f.results:
		gate.withdraw(turn)
		f.results <- r // there is room: it was just taken out
		return false, nil
	case <-ctx.Done():
		gate.withdraw(turn)
		return false, context.Cause(ctx)
	}
	f.under[p.first] = p.start
	f.group.Go(func() {
		defer gate.leave()
		f.results <- f.u.send(ctx, p)
	})
	return true, nil
}

// take takes a piece's result into the state; done says that the upload is complete.
func (u *uploading) take(r pieceResult) (done bool, err error) {
	if r.err != nil {
		return false, r.err
	}
	u.waits.progress()
	u.doubted = false
	for i, mac := range r.macs {
		if n := r.piece.first + i; !u.have[n] { // the last one may have been sent again for its token
			u.st.Chunks = append(u.st.Chunks, UploadedChunk{Index: n, MAC: mac})
			u.count(n)
		}
	}
	if r.token != "" {
		u.st.Token = r.token
		return true, nil
	}
	u.progress()
	// The states of large files are large: they are saved after a share of the file.
	if u.done-u.saved >= max(u.c.transfers.timing.saveEvery, u.st.Size/128) {
		return false, u.save()
	}
	return false, nil
}

func (u *uploading) progress() {
	if u.hooks.Progress != nil {
		u.hookMu.Lock()
		defer u.hookMu.Unlock()
		u.hooks.Progress(u.done)
	}
}

func (u *uploading) save() error {
	u.saved = u.done
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
	if u.done == u.saved {
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

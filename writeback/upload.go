package writeback

import (
	"context"
	"errors"
	"fmt"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

const (
	smallUpload    = 1 << 20 // bytes; what is larger has its own request for a URL
	uploadGroup    = 64      // small uploads that share a request for URLs
	smallPerWorker = 24      // small uploads prepared or running for each large one allowed
)

// startUploads runs workers for files, unless they have one. The small ones
// get their URLs in one request.
func (e *Engine) startUploads(ctx context.Context, tasks []task) {
	var group []*worker
	for _, t := range tasks {
		w := &worker{ino: t.ino, target: t.target, up: &upload{started: e.now(), large: t.size > smallUpload}}
		w.ctx, w.up.cancel = context.WithCancel(ctx)
		switch {
		case !e.queue.begin(t.ino, w.up):
			w.up.cancel()
			e.queue.mark(t.ino)
		case w.up.large:
			e.uploads.Go(func() { e.work(w) })
		default:
			group = append(group, w)
		}
	}
	if len(group) == 1 {
		e.uploads.Go(func() { e.work(group[0]) })
	} else if len(group) > 1 {
		e.uploads.Go(func() { e.workTogether(ctx, group) })
	}
}

// worker is the upload of one file.
type worker struct {
	ctx    context.Context
	ino    tree.Ino
	target megaclient.Handle
	up     *upload
}

// work uploads a file and books how it ended.
func (e *Engine) work(w *worker) {
	e.uploadEnded(w, e.uploadFile(w.ctx, w.ino, w.target, w.up))
}

// uploadEnded books how an upload ended.
func (e *Engine) uploadEnded(w *worker, err error) {
	if err != nil && !isCancel(w.ctx, err) && e.queue.runs(w.ino, w.up) { // else it was about content that isn't to go up any more
		e.uploadFailed(w.ino, err)
	}
	w.up.cancel()
	e.queue.end(w.ino, w.up)
}

// workTogether freezes some small files, asks for their URLs in one request,
// and uploads them.
func (e *Engine) workTogether(ctx context.Context, group []*worker) {
	var gens []*generation
	var wanted []megaclient.UploadRequest
	for _, w := range group {
		g, err := e.frozen(w.ctx, w.ino) // an error comes again, to whoever it concerns
		if err == nil && g != nil && g.State.URL == "" && g.State.Token == "" {
			gens = append(gens, g)
			wanted = append(wanted, megaclient.UploadRequest{Target: w.target, Size: g.State.Size})
		}
	}
	refused := map[tree.Ino]error{}
	if urls, err := e.client.UploadURLs(ctx, wanted); err == nil {
		for i, g := range gens {
			urls[i].Give(&g.State)
			if isFull(urls[i].Err) {
				refused[g.Ino] = urls[i].Err
			}
		}
	}
	for _, w := range group {
		if err := refused[w.ino]; err != nil { // there is no use in asking for each once more
			e.uploadEnded(w, err)
			continue
		}
		e.uploads.Go(func() { e.work(w) })
	}
}

// uploadFailed journals a refusal; content that is damaged is held back, and
// its key thrown away with the generation.
func (e *Engine) uploadFailed(ino tree.Ino, err error) {
	var corrupt *staging.CorruptError
	held := errors.As(err, &corrupt) || errors.Is(err, ErrHeldBack)
	switch {
	case errors.Is(err, tree.ErrStale):
		return // removed meanwhile
	case !held && (isNetwork(err) || classify(err) == errSession || classify(err) == errBlocked):
		e.uploadWaits(ino, err)
		return
	}
	spent := held || errors.Is(err, megaclient.ErrContentChanged) || errors.Is(err, megaclient.ErrUploadState)
	uerr := e.update(context.Background(), func(c *change) error {
		if held {
			err = fmt.Errorf("%w: %w", ErrHeldBack, err)
		}
		if spent {
			if derr := c.dropGeneration(ino); derr != nil {
				return derr
			}
		}
		return c.refuse(ino, err, held)
	})
	if uerr != nil {
		e.log.WithError(uerr).Warn("journaling a failed upload")
	}
}

// uploadWaits: nothing is wrong with the file; it is tried again when there
// may be a network.
func (e *Engine) uploadWaits(ino tree.Ino, err error) {
	e.trouble(err)
	e.queue.with(ino, func(d *dirtyInode) {
		d.entry.Retry = e.now().Add(e.times.RetryFirst).UnixNano()
	})
}

// uploadFile brings one file's content to the server; its node comes later.
func (e *Engine) uploadFile(ctx context.Context, ino tree.Ino, target megaclient.Handle, up *upload) error {
	if done, err := e.adoptSame(ctx, ino); done || err != nil {
		return err
	}
	g, err := e.frozen(ctx, ino)
	if g == nil || err != nil {
		return err
	}
	e.queue.with(ino, func(*dirtyInode) { up.total = g.State.Size })
	src := &generationReader{ctx: ctx, e: e, g: g}
	defer src.close()
	if g.State.Size >= resumeSize && !g.stored.Load() {
		if err := e.storeGeneration(ctx, g); err != nil {
			return err
		}
	}
	failpoint("upload-begin")
	// Of one that has its token the rest is done: it may have come to its end before the MAC of all was known.
	if err := e.client.Upload(ctx, target, &g.State, src, e.uploadHooks(ctx, g, up)); err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	fp, err := megacrypto.NewFingerprint(src, g.State.Size, 0)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	g.CRC = fp.CRC
	e.cache.Complete(g.cacheFile())
	if g.stored.Load() {
		if err := e.storeGeneration(ctx, g); err != nil {
			return err
		}
	}
	failpoint("upload-end")
	e.queue.with(ino, func(d *dirtyInode) {
		if d.gen == g {
			d.uploaded = true
		}
	})
	e.online()
	return nil
}

// frozen gives the file's generation, an old one that is still good or a new
// one.
func (e *Engine) frozen(ctx context.Context, ino tree.Ino) (*generation, error) {
	if g := e.queue.generation(ino); g != nil {
		if !g.restored {
			return g, nil
		}
		return g, e.verifyRestored(ctx, g)
	}
	st, err := e.pin(ino)
	if err != nil {
		return nil, err
	}
	defer e.unpin(st)
	return e.freeze(ctx, st)
}

// uploadHooks keep progress, and make the staged bytes the new version's
// cache, so that nothing just written is ever downloaded.
func (e *Engine) uploadHooks(ctx context.Context, g *generation, up *upload) megaclient.UploadHooks {
	return megaclient.UploadHooks{
		Save: func(*megaclient.UploadState) error {
			if !g.stored.Load() {
				return nil
			}
			// The last state is saved when the upload is told to stop.
			return e.update(context.WithoutCancel(ctx), func(c *change) error { return c.putGeneration(g) })
		},
		Sent: func(off int64, ciphertext []byte) {
			if err := e.cache.Store(g.cacheFile(), off, ciphertext); err != nil {
				e.log.WithError(err).Debug("keeping uploaded bytes in the cache")
			}
		},
		Progress: func(done int64) {
			e.queue.mu.Lock()
			up.done = done
			e.queue.mu.Unlock()
		},
	}
}

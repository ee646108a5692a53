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

// startUpload runs a worker for a file, unless it has one.
func (e *Engine) startUpload(ctx context.Context, ino tree.Ino, target megaclient.Handle) {
	ctx, cancel := context.WithCancel(ctx)
	up := &upload{cancel: cancel, started: e.now()}
	started := false
	e.queue.with(ino, func(d *dirtyInode) {
		if d.upload == nil {
			d.upload, started = up, true
		}
	})
	if !started {
		cancel()
		return
	}
	e.uploads.Add(1)
	go func() {
		defer e.uploads.Done()
		defer cancel()
		err := e.uploadFile(ctx, ino, target, up)
		e.finishUpload(ctx, ino, up, err)
	}()
}

// finishUpload books how an upload ended.
func (e *Engine) finishUpload(ctx context.Context, ino tree.Ino, up *upload, err error) {
	if err != nil && !isCancel(ctx, err) {
		e.uploadFailed(ino, err)
	}
	e.queue.mu.Lock()
	if d := e.queue.dirty[ino]; d != nil && d.upload == up {
		d.upload = nil
	}
	e.queue.changedLocked()
	e.queue.mu.Unlock()
	e.queue.kick()
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
	if classify(err) == errSession {
		e.queue.setPaused(true)
	}
	e.queue.with(ino, func(d *dirtyInode) {
		d.entry.Retry = e.now().Add(e.times.RetryFirst).UnixNano()
	})
}

// uploadFile brings one file's content to the server; its node comes later.
func (e *Engine) uploadFile(ctx context.Context, ino tree.Ino, target megaclient.Handle, up *upload) error {
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
	if g.State.Token == "" {
		err = e.client.Upload(ctx, target, &g.State, src, e.uploadHooks(ctx, g, up))
		if err != nil {
			return fmt.Errorf("uploading: %w", err)
		}
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
	e.status.online()
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

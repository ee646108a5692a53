package writeback

import (
	"context"
	"errors"
	"time"

	"megadisk/writeback/tree"
)

// commitLoop stores the extent maps of open files every few seconds.
func (e *Engine) commitLoop() {
	defer e.jobs.Done()
	tick := time.NewTicker(e.times.Commit)
	defer tick.Stop()
	for {
		select {
		case <-e.stop.Done():
			return
		case <-tick.C:
			e.keepReserve()
			if err := e.commitAll(e.stop); err != nil && !isCancel(e.stop, err) {
				e.log.WithError(err).Error("committing open files")
			}
		}
	}
}

// commitAll commits every file that has state.
func (e *Engine) commitAll(ctx context.Context) error {
	e.filesMu.Lock()
	all := make([]tree.Ino, 0, len(e.files))
	for ino := range e.files {
		all = append(all, ino)
	}
	e.filesMu.Unlock()
	var errs []error
	for _, ino := range all {
		errs = append(errs, e.commitOpen(ctx, ino))
	}
	return errors.Join(errs...)
}

// commitOpen commits one file if it has state.
func (e *Engine) commitOpen(ctx context.Context, ino tree.Ino) error {
	st := e.pinLoaded(ino)
	if st == nil {
		return nil
	}
	defer e.unpin(st)
	st.mu.Lock()
	defer st.mu.Unlock()
	return e.commitLocked(ctx, st)
}

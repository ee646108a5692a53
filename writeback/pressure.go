package writeback

import (
	"context"
	"time"
)

// The staging has a limit, and its disk a floor of free space (space.go). A
// write that finds no room waits while other, closed files are on their way to
// the cloud and so leave the staging. Where nothing is, waiting would help
// nobody: it fails at once.

// roomTick is how often a waiting write looks.
const roomTick = 20 * time.Millisecond

// roomFor waits until n more bytes of the file may be staged. Errors:
// ErrNoSpace, and that of ctx.
func (e *Engine) roomFor(ctx context.Context, st *fileState, n int64) error {
	err := e.stagingRoom(n)
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.opts.Timeout, ErrNoSpace)
	defer cancel()
	e.waiting.Add(1)
	defer e.waiting.Add(-1)
	tick := time.NewTicker(roomTick)
	defer tick.Stop()
	for err != nil && e.drains(st) {
		select {
		case <-tick.C:
			err = e.stagingRoom(n)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.stop.Done():
			return ErrClosed
		}
	}
	return err
}

// stagingRoom tells whether n more bytes may be staged now.
func (e *Engine) stagingRoom(n int64) error {
	if err := e.room(); err != nil {
		return err
	}
	if e.opts.StagingSize > 0 && e.staging.Usage().Live+n > e.opts.StagingSize {
		return ErrNoSpace
	}
	return nil
}

// drains tells whether content of other, closed files is on its way out of the
// staging.
func (e *Engine) drains(st *fileState) bool {
	if e.client.Connection().Err != nil || e.queue.whyHalted() != nil {
		return false
	}
	for _, ino := range e.queue.leaving(st.ino) {
		if writers, _, _, _ := e.writing(ino); writers == 0 {
			return true
		}
	}
	return false
}

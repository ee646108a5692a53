package writeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// task is what the planner wants done for one inode.
type task struct {
	ino    tree.Ino
	step   step
	target megaclient.Handle // the folder that it belongs to
	over   tree.Ino          // of a file: the removed one that it replaces
	// Where the inode was when this was decided; elsewhere it is decided anew.
	parent tree.Ino
	name   string
}

const (
	planAgain = 10 * time.Second      // the planner looks at least so often while something is dirty
	planPause = 2 * time.Millisecond  // and at most so often
	idlePause = 20 * time.Millisecond // the sender's rest when there was nothing to send after all
)

// planLoop is the planner: it looks at the dirty set whenever something may
// have become due, starts uploads, and hands commands to the sender.
func (e *Engine) planLoop(ctx context.Context, send chan<- []task) {
	for ctx.Err() == nil {
		begin := time.Now()
		next := e.planOnce(ctx, send)
		// A cycle looks at everything that is dirty; a flood of small changes
		// must not make that all that is done.
		pause := max(planPause, 3*time.Since(begin))
		if !sleep(ctx, pause) {
			return
		}
		wait := time.Until(next)
		if next.IsZero() || wait > planAgain {
			wait = planAgain
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
		case <-e.queue.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// sleep waits; false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// planOnce takes one look and gives the time of the next that is needed, the
// zero time if only a change makes one.
func (e *Engine) planOnce(ctx context.Context, send chan<- []task) (next time.Time) {
	all := e.queue.snapshot()
	e.queue.forgetDeleted(e.now().Add(-2 * e.times.DeleteMax))
	if len(all) == 0 || e.queue.isPaused() || !e.tree.Fetched() {
		return time.Time{}
	}
	var tasks []task
	err := e.tree.View(func(tx *tree.Tx) error {
		s, err := e.lookAround(tx, all)
		if err != nil {
			return err
		}
		tasks, next = s.decide()
		return nil
	})
	if err != nil {
		e.log.WithError(err).Error("planning")
		return e.now().Add(e.times.RetryFirst)
	}
	var commands []task
	slots := e.opts.Workers - e.queue.uploads()
	for _, t := range tasks {
		switch {
		case t.step != stepUpload:
			commands = append(commands, t)
		case slots > 0:
			slots--
			e.startUpload(ctx, t.ino, t.target)
		}
	}
	if len(commands) > 0 {
		select {
		case send <- commands[:min(len(commands), 2*e.opts.BatchMax)]:
		default: // the sender is busy, and wakes the planner when it no longer is
		}
	}
	return next
}

// decide plans each inode.
func (s *survey) decide() (tasks []task, next time.Time) {
	for i := range s.all {
		d := &s.all[i]
		row := s.rows[d.ino]
		if d.sending {
			continue
		}
		if row == nil {
			tasks = append(tasks, task{ino: d.ino, step: stepSettle})
			continue
		}
		f := s.facts(d, row)
		v := plan(f)
		if v.waits() && (next.IsZero() || v.until.Before(next)) {
			next = v.until
		}
		t := task{ino: d.ino, target: f.parent, parent: row.Parent, name: row.Name}
		for _, t.step = range v.steps {
			if t.step == stepFile && row.Cloud == nil {
				t.over, _ = s.replacedBy(row)
			}
			tasks = append(tasks, t)
		}
	}
	return tasks, next
}

func (q *queue) isPaused() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.paused
}

func (q *queue) setPaused(paused bool) {
	q.mu.Lock()
	q.paused = paused
	q.changedLocked()
	q.mu.Unlock()
	q.kick()
}

// sendLoop is the sender: one batch at a time. A batch that the last run left
// without an answer comes first.
func (e *Engine) sendLoop(ctx context.Context, work <-chan []task) {
	e.settleFlight(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case tasks := <-work:
			e.sendTasks(ctx, tasks)
			e.queue.kick()
		}
	}
}

// sendTasks makes one batch of tasks and sees it through.
func (e *Engine) sendTasks(ctx context.Context, tasks []task) {
	if !e.enterLane(ctx) {
		return
	}
	defer e.leaveLane()
	batch, err := e.buildBatch(ctx, tasks)
	if err != nil {
		e.log.WithError(err).Error("preparing commands")
		sleep(ctx, e.times.RetryFirst)
		return
	}
	if batch == nil {
		// The tasks were overtaken by changes; the planner decides anew.
		sleep(ctx, idlePause)
		return
	}
	// A power cut after the first byte must find the batch, or it would be done twice.
	if err := e.tree.Sync(); err != nil {
		e.batchFailed(ctx, fmt.Errorf("syncing the journal: %w", err))
		return
	}
	failpoint("before-send")
	sent := batch.Batch // Execute notes in it when it was sent; the row stays as it is
	results, err := e.client.Execute(ctx, &sent)
	failpoint("after-send")
	if err == nil {
		e.status.online()
		if err = e.acknowledge(ctx, results); err != nil && !errors.Is(err, megaclient.ErrUncertain) {
			// It was executed, whatever kept us from writing that down.
			err = fmt.Errorf("%w: %w", megaclient.ErrUncertain, err)
		}
	}
	if err != nil {
		e.batchFailed(ctx, err)
	}
}

// enterLane waits for the right to talk commands to the cloud; false: ctx ended.
func (e *Engine) enterLane(ctx context.Context) bool {
	select {
	case <-e.lane:
		return true
	case <-ctx.Done():
		return false
	}
}

func (e *Engine) leaveLane() { e.lane <- struct{}{} }

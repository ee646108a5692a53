package writeback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	size   int64 // of a file
}

const (
	planAgain   = 10 * time.Second       // the planner looks at least so often while something is dirty
	planPause   = 2 * time.Millisecond   // and at most so often
	idlePause   = 20 * time.Millisecond  // the sender's rest when there was nothing to send after all
	gatherPause = 200 * time.Millisecond // small files wait so long for others, to share a request
	planStuck   = 2000                   // of those that wait for others only, looked at each time
)

// planLoop is the planner: it looks at what may have changed or become due,
// starts uploads, and hands commands to the sender.
func (e *Engine) planLoop(ctx context.Context, send chan<- []task) {
	for ctx.Err() == nil {
		begin := time.Now()
		next := e.planOnce(ctx, send)
		// A flood of small changes must not make planning all that is done.
		if !sleep(ctx, max(planPause, time.Since(begin))) {
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
	if ok, next := e.queue.mayPlan(e.now()); !ok || !e.tree.Fetched() {
		return next
	}
	again, err := e.execute(ctx, e.now())
	if err != nil {
		e.log.WithError(err).Error("planning")
	}
	uploads, commands, next, err := e.takeWork()
	if err != nil {
		e.log.WithError(err).Error("planning")
		return e.now().Add(e.times.RetryFirst)
	}
	if next.IsZero() || (!again.IsZero() && again.Before(next)) {
		next = again
	}
	e.startUploads(ctx, uploads)
	if len(commands) > 0 {
		e.queue.setBusy(true)
		select {
		case send <- commands:
		case <-ctx.Done():
		}
	}
	return next
}

// takeWork looks, and gives what can begin now.
func (e *Engine) takeWork() (uploads, commands []task, next time.Time, err error) {
	p := &e.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	now := e.now()
	marks, clock := e.queue.takeMarks()
	if now.Sub(p.checked) >= planAgain {
		p.checked = now
		e.queue.forgetDeleted(now.Add(-2 * e.times.DeleteMax))
		for _, ino := range p.stuck(planStuck) {
			marks[ino] = struct{}{}
		}
	}
	tooMany := false
	err = e.tree.View(func(tx *tree.Tx) error {
		s := newSurvey(p, tx, now)
		s.clock = clock
		p.look(s, marks, now)
		until := p.standBack(s)
		if until.IsZero() {
			uploads = p.takeUploads(s)
		}
		commands, next = p.takeCommands(s, len(uploads) > 0)
		if next.IsZero() || !until.IsZero() && until.Before(next) {
			next = until
		}
		tooMany = removes(commands) && s.tooMany()
		return nil
	})
	if err == nil && tooMany {
		e.queue.mark(inosOf(commands)...)
		commands = nil
		err = e.brake(e.stop)
	}
	if err != nil {
		e.queue.mark(slices.Collect(maps.Keys(marks))...)
		e.queue.mark(inosOf(uploads)...)
		return nil, nil, next, err
	}
	if due := p.due.next(p.seen); next.IsZero() || (!due.IsZero() && due.Before(next)) {
		next = due
	}
	return uploads, commands, next, nil
}

// removes tells whether something is to go to the bin.
func removes(tasks []task) bool {
	return slices.ContainsFunc(tasks, func(t task) bool { return t.step == stepTrash })
}

// takeUploads gives the uploads that there is room for, the oldest first.
func (p *planner) takeUploads(s *survey) (all []task) {
	small, large := p.e.queue.uploads()
	room := p.e.opts.Workers*smallPerWorker - small
	// They go in groups, which share a request.
	if room >= uploadGroup || p.small.len() <= room {
		all = p.take(s, &p.small, min(room, uploadGroup), true)
	}
	return append(all, p.take(s, &p.large, p.e.opts.Workers-large, true)...)
}

// takeCommands gives the commands for one batch. A few new files wait a moment
// for others that are being uploaded.
func (p *planner) takeCommands(s *survey, starting bool) (list []task, next time.Time) {
	if p.e.queue.isBusy() || p.orders.len() == 0 {
		return nil, time.Time{}
	}
	small, _ := p.e.queue.uploads()
	if p.gather.IsZero() {
		p.gather = s.now.Add(gatherPause)
	}
	if p.orders.len() < p.e.opts.BatchMax/2 && (small > 0 || starting) && p.onlyFiles() && s.now.Before(p.gather) {
		return nil, p.gather
	}
	p.gather = time.Time{}
	return p.take(s, &p.orders, p.e.opts.BatchMax, false), time.Time{}
}

// take decides once more for the first that are ready.
func (p *planner) take(s *survey, from *readyList, most int, upload bool) (list []task) {
	for n := 0; n < most; {
		ino, ok := from.take(p.seen, upload)
		if !ok {
			break
		}
		if tasks := p.tasks(s, ino, upload); len(tasks) > 0 {
			n++
			list = append(list, tasks...)
		}
	}
	return list
}

// sendLoop is the sender: one batch at a time. A batch that the last run left
// without an answer comes first.
func (e *Engine) sendLoop(ctx context.Context, work <-chan []task) {
	e.settleFlight(ctx)
	for {
		e.queue.setBusy(false)
		select {
		case <-ctx.Done():
			return
		case <-e.status.resend:
			e.settleFlight(ctx) // a batch may be left from before
		case tasks := <-work:
			e.sendTasks(ctx, tasks)
			e.queue.mark(inosOf(tasks)...) // not all may have been in the batch
		}
	}
}

func inosOf(tasks []task) []tree.Ino {
	inos := make([]tree.Ino, len(tasks))
	for i, t := range tasks {
		inos[i] = t.ino
	}
	return inos
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
		if e.tree.Unsynced() != nil {
			e.unsynced()
		}
		e.batchFailed(ctx, fmt.Errorf("syncing the journal: %w", err))
		return
	}
	failpoint("before-send")
	sent := batch.Batch // Execute notes in it when it was sent; the row stays as it is
	results, err := e.client.Execute(ctx, &sent)
	failpoint("after-send")
	if err == nil {
		e.online()
		fetched := e.hearOfFolders(ctx)
		if err = e.acknowledge(ctx, results, fetched); err != nil && !errors.Is(err, megaclient.ErrUncertain) {
			// It was executed, whatever kept us from writing that down.
			err = fmt.Errorf("%w: %w", megaclient.ErrUncertain, err)
		}
	}
	if err != nil {
		e.batchFailed(ctx, err)
	}
}

// hearOfFolders waits, when a folder was moved to the bin, until all that came
// before that has been heard: what somebody has just put into it brings it
// back, and then what was removed below it is not to be forgotten. It doesn't
// wait for long for a stream that is in trouble. It tells whether a full fetch
// was made meanwhile.
func (e *Engine) hearOfFolders(ctx context.Context) (fetched bool) {
	f, items := e.currentFlight()
	if f == nil || !slices.ContainsFunc(items, e.binsFolder) {
		return false
	}
	before := e.stream.countFetches()
	ctx, cancel := context.WithTimeout(ctx, e.times.EchoGrace)
	defer cancel()
	e.leaveLane() // a full fetch may be what tells
	e.stream.waitCurrent(ctx, e.now())
	e.reenterLane()
	return e.stream.countFetches() != before
}

// binsFolder tells whether the item moves a folder to the bin, and its packet hasn't come.
func (e *Engine) binsFolder(it item) bool {
	if it.Kind != itemTrash || it.Echoed {
		return false
	}
	in, err := e.tree.Get(it.Ino)
	return err == nil && in.Kind == tree.Dir
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

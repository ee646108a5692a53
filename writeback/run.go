package writeback

import (
	"context"
	"errors"
	"sync"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// Run connects the state with the cloud until ctx ends or Close is called: it
// listens to events, fetches the tree when that is needed, and sends what is
// pending. Errors of the cloud don't end it; they are in Status. It may be
// called once.
func (e *Engine) Run(ctx context.Context) error {
	if !e.addJob() {
		return ErrClosed
	}
	defer e.jobs.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.stop, cancel)()
	unsubscribe := e.tree.Subscribe(e.treeChanged)
	defer unsubscribe()

	var parts sync.WaitGroup
	send := make(chan []task)
	parts.Go(func() { e.planLoop(ctx, send) })
	parts.Go(func() { e.sendLoop(ctx, send) })
	parts.Go(func() { e.incomingLoop(ctx) })
	parts.Go(func() { e.quotaLoop(ctx) })
	parts.Go(func() { e.versionsLoop(ctx) })
	parts.Go(func() { e.choreLoop(ctx, e.spendSoon, e.spendSome) })
	parts.Go(func() { e.choreLoop(ctx, e.keysSoon, e.giveKeys) })
	parts.Go(func() { e.debrisLoop(ctx) })
	e.eventLoop(ctx)
	parts.Wait()
	e.uploads.Wait()
	if e.stop.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// choreLoop does what is to be done beside the batches of changes: when it is asked to, and after a while as long as
// something is left.
func (e *Engine) choreLoop(ctx context.Context, soon <-chan struct{}, do func(context.Context) (left bool, err error)) {
	for {
		left, err := do(ctx)
		if err != nil && ctx.Err() == nil {
			e.trouble(err)
		}
		var again <-chan time.Time
		if left {
			again = time.After(e.times.RetryMax)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-soon:
		}
	}
}

// addJob makes Close wait for the caller's jobs.Done; false: it is closed.
func (e *Engine) addJob() bool {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	if e.closed {
		return false
	}
	e.jobs.Add(1)
	return true
}

// treeChanged follows what the cloud changed in the tree.
func (e *Engine) treeChanged(changes []tree.Change) {
	var pending, marks []tree.Ino
	for _, ch := range changes {
		if ch.Pending && ch.Ino != 0 {
			pending = append(pending, ch.Ino)
		}
		if ch.Lost != nil && ch.Origin == nil {
			e.keeper.lost(*ch.Lost)
		}
		if (ch.Pending || ch.Removed) && ch.Ino != 0 {
			marks = append(marks, ch.Ino)
		}
		if ch.Removed && ch.Origin == nil && ch.Ino != 0 {
			e.noteRemoved(ch.Ino)
		}
	}
	e.noteChanges(changes)
	if err := e.adoptPending(e.stop, pending); err != nil && e.stop.Err() == nil {
		e.log.WithError(err).Error("following the cloud's changes")
	}
	if len(marks) > 0 {
		e.queue.mark(marks...)
	}
}

// Ready waits until a tree has been fetched once.
func (e *Engine) Ready(ctx context.Context) error {
	for {
		if e.tree.Fetched() {
			return nil
		}
		e.stream.mu.Lock()
		changed := e.stream.changed
		e.stream.mu.Unlock()
		if e.tree.Fetched() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.stop.Done():
			return ErrClosed
		}
	}
}

// eventLoop keeps the tree up to date.
func (e *Engine) eventLoop(ctx context.Context) {
	wait := e.times.RetryFirst
	e.stream.fellBehind(e.now())
	for ctx.Err() == nil {
		err := e.follow(ctx)
		e.stream.fellBehind(e.now())
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, megaclient.ErrTooOld), errors.Is(err, errRefetch):
			e.stream.wantFetch()
			wait = e.times.RetryFirst
			continue
		case errors.Is(err, tree.ErrClosed):
			return
		}
		e.trouble(err)
		if classify(err) == errSession {
			select {
			case <-e.status.revived:
				wait = e.times.RetryFirst
				e.sessionLives()
				continue
			case <-ctx.Done():
				return
			}
		}
		if !e.stream.rest(ctx, wait) {
			return
		}
		wait = min(2*wait, e.times.RetryMax)
	}
}

// Revive goes on after the session had ended and the client has a new one.
func (e *Engine) Revive() {
	e.sessionLives()
	poke(e.status.revived)
	poke(e.status.resend)
	e.status.wantQuota()
	e.wantIncoming()
}

// sessionLives lets be sent again what a session that ended has held up.
func (e *Engine) sessionLives() { e.queue.unhalt(haltSession) }

// follow fetches the tree if need be and then applies events.
func (e *Engine) follow(ctx context.Context) error {
	if e.tree.SN() == "" || !e.tree.Fetched() || e.stream.fetchWanted() {
		err := e.fullFetch(ctx)
		if err == nil || isFatal(err) { // else it came from elsewhere
			e.tookIn(ctx, err)
		}
		if err != nil {
			return err
		}
	}
	return e.client.Listen(ctx, e.tree.SN(), e.stream.kick, func(a *megaclient.Answer) error {
		err := e.applyAnswer(ctx, a)
		e.tookIn(ctx, err)
		return err
	})
}

// errNotShown says that the state here doesn't take what the cloud says.
var errNotShown = errors.New("the database here can't take in what was changed elsewhere, so that it isn't shown: the log says why, and `megadisk export-pending DIR` saves what is pending")

// tookIn notes for Status whether the state here took what the cloud said, and logs it when it no longer does: the same is
// tried again and again.
func (e *Engine) tookIn(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, errRefetch) || errors.Is(err, tree.ErrClosed) {
		return // that isn't known
	}
	if was := e.stream.setRefused(err != nil); err != nil && !was {
		e.log.WithError(err).Error("what was changed elsewhere can't be taken in, and isn't shown; it is tried again")
	}
}

// trouble notes an error of the cloud for Status.
func (e *Engine) trouble(err error) {
	switch classify(err) {
	case errSession:
		e.sessionEnded()
	case errBlocked:
		e.blocked(err)
	}
	e.log.WithField("error", classifyName(err)).Debug("trouble with the cloud")
}

// classifyName says what sort of error it is, without the text, which may
// name things.
func classifyName(err error) string {
	return [...]string{"network", "session", "blocked", "refused"}[classify(err)]
}

// quotaLoop asks how full the account is: at the start, and after changes.
func (e *Engine) quotaLoop(ctx context.Context) {
	for {
		asked := time.Now()
		if q, err := e.client.Quota(ctx); err == nil {
			e.status.setQuota(q)
			e.roomAgain(e.status.free())
		} else if ctx.Err() == nil {
			e.trouble(err)
			if classify(err) == errNetwork {
				e.status.wantQuota()
			}
		}
		if !sleep(ctx, e.times.QuotaInterval-time.Since(asked)) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-e.status.askQuota:
		}
	}
}

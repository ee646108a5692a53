package serve

import (
	"context"
	"time"
)

// progress is what changes while uploads move.
type progress struct {
	changes     int
	bytes, sent int64
}

// Drain unmounts everything and uploads what is pending, until all is in the cloud or nothing has moved for a while.
// moves is called now and then as long as it does.
func (p *Process) Drain(patience time.Duration, moves func()) {
	for _, m := range p.listMounts() {
		p.mu.Lock()
		mounted := p.mounts[m.Mountpoint]
		p.mu.Unlock()
		if mounted != nil {
			_ = mounted.detach() // Close says what is wrong with it
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	flushed := make(chan error, 1)
	go func() { flushed <- p.engine.Flush(ctx, 0) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, since := p.progress(), time.Now()
	for {
		select {
		case err := <-flushed:
			if err != nil {
				p.o.Log.WithError(err).Warn("not everything could be uploaded; it stays here for the next mount")
			}
			return
		case <-tick.C:
			if now := p.progress(); now != last {
				last, since = now, time.Now()
				moves()
			}
			if time.Since(since) > patience {
				cancel()
			}
		}
	}
}

func (p *Process) progress() progress {
	e := p.engine.Status()
	now := progress{changes: e.PendingCount, bytes: e.PendingBytes}
	for _, u := range e.Uploads {
		now.sent += u.Done
	}
	return now
}

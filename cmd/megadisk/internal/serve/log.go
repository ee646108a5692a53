package serve

import (
	"context"
	"errors"
	"time"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/writeback"
)

const (
	logAtOnce   = 1000
	logPatience = 30 * time.Second // of who waits for news, before it is told that there are none
)

// Log tells what happened to files.
func (p *Process) Log(ctx context.Context, r control.LogRequest) ([]control.Happening, error) {
	after := r.After
	if last := p.engine.LastHappening(); r.Last > 0 {
		after = last - min(uint64(r.Last), last)
	}
	if r.Wait {
		if err := p.engine.AwaitHappening(ctx, after, logPatience); errors.Is(err, writeback.ErrClosed) {
			return nil, ErrEnding
		} else if err != nil {
			return nil, err
		}
	}
	list := []control.Happening{}
	all, err := p.engine.Happenings(after, logAtOnce)
	for _, h := range all {
		list = append(list, control.Happening{Number: h.Seq, Time: time.Unix(0, h.Time), What: h.What, Path: h.Path, More: h.More})
	}
	return list, err
}

// Conflicts tells of which files there were conflicts after a number, and the number to go on from; with 0, from now on.
func (p *Process) Conflicts(after uint64) (list []control.Happening, last uint64) {
	last = p.engine.LastHappening()
	if after == 0 || after == last {
		return nil, last
	}
	all, _ := p.Log(context.Background(), control.LogRequest{After: after}) // what can't be read is told by the log itself
	for _, h := range all {
		if last = h.Number; h.What == writeback.Conflicted {
			list = append(list, h)
		}
	}
	return list, last
}

package writeback

import (
	"errors"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// refuse journals why a change isn't in the cloud, and when it is tried again. held: its content is damaged.
func (c *change) refuse(ino tree.Ino, why error, held bool) error {
	ent, ok, err := c.entry(ino)
	if err != nil || !ok {
		return err
	}
	share, err := c.ShareAround(ino)
	if err != nil {
		return err
	}
	worded := explain(why, share != 0)
	ent.Attempts++
	if ent.Reason != worded.Error() && !isPassing(why) {
		if err := c.tellOf(ino, Refused, worded.Error()); err != nil {
			return err
		}
	}
	ent.Reason, ent.Code = worded.Error(), codeOf(why)
	ent.Held = ent.Held || held // that a rename is refused says nothing of damaged content
	ent.Retry = c.e.retryAt(ent)
	in, err := c.Get(ino)
	if err == nil && c.e.raise(&in, share, why, worded) {
		ent.Retry = 0 // the wall says when
	}
	c.after = append(c.after, func() {
		if isPassing(why) {
			return // it isn't over: who flushes waits
		}
		c.e.queue.with(ino, func(d *dirtyInode) {
			d.refusal = worded
			d.tried++
		})
	})
	return c.putEntry(ino, ent)
}

// codeOf gives MEGA's number of a refusal, 0 if it has none.
func codeOf(err error) int {
	var code megaclient.ErrorCode
	if errors.As(err, &code) {
		return int(code)
	}
	return 0
}

// retryAt is when a change that was refused is tried again, Unix ns.
func (e *Engine) retryAt(ent entry) int64 {
	wait := e.backoff(ent.Attempts)
	if isLasting(ent.Code) {
		wait = e.times.RetryWall
	}
	return e.now().Add(wait).UnixNano()
}

// backoff is the wait after the n-th refusal.
func (e *Engine) backoff(n int) time.Duration {
	wait := e.times.RetryFirst
	for i := 1; i < n && wait < e.times.RetryMax; i++ {
		wait *= 2
	}
	return min(wait, e.times.RetryMax)
}

// resetUpload forgets that the bytes of a generation are at the server.
func (c *change) resetUpload(ino tree.Ino) {
	c.after = append(c.after, func() {
		c.e.queue.with(ino, func(d *dirtyInode) {
			if d.gen != nil {
				st := &d.gen.State
				st.Token, st.URL, st.Chunks = "", "", nil
				d.uploaded = false
			}
		})
	})
}

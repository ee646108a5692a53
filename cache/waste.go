package cache

import "time"

// What is fetched and never asked for by a program is waste. It is held to a tenth of all that is
// fetched, beyond a small start: what is left of that budget limits how far streams look ahead, and how
// much of a folder's files is fetched before they are opened.
//
// INVARIANT: a unit, and a beginning, is unread (fetched ahead, may still be read), or counted in Stats.Wasted, or neither

const (
	wasteStart = 16 << 20 // bytes that may be wasted before anything was of use
	wasteShare = 10       // of what was of use, one in so many may be wasted
)

// budgetLocked is how many bytes more may turn out to be wasted. It is 0 while nothing may be fetched
// ahead at all.
func (c *Cache) budgetLocked() int64 {
	if c.metered || time.Now().Before(c.aheadFrom) {
		return 0
	}
	useful := c.stats.Fetched - c.stats.Wasted
	return max(0, wasteStart+useful/wasteShare-c.stats.Wasted)
}

// PauseAhead stops all fetching ahead of what programs ask for, until a moment: when the account's transfer
// quota is used up, or nearly.
func (c *Cache) PauseAhead(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until.After(c.aheadFrom) {
		c.aheadFrom = until
	}
}

// SetMetered says whether bytes cost money: then nothing is fetched that no program has asked for.
func (c *Cache) SetMetered(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.metered = on
}

// wasteLocked counts a unit that was fetched ahead and that nobody is going to read.
func (c *Cache) wasteLocked(u *unit) {
	if !u.unread {
		return
	}
	if u.ready {
		c.mem.unread--
	}
	u.unread, u.wasted = false, true
	c.stats.Wasted += int64(u.got)
}

// markReadLocked notes that a program has asked for a unit.
func (u *unit) markReadLocked() {
	c := u.co.c
	if u.unread && u.ready {
		c.mem.unread--
	}
	if u.wasted {
		c.stats.Wasted -= int64(u.got)
	}
	u.unread, u.wasted = false, false
}

// writeOffLocked counts as waste what was fetched ahead for the reader and is in the window of none of its
// streams. While others read the file, too, that is theirs to say.
func (r *Reader) writeOffLocked() {
	if r.co.readers > 1 {
		return
	}
	for _, u := range r.co.units {
		from := u.index * UnitSize
		if u.unread && u.ready && (r.closed || !r.streams.wants(from, from+int64(len(u.buf)))) {
			r.c.wasteLocked(u)
		}
	}
}

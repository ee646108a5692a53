package cache

// Verification says how far a file's bytes are known to be what its key says.
type Verification int

// What user.mega.verified shows.
const (
	Unverified Verification = iota // not seen whole: single chunks can't be told right from wrong
	Verified                       // the MACs of all chunks fit the key
	Accepted                       // they don't, and its owner reads it all the same
)

// String gives the word that users see.
func (v Verification) String() string {
	switch v {
	case Verified:
		return "yes"
	case Accepted:
		return "accepted"
	}
	return "no"
}

// State tells how much of a file is here, and whether it is right.
type State struct {
	Cached      int64 // bytes that can be read without the network
	Verified    Verification
	Quarantined bool // fetched again and still wrong: reads give ErrQuarantined
}

// Stats are figures for status, since Open unless said.
type Stats struct {
	MemoryUnits int // in use now, fetches under way included; each 128 KiB
	MemoryLimit int // units
	DiskUsed    int64
	DiskLimit   int64  // bytes; 0: none
	DiskOff     string // why there is no disk level; "" while there is one
	DiskPaused  bool   // nothing is stored now, for want of free space

	MemoryHits, DiskHits, Misses int64 // units that were asked for
	Fetched                      int64 // bytes from the network
	Wasted                       int64 // of them, bytes that left memory without having been read by anybody
	Corrupt                      int64 // units whose checksum on disk was wrong; they were fetched again
	Evicted                      int64 // bytes that left the disk for lack of room
	Mismatches                   int64 // times that a file's MAC did not fit
}

// Stats gives the figures of now.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	s := c.stats
	s.MemoryUnits, s.MemoryLimit = c.mem.used, c.mem.limit
	c.mu.Unlock()
	c.store.addStats(&s)
	return s
}

// State tells what is here of a file. It opens the file's index on disk, and reads no content.
func (c *Cache) State(f File) State {
	co := c.hold(f)
	defer c.release(co)
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{Quarantined: co.quarantined}
	s.Cached = co.entry.bytes()
	for u, m := range co.units {
		if m.ready && !co.entry.has(u) {
			s.Cached += int64(len(m.buf))
		}
	}
	if co.size == 0 || co.verified && !co.fresh.any() {
		s.Verified = Verified
	}
	if co.accepted {
		s.Verified = Accepted
	}
	return s
}

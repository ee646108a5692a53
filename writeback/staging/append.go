package staging

import (
	"fmt"
	"math"
	"time"
)

// batchBytes is the plaintext that goes to the disk in one write.
const batchBytes = 1 << 20

// Append stores p, the bytes of o's file from off on, and says where: in
// order, in records of at most MaxRecord, none across a region's border. When
// it returns, readers see the bytes and the death of the process can't take
// them; for power loss there is Sync. The extents come retained: the caller
// owns one reference to each and gives it back with Release (usually when a
// Map drops them).
//
// After an error nothing is referenced and no bytes are visible. Errors:
// ErrRange, ErrOwner, ErrClosed, and what the disk says (syscall.ENOSPC by
// errors.Is).
func (s *Store) Append(o Owner, off int64, p []byte) ([]Extent, error) {
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return nil, ErrRange
	}
	o, err := o.fit()
	if err != nil {
		return nil, err
	}
	var es []Extent
	for len(p) > 0 {
		n := min(int64(len(p)), batchBytes-off%MaxRecord) // the next batch begins with a whole record
		batch, err := s.appendBatch(o, off, p[:n])
		if err != nil {
			s.Release(es...)
			return nil, err
		}
		es = append(es, batch...)
		off, p = off+n, p[n:]
	}
	return es, nil
}

// appendBatch seals p into one buffer, outside of all locks, and writes it
// with one call.
func (s *Store) appendBatch(o Owner, off int64, p []byte) ([]Extent, error) {
	heads, size := plan(o, off, int64(len(p)))
	seg, pos, stamp, err := s.reserve(int64(size), len(heads))
	if err != nil {
		return nil, err
	}
	buf := getBuffer(size)
	defer putBuffer(buf)
	es := make([]Extent, len(heads))
	at := 0
	for i, h := range heads {
		h.stamp = stamp + int64(i)
		data := p[h.off-off:][:h.length]
		sealRecord(buf.b[at:at+h.span():at+h.span()], seg.gcm, &buf.nonce, pos+int64(at), h, o, data)
		es[i] = Extent{Off: h.off, Len: int64(h.length), Seg: seg.id, Pos: pos + int64(at)}
		at += h.span()
	}
	if err := s.put(seg, pos, buf.b, es); err != nil {
		return nil, err
	}
	return es, nil
}

// put writes sealed records into the place that was reserved for them, and
// retains the extents that say so.
func (s *Store) put(seg *segment, pos int64, sealed []byte, es []Extent) error {
	f, _, err := seg.openFile()
	if err == nil {
		if _, err = s.write(f, sealed, pos); err != nil {
			giveBack(f, pos, int64(len(sealed)))
		}
	}
	s.landed(seg, pos+int64(len(sealed)), es, err)
	if err != nil {
		return fmt.Errorf("writing to segment %016x: %w", seg.id, err)
	}
	return nil
}

// plan cuts n bytes at off into records and gives their heads and the bytes
// that all take in a segment.
func plan(o Owner, off, n int64) (heads []head, size int) {
	heads = make([]head, 0, n/MaxRecord+2)
	for end := off + n; off < end; {
		length := min(MaxRecord-off%MaxRecord, end-off)
		h := head{owner: ownerSize(o, int(length)), length: int(length), ino: o.Ino, off: off}
		heads = append(heads, h)
		size += h.span()
		off += length
	}
	return heads, size
}

// reserve gives out size bytes of the current segment, and stamps for n
// records. They are never given out again, whatever becomes of them: a nonce
// hangs on each position. The segment counts a user, for landed to end.
func (s *Store) reserve(size int64, n int) (seg *segment, pos, stamp int64, err error) {
	s.appendMu.Lock()
	defer s.appendMu.Unlock()
	if s.mustRollLocked(size) {
		if err := s.rollLocked(); err != nil {
			return nil, 0, 0, err
		}
	}
	seg = s.current
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, 0, 0, ErrClosed
	}
	seg.users++
	s.mu.Unlock()
	pos = seg.end
	seg.end += size
	stamp = max(s.stamp+1, time.Now().UnixNano())
	s.stamp = stamp + int64(n) - 1
	return seg, pos, stamp, nil
}

// mustRollLocked tells whether size more bytes need a new segment. One batch
// larger than a segment gets one of its own.
func (s *Store) mustRollLocked(size int64) bool {
	seg := s.current
	if seg == nil || seg.end > headerSize && seg.end+size > s.limit {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return seg.failed
}

// landed books the end of an append.
func (s *Store) landed(seg *segment, end int64, es []Extent, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		seg.dirty = true
		seg.suspect = seg.suspect || seg.failed // perhaps written before that sync failed
		seg.disk = max(seg.disk, end)
		for _, e := range es {
			s.retainLocked(seg, e)
		}
	}
	s.leaveLocked(seg)
}

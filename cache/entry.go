package cache

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"megadisk/megaclient/megacrypto"
)

// entry is the file of one content on disk, while somebody uses it. A nil entry has nothing and takes
// nothing, so that callers need not ask whether there is a disk level.
//
// The index is written after the data, and never trusted: a unit is what its checksum says, at each
// read, so neither a crash nor a power cut nor a failing disk needs any repair.
type entry struct {
	// Constant data.
	s    *store
	name id
	l    layout
	old  bool // its units' records are those of formatMark1

	// io is held shared while bytes are read or written, exclusively to make, punch or empty the file.
	io     sync.RWMutex
	f      *os.File // nil: not made yet. GUARDED_BY(io)
	direct *os.File // the same past the page cache; nil: not opened, or not possible. GUARDED_BY(io)
	tried  bool     // to open it. GUARDED_BY(io)

	// GUARDED_BY(store.mu).
	refs    int
	present bitmap // units
	count   int64  // of present
	flags   uint32
	tag     [16]byte
	gen     int64 // how many times it was emptied
	stale   bool  // emptied, and the file doesn't know it yet
	touched time.Time
}

// has tells whether unit u is on disk.
func (e *entry) has(u int64) bool {
	if e == nil {
		return false
	}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	return e.present.has(u) && e.s.off == nil
}

// bytes is how much of the content is on disk.
func (e *entry) bytes() int64 {
	if e == nil {
		return 0
	}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if e.count == 0 || e.s.off != nil {
		return 0
	}
	n := e.count * UnitSize
	if last := e.l.units - 1; e.present.has(last) {
		n += int64(unitLen(last, e.l.size)) - UnitSize
	}
	return n
}

// generation is to be asked before a fetch begins, and given to write.
func (e *entry) generation() int64 {
	if e == nil {
		return 0
	}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	return e.gen
}

// read fills a stretch's buffers with ciphertext, as far as it is there, and tells how many units from the first on
// came. errCorrupt means that of the next, something stood there that is not what had been stored; it is then absent.
func (e *entry) read(r stretch) (good int, err error) {
	if e == nil {
		return 0, errAbsent
	}
	e.scrub()
	if r.direct() {
		e.openDirect()
	}
	e.io.RLock()
	good, gen, err := e.readLocked(r)
	e.io.RUnlock()
	if good > 0 {
		e.touch(r.first)
	}
	if errors.Is(err, errCorrupt) {
		e.lose(r.first+int64(good), gen)
	}
	return good, err
}

// readLocked reads under io.
func (e *entry) readLocked(r stretch) (good int, gen int64, err error) {
	e.s.mu.Lock()
	gen = e.gen
	n := 0
	for n < len(r.bufs) && e.present.has(r.first+int64(n)) && !e.stale {
		n++
	}
	e.s.mu.Unlock()
	if n == 0 || e.f == nil {
		return 0, gen, errAbsent
	}
	recs := records.Get().(*[stretchMost * unitRecord]byte)
	defer records.Put(recs)
	r.bufs = r.bufs[:n]
	if _, err := e.f.ReadAt(recs[:n*unitRecord], e.l.unit(r.first)); err != nil {
		return 0, gen, errCorrupt // truncated, or a disk that fails: either way not ours to serve
	}
	if err := e.pread(r); err != nil {
		return 0, gen, errCorrupt
	}
	for i, b := range r.bufs {
		u := r.first + int64(i)
		if sum := e.sum(u, b[:unitLen(u, e.l.size)]); sum != [unitRecord]byte(recs[i*unitRecord:]) {
			return i, gen, errCorrupt
		} else if r.sums != nil {
			r.sums[i] = sum
		}
	}
	return n, gen, nil
}

var records = sync.Pool{New: func() any { return new([stretchMost * unitRecord]byte) }}

// lose notes that a unit's bytes are wrong.
func (e *entry) lose(u, gen int64) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if e.gen == gen && e.present.has(u) {
		e.present.unset(u)
		e.count--
		e.s.shrinkLocked(spanOf(e.name, u), e.s.diskLen(e.l, u))
	}
}

// write stores a stretch of ciphertext, if there is room and the entry wasn't emptied since gen. It is best effort: what
// can't be stored will be fetched again.
func (e *entry) write(gen int64, r stretch) {
	if e == nil {
		return
	}
	n := int64(0)
	for i := range r.bufs {
		n += e.s.diskLen(e.l, r.first+int64(i))
	}
	if !e.s.admit(n) {
		return
	}
	if err := e.put(gen, r); err != nil {
		e.s.failed(err)
	}
	e.s.settle(n)
}

// put writes data, then records, then presence.
func (e *entry) put(gen int64, r stretch) error {
	e.scrub()
	if !e.isGeneration(gen) {
		return nil
	}
	if err := e.ready(); err != nil {
		return err
	}
	if r.direct() {
		e.openDirect()
	}
	e.io.RLock()
	defer e.io.RUnlock()
	if e.f == nil || !e.isGeneration(gen) {
		return nil
	}
	if err := e.pwrite(r); err != nil {
		return err
	}
	recs := records.Get().(*[stretchMost * unitRecord]byte)
	defer records.Put(recs)
	for i, b := range r.bufs {
		u := r.first + int64(i)
		if r.sums == nil {
			sum := e.sum(u, b[:unitLen(u, e.l.size)])
			copy(recs[i*unitRecord:], sum[:])
		} else {
			copy(recs[i*unitRecord:], r.sums[i][:])
		}
	}
	if _, err := e.f.WriteAt(recs[:len(r.bufs)*unitRecord], e.l.unit(r.first)); err != nil {
		return err
	}
	e.notePresent(gen, r)
	return nil
}

func (e *entry) notePresent(gen int64, r stretch) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	for i := range r.bufs {
		u := r.first + int64(i)
		if e.gen == gen && !e.present.has(u) {
			e.present.set(u)
			e.count++
			e.s.growLocked(spanOf(e.name, u), e.s.diskLen(e.l, u))
		}
	}
}

func (e *entry) isGeneration(gen int64) bool {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	return e.gen == gen && !e.stale
}

// ready makes the file if there is none.
func (e *entry) ready() error {
	e.io.RLock()
	made := e.f != nil
	e.io.RUnlock()
	if made {
		return nil
	}
	e.io.Lock()
	defer e.io.Unlock()
	if e.f != nil || !e.s.on() {
		return nil
	}
	return e.createLocked()
}

// createLocked makes an empty file. The exclusive io is held.
func (e *entry) createLocked() error {
	path := e.s.path(e.name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	e.f = f
	if err = f.Truncate(e.l.fileSize()); err == nil {
		err = e.writeHeaderLocked()
	}
	if err != nil {
		e.f = nil
		_ = f.Close()
		_ = os.Remove(path)
	}
	return err
}

func (e *entry) writeHeaderLocked() error {
	e.s.mu.Lock()
	h := header{old: e.old, flags: e.flags, size: e.l.size, tag: e.tag}
	e.s.mu.Unlock()
	_, err := e.f.WriteAt(e.s.sums.encodeHeader(e.name, h), e.l.header())
	return err
}

// save keeps what is known of the content as a whole.
func (e *entry) save(flags uint32, tag [16]byte) {
	if e == nil || !e.s.on() || e.says(flags, tag) {
		return
	}
	e.scrub()
	if err := e.putHeader(flags, tag); err != nil {
		e.s.failed(err)
	}
}

// says tells whether that is what is kept already.
func (e *entry) says(flags uint32, tag [16]byte) bool {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	return e.flags == flags && e.tag == tag
}

func (e *entry) putHeader(flags uint32, tag [16]byte) error {
	e.io.Lock()
	defer e.io.Unlock()
	e.s.mu.Lock()
	e.flags, e.tag = flags, tag
	e.s.mu.Unlock()
	switch {
	case e.f != nil:
		return e.writeHeaderLocked()
	case flags&flagsAlone != 0:
		return e.createLocked() // a verdict must outlive the process even without any byte
	}
	return nil
}

// saveMAC keeps the MAC of one chunk.
func (e *entry) saveMAC(chunk int, mac megacrypto.ChunkMAC) {
	if e != nil {
		e.putMAC(chunk, e.s.sums.encodeMAC(e.name, int64(chunk), mac))
	}
}

// dropMAC forgets it.
func (e *entry) dropMAC(chunk int) { e.putMAC(chunk, make([]byte, chunkRecord)) }

func (e *entry) putMAC(chunk int, record []byte) {
	if !e.s.on() {
		return
	}
	e.io.RLock()
	var err error
	if e.f != nil {
		_, err = e.f.WriteAt(record, e.l.chunk(int64(chunk)))
	}
	e.io.RUnlock()
	if err != nil {
		e.s.failed(err)
	}
}

// touchEvery is how often a file's access is written down; it is kept as the file's mtime.
const touchEvery = time.Minute

// touch notes that a unit was used.
func (e *entry) touch(u int64) {
	now := time.Now()
	e.s.mu.Lock()
	e.s.lru.Get(spanOf(e.name, u))
	due := now.Sub(e.touched) >= touchEvery
	if due {
		e.touched = now
	}
	e.s.mu.Unlock()
	if !due {
		return
	}
	e.io.RLock()
	defer e.io.RUnlock()
	if e.f != nil {
		tv := unix.NsecToTimeval(now.UnixNano())
		_ = unix.Futimes(int(e.f.Fd()), []unix.Timeval{tv, tv}) // only the order of eviction depends on it
	}
}

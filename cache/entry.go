package cache

import (
	"errors"
	"io"
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

	// io is held shared while bytes are read or written, exclusively to make, punch or empty the file.
	io sync.RWMutex
	f  *os.File // nil: not made yet. GUARDED_BY(io)

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

// read fills buf, which is as long as the unit, with its ciphertext. errCorrupt means that what stood
// there was wrong; the unit is then absent.
func (e *entry) read(u int64, buf []byte) error {
	if e == nil {
		return errAbsent
	}
	e.scrub()
	e.io.RLock()
	gen, err := e.readLocked(u, buf)
	e.io.RUnlock()
	switch {
	case err == nil:
		e.touch(u)
	case errors.Is(err, errCorrupt):
		e.lose(u, gen)
	}
	return err
}

// readLocked reads under io.
func (e *entry) readLocked(u int64, buf []byte) (gen int64, err error) {
	e.s.mu.Lock()
	gen = e.gen
	ok := e.present.has(u) && !e.stale
	e.s.mu.Unlock()
	if !ok || e.f == nil {
		return gen, errAbsent
	}
	rec := records.Get().(*[unitRecord]byte)
	defer records.Put(rec)
	if _, err := e.f.ReadAt(rec[:], e.l.unit(u)); err != nil {
		return gen, errCorrupt // truncated, or a disk that fails: either way not ours to serve
	}
	if _, err := e.f.ReadAt(buf, u*UnitSize); err != nil {
		return gen, errCorrupt
	}
	if e.s.sums.sum(kindUnit, e.name, u, buf) != *rec {
		return gen, errCorrupt
	}
	return gen, nil
}

var records = sync.Pool{New: func() any { return new([unitRecord]byte) }}

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

// write stores a unit's ciphertext, if there is room and the entry wasn't emptied since gen. It is best
// effort: what can't be stored will be fetched again.
func (e *entry) write(gen, u int64, data []byte) {
	if e == nil {
		return
	}
	n := e.s.diskLen(e.l, u)
	if !e.s.admit(n) {
		return
	}
	if err := e.put(gen, u, data); err != nil {
		e.s.failed(err)
	}
	e.s.settle(n)
}

// put writes data, then record, then presence.
func (e *entry) put(gen, u int64, data []byte) error {
	e.scrub()
	if !e.isGeneration(gen) {
		return nil
	}
	if err := e.ready(); err != nil {
		return err
	}
	e.io.RLock()
	defer e.io.RUnlock()
	if e.f == nil || !e.isGeneration(gen) {
		return nil
	}
	if _, err := e.f.WriteAt(data, u*UnitSize); err != nil {
		return err
	}
	sum := e.s.sums.sum(kindUnit, e.name, u, data)
	if _, err := e.f.WriteAt(sum[:], e.l.unit(u)); err != nil {
		return err
	}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if e.gen == gen && !e.present.has(u) {
		e.present.set(u)
		e.count++
		e.s.growLocked(spanOf(e.name, u), e.s.diskLen(e.l, u))
	}
	return nil
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
	h := header{flags: e.flags, size: e.l.size, tag: e.tag}
	e.s.mu.Unlock()
	_, err := e.f.WriteAt(e.s.sums.encodeHeader(e.name, h), e.l.header())
	return err
}

// save keeps what is known of the content as a whole.
func (e *entry) save(flags uint32, tag [16]byte) {
	if e == nil || !e.s.on() {
		return
	}
	e.scrub()
	if err := e.putHeader(flags, tag); err != nil {
		e.s.failed(err)
	}
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
	case flags&(flagSuspect|flagQuarantined) != 0:
		return e.createLocked() // a verdict must outlive the process even without any byte
	}
	return nil
}

// saveMAC keeps the MAC of one chunk.
func (e *entry) saveMAC(chunk int, mac megacrypto.ChunkMAC) {
	if e == nil || !e.s.on() {
		return
	}
	e.io.RLock()
	var err error
	if e.f != nil {
		_, err = e.f.WriteAt(e.s.sums.encodeMAC(e.name, int64(chunk), mac), e.l.chunk(int64(chunk)))
	}
	e.io.RUnlock()
	if err != nil {
		e.s.failed(err)
	}
}

// forget makes all units absent at once; the file follows with scrub, before it is used again.
func (e *entry) forget() {
	if e == nil {
		return
	}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.gen++
	e.stale = true
	e.s.dropSpansLocked(e)
	clear(e.present)
	e.count = 0
}

// scrub empties the file after forget.
func (e *entry) scrub() {
	if e == nil {
		return
	}
	e.s.mu.Lock()
	stale := e.stale
	e.s.mu.Unlock()
	if stale {
		if err := e.empty(); err != nil {
			e.s.failed(err)
		}
	}
}

func (e *entry) empty() error {
	e.io.Lock()
	defer e.io.Unlock()
	e.s.mu.Lock()
	stale := e.stale
	e.stale = false
	e.s.mu.Unlock()
	if !stale || e.f == nil {
		return nil
	}
	return e.emptyLocked()
}

// emptyLocked cuts the file down and up again, which frees all of it.
func (e *entry) emptyLocked() error {
	if err := e.f.Truncate(0); err != nil {
		return err
	}
	if err := e.f.Truncate(e.l.fileSize()); err != nil {
		return err
	}
	return e.writeHeaderLocked()
}

// punch frees the bytes of units [first, end), records first. The exclusive io is held.
func (e *entry) punchLocked(first, end int64) error {
	if e.f == nil {
		return nil
	}
	zeros := make([]byte, (end-first)*unitRecord)
	if _, err := e.f.WriteAt(zeros, e.l.unit(first)); err != nil {
		return err
	}
	off := first * UnitSize
	n := min(end*UnitSize, e.l.header()) - off
	return unix.Fallocate(int(e.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
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

// saved is what a file knew when it was opened.
type saved struct {
	flags uint32
	macs  []megacrypto.ChunkMAC // zero: not known
}

// load reads the index of an entry whose file nobody else has yet.
func (e *entry) load(h header) (saved, error) {
	e.l = layoutOf(h.size)
	e.present, e.flags, e.tag = newBitmap(e.l.units), h.flags, h.tag
	if err := e.loadUnits(); err != nil {
		return saved{}, err
	}
	macs, err := e.loadMACs()
	return saved{h.flags, macs}, err
}

// loadUnits finds the units that are present, passing over the holes of the index.
func (e *entry) loadUnits() error {
	const step = 64 << 10
	buf := make([]byte, min(step, e.l.units*unitRecord))
	end := e.l.unit(e.l.units)
	for pos := e.l.index(); pos < end; {
		data, err := unix.Seek(int(e.f.Fd()), pos, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err == nil && data > pos {
			pos += (data - pos) / unitRecord * unitRecord
		}
		if pos >= end {
			return nil
		}
		b := buf[:min(int64(len(buf)), end-pos)]
		if _, err := e.f.ReadAt(b, pos); err != nil {
			return err
		}
		e.noteUnits((pos-e.l.index())/unitRecord, b)
		pos += int64(len(b))
	}
	return nil
}

func (e *entry) noteUnits(first int64, b []byte) {
	for i := 0; i+unitRecord <= len(b); i += unitRecord {
		if [unitRecord]byte(b[i:]) != ([unitRecord]byte{}) {
			e.present.set(first + int64(i/unitRecord))
			e.count++
		}
	}
}

func (e *entry) loadMACs() ([]megacrypto.ChunkMAC, error) {
	b := make([]byte, e.l.chunks*chunkRecord)
	if _, err := e.f.ReadAt(b, e.l.chunk(0)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	macs := make([]megacrypto.ChunkMAC, e.l.chunks)
	for i := range macs {
		rec := b[i*chunkRecord : (i+1)*chunkRecord]
		if [chunkRecord]byte(rec) != ([chunkRecord]byte{}) {
			macs[i] = e.s.sums.decodeMAC(e.name, int64(i), rec)
		}
	}
	return macs, nil
}

package megatest

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
)

// CloudRAID (PROTOCOL 6.3): a file is spread over six URLs, of which any five have all of it. URL 0 has the
// parity, URLs 1 to 5 the data, 16 bytes in turn:
//
//	part 1   part 2   part 3   part 4   part 5      part 0
//	 0-15    16-31    32-47    48-63    64-79       their XOR
//	80-95     …
const (
	raidParts  = 6
	raidSector = 16
	raidLine   = raidSector * (raidParts - 1)
)

// RAID spreads all files of the account over six URLs, for clients that ask with "v":2.
func RAID() AccountOption { return func(a *accountSpec) { a.raid = true } }

// raidPartSize is the length of one part of content of a size.
func raidPartSize(size int64, part int) int64 {
	rest := size % raidLine
	return size/raidLine*raidSector + min(max(rest-raidSector*int64(max(part-1, 0)), 0), raidSector)
}

// raidPart reads one part of stored ciphertext.
type raidPart struct {
	whole io.ReaderAt
	size  int64 // of the whole
	part  int
}

// raidLines lends what lines are read to: five times what a part's reader asks for.
var raidLines = sync.Pool{New: func() any { return new([]byte) }}

// ReadAt reads a part.
func (r raidPart) ReadAt(p []byte, off int64) (int, error) {
	end := min(off+int64(len(p)), raidPartSize(r.size, r.part))
	if off >= end {
		return 0, io.EOF
	}
	first := off / raidSector
	room := raidLines.Get().(*[]byte)
	defer raidLines.Put(room)
	lines := slices.Grow((*room)[:0], int((end-1)/raidSector+1-first)*raidLine)[:((end-1)/raidSector+1-first)*raidLine]
	*room = lines
	there := min(int64(len(lines)), r.size-first*raidLine)
	clear(lines[there:]) // zero behind the end, as the parity takes it
	if n, err := r.whole.ReadAt(lines[:there], first*raidLine); err != nil && n == 0 {
		return 0, err
	}
	n, skip := 0, int(off%raidSector)
	var parity [raidSector]byte
	for ; n < int(end-off); skip = 0 {
		sector := parity[:]
		if r.part > 0 {
			sector = lines[(r.part-1)*raidSector:][:raidSector]
		} else {
			parityOf(&parity, lines)
		}
		n += copy(p[n:end-off], sector[skip:])
		lines = lines[raidLine:]
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// parityOf is the XOR of a line's sectors.
func parityOf(sector *[raidSector]byte, line []byte) {
	var a, b uint64
	for i := 0; i < raidLine; i += raidSector {
		a ^= binary.LittleEndian.Uint64(line[i:])
		b ^= binary.LittleEndian.Uint64(line[i+8:])
	}
	binary.LittleEndian.PutUint64(sector[:], a)
	binary.LittleEndian.PutUint64(sector[8:], b)
}

// partFault answers with the HTTP status that was asked for a part.
func (f *Faults) partFault(a *answer, part int) bool {
	hit, found := f.take(func(r *rule) bool { return r.kind == failHTTP && r.part > 0 && r.part == part+1 })
	return found && f.fail(a, hit)
}

// PartFaults makes one of the six URLs of all spread files misbehave. Counts are numbers of requests, as
// those of Faults.
type PartFaults struct {
	f    *Faults
	part int
}

// Part gives the faults of one part: 0 is the parity, 1 to 5 are the data.
func (f *Faults) Part(part int) PartFaults { return PartFaults{f, part} }

func (p PartFaults) add(r rule) {
	r.part = p.part + 1
	p.f.add(r)
}

// Fail answers the next n requests for the part with an HTTP status.
func (p PartFaults) Fail(status, n int) {
	p.add(rule{kind: failHTTP, where: Downloads, value: int64(status), left: n})
}

// Cut cuts the connection of the next n requests after so many bytes of the body.
func (p PartFaults) Cut(after int64, n int) { p.add(rule{kind: shortDown, value: after, left: n}) }

// Stall lets the next n requests hang after so many bytes of the body.
func (p PartFaults) Stall(after int64, n int) { p.add(rule{kind: stallDown, value: after, left: n}) }

// Corrupt flips one bit in the middle of each of the next n answers.
func (p PartFaults) Corrupt(n int) { p.add(rule{kind: corruptDown, left: n}) }

// Answer lets fn answer the next n requests, as AnswerDownloads.
func (p PartFaults) Answer(n int, fn answerFunc) { p.add(rule{kind: answerDown, answer: fn, left: n}) }

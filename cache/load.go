package cache

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"megadisk/megaclient/megacrypto"
)

// saved is what a file knew when it was opened.
type saved struct {
	flags uint32
	macs  []megacrypto.ChunkMAC // zero: not known
}

// load reads the index of an entry whose file nobody else has yet.
func (e *entry) load(h header) (saved, error) {
	e.l, e.old = layoutOf(h.size), h.old
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

// openFile opens and loads a content's file, if there is one that can be believed. An error says that one may be there
// and can't be opened.
func (s *store) openFile(name id) (*entry, saved, error) {
	f, err := os.OpenFile(s.path(name), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, saved{}, nil
	}
	if err != nil {
		s.failed(err)
		return nil, saved{}, err
	}
	e := &entry{s: s, name: name, f: f}
	h, err := s.readHeader(name, f)
	var known saved
	if err == nil {
		known, err = e.load(h)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(s.path(name))
		return nil, saved{}, nil
	}
	return e, known, nil
}

// readHeader finds the header in a file's last bytes.
func (s *store) readHeader(name id, f *os.File) (header, error) {
	st, err := f.Stat()
	if err != nil {
		return header{}, err
	}
	var b [headerSize]byte
	if st.Size() < headerSize {
		return header{}, errHeader
	}
	if _, err := f.ReadAt(b[:], st.Size()-headerSize); err != nil {
		return header{}, err
	}
	h, err := s.sums.decodeHeader(name, b[:])
	if err == nil && (h.size < 0 || layoutOf(h.size).fileSize() != st.Size()) {
		err = errHeader
	}
	return h, err
}

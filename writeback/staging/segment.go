package staging

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"megadisk/writeback/durable"
)

// segment is one file of the store.
//
// INVARIANT: live is the sum over refs of min(bytes, size).
type segment struct {
	// Constant data.
	id   uint64
	path string
	gcm  cipher.AEAD
	bad  error // why nothing can be read from it; nil normally

	// Where the next record goes.
	end int64 // GUARDED_BY(Store.appendMu); only of the current one

	// What is in it.
	disk    int64         // GUARDED_BY(Store.mu); bytes of the file
	refs    map[int64]ref // GUARDED_BY(Store.mu); by position of the record
	live    int64         // GUARDED_BY(Store.mu); plaintext bytes referred to
	users   int           // GUARDED_BY(Store.mu); reads, appends and syncs under way
	current bool          // GUARDED_BY(Store.mu)
	dirty   bool          // GUARDED_BY(Store.mu); has bytes that no sync has covered
	suspect bool          // GUARDED_BY(Store.mu); a sync failed: what it covered must be written again
	failed  bool          // GUARDED_BY(Store.mu); a sync failed once: not appended to any more
	pinned  bool          // GUARDED_BY(Store.mu); its accounts are wrong: not unlinked in this run

	fileMu sync.Mutex
	file   *os.File // GUARDED_BY(fileMu); nil while closed
}

// ref counts the references to one record, in bytes.
type ref struct {
	bytes int64
	size  int64 // plaintext bytes of the record, as far as extents have shown
}

// liveBytes is how much of the record is in use, at most.
func (r ref) liveBytes() int64 { return min(r.bytes, r.size) }

const segmentSuffix = ".seg"

func segmentName(id uint64) string { return fmt.Sprintf("%016x%s", id, segmentSuffix) }

// found is a segment's file.
type found struct {
	id          uint64
	size, mtime int64 // bytes; ns
}

// listSegments finds the segments in a folder, oldest first.
func listSegments(dir string) ([]found, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing the staging folder: %w", err)
	}
	var list []found
	for _, e := range entries {
		hex, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		id, err := strconv.ParseUint(hex, 16, 64)
		if !ok || err != nil || e.Name() != segmentName(id) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking at segment %016x: %w", id, err)
		}
		list = append(list, found{id: id, size: info.Size(), mtime: info.ModTime().UnixNano()})
	}
	slices.SortFunc(list, func(a, b found) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return list, nil
}

// readHeader reads and opens the header of the segment at path.
func readHeader(path string, id uint64, wrap cipher.AEAD) (cipher.AEAD, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening segment %016x: %w", id, err)
	}
	defer f.Close()
	var h [headerSize]byte
	n, err := readFull(f, h[:], 0)
	if err != nil {
		return nil, fmt.Errorf("reading the header of segment %016x: %w", id, err)
	}
	return openHeader(h[:n], id, wrap)
}

// createSegment makes a new segment's file with its header. After an error no
// file is left.
func createSegment(dir string, id uint64, wrap cipher.AEAD) (*segment, error) {
	seg := &segment{id: id, path: filepath.Join(dir, segmentName(id)), end: headerSize, disk: headerSize}
	f, err := os.OpenFile(seg.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making segment %016x: %w", id, err)
	}
	seg.file = f
	header, gcm := newHeader(id, wrap)
	seg.gcm = gcm
	if _, err := f.WriteAt(header, 0); err != nil {
		seg.discard()
		return nil, fmt.Errorf("writing the header of segment %016x: %w", id, err)
	}
	return seg, nil
}

// discard closes and removes a segment that nobody has seen.
func (g *segment) discard() {
	g.closeFile()
	os.Remove(g.path)
}

// openFile gives the file, opening it if need be; opened says that it was.
// The caller is counted in users.
func (g *segment) openFile() (f *os.File, opened bool, err error) {
	if g.bad != nil {
		return nil, false, g.bad
	}
	g.fileMu.Lock()
	defer g.fileMu.Unlock()
	if g.file != nil {
		return g.file, false, nil
	}
	f, err = os.OpenFile(g.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, &CorruptError{Seg: g.id, Err: ErrMissing}
	}
	if err != nil {
		return nil, false, fmt.Errorf("opening segment %016x: %w", g.id, err)
	}
	g.file = f
	return f, true, nil
}

// closeFile closes the file if it is open; nobody may be using it.
func (g *segment) closeFile() error {
	g.fileMu.Lock()
	defer g.fileMu.Unlock()
	if g.file == nil {
		return nil
	}
	f := g.file
	g.file = nil
	return f.Close()
}

// isOpen tells whether the file is open.
func (g *segment) isOpen() bool {
	g.fileMu.Lock()
	defer g.fileMu.Unlock()
	return g.file != nil
}

// readFull reads what the file has of p at off; less than len(p) only at the
// end of the file.
func readFull(f *os.File, p []byte, off int64) (int, error) {
	n, err := f.ReadAt(p, off)
	if n < len(p) && isEOF(err) {
		err = nil
	}
	return n, err
}

// fdatasync makes a file's content durable.
func fdatasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// makeDir makes a folder, durably, if it isn't there.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(filepath.Clean(dir)))
}

func randomUint32() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}

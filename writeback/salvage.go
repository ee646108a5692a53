package writeback

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"megadisk/writeback/staging"
)

// Salvage copies what the segments of a state hold into dir, without its database: for when that can't be opened.
// Errors: ErrNotEmpty, and what the disk of dir says; damaged segments are told in the result.
func Salvage(state string, stateKey [32]byte, dir string, tell func(Export)) (Export, error) {
	x, err := newExporter(dir, tell)
	if err != nil {
		return Export{}, err
	}
	key := subkey(stateKey, labelStaging)
	if _, statErr := os.Stat(filepath.Join(state, stagingDir)); statErr == nil {
		err = x.salvage(filepath.Join(state, stagingDir), key, "")
	}
	orphaned, _ := glob(state, orphanedGlob)
	for _, o := range orphaned {
		if err == nil {
			err = x.salvage(o, key, filepath.Base(o))
		}
	}
	return x.result, errors.Join(err, x.finish())
}

// salvage lays the records of segments over each other, a file for each inode, in a folder of the export.
func (x *exporter) salvage(segments string, key [32]byte, folder string) error {
	files := map[uint64]*salvagedFile{}
	var open *salvagedFile
	defer func() { open.close() }()
	damage := staging.Salvage(segments, key, func(o staging.Owner, off int64, data []byte) error {
		s := files[o.Ino]
		if s == nil {
			path, f, err := x.createFree(folder, o)
			if err != nil {
				return &exportError{err}
			}
			open.close()
			s = &salvagedFile{path, f}
			open, files[o.Ino] = s, s
			x.result.Files++
			x.result.Salvaged++
			x.tell(x.result)
		}
		if s != open {
			open.close()
			f, err := x.root.OpenFile(s.path, os.O_RDWR, 0)
			if err != nil {
				return &exportError{err}
			}
			open, s.file = s, f
		}
		if _, err := s.file.WriteAt(data, off); err != nil {
			return &exportError{err}
		}
		x.result.Bytes += int64(len(data))
		return nil
	})
	var own *exportError
	if errors.As(damage, &own) {
		return own.err
	}
	if damage != nil {
		x.result.Incomplete = append(x.result.Incomplete, IncompleteExport{filepath.Base(segments), "segments are damaged: " + oneLine(damage)})
	}
	return nil
}

// oneLine words several errors in a line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// exportError tells an error of the export's own disk from damage.
type exportError struct{ err error }

func (e *exportError) Error() string { return e.err.Error() }

type salvagedFile struct {
	path string
	file *os.File // nil: closed
}

func (s *salvagedFile) close() {
	if s != nil && s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// createFree makes a record's file where it was, or, if that can't be (a folder above it was a file at another time), at the
// top.
func (x *exporter) createFree(folder string, o staging.Owner) (path string, f *os.File, err error) {
	path = x.freeName(folder, o)
	if f, err = x.create(path); err == nil {
		return path, f, nil
	}
	name := filepath.Base(path)
	if len(name) > longestSalvaged {
		name = "file"
	}
	path = filepath.Join(folder, fmt.Sprintf("%s (%d)", name, o.Ino))
	f, err = x.create(path)
	return path, f, err
}

// longestSalvaged is the longest name, in bytes, to which a number can be added.
const longestSalvaged = 230

// freeName is the path at which a record's file was, if that is still free.
func (x *exporter) freeName(folder string, o staging.Owner) string {
	path := filepath.Join(folder, filepath.Clean("/"+o.Path))
	if folder == "" {
		path = strings.TrimPrefix(path, "/")
	}
	if o.Path == "" || path == "" {
		path = filepath.Join(folder, "file")
	}
	if _, err := x.root.Lstat(path); err == nil {
		path = fmt.Sprintf("%s (%d)", path, o.Ino)
	}
	return path
}

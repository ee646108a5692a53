// Package logfile is a log that doesn't grow without end: when it is full, it becomes NAME.1, that one NAME.2, and so on.
package logfile

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	full = 8 << 20 // bytes
	kept = 3       // older files
)

// File is the log, also of what the runtime writes to standard error.
type File struct {
	path  string
	full  int64
	mu    sync.Mutex
	file  *os.File // GUARDED_BY(mu)
	bytes int64    // GUARDED_BY(mu)
}

// Open goes on with the log at path, or begins it, readable for its owner only.
func Open(path string) (*File, error) { return open(path, full) }

func open(path string, size int64) (*File, error) {
	l := &File{path: path, full: size}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l, l.begin()
}

// begin opens the file, whatever it holds already.
func (l *File) begin() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("opening the log: %w", err)
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.bytes = f, info.Size()
	return nil
}

// TakeStandardError makes the log what standard error is, now and after each change of files.
func (l *File) TakeStandardError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return unix.Dup3(int(l.file.Fd()), int(os.Stderr.Fd()), 0)
}

// Write appends a line. When the log is full it begins a new file; when it can't, it goes on with the old one.
func (l *File) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes+int64(len(line)) > l.full && l.bytes > 0 {
		l.turn()
	}
	n, err := l.file.Write(line)
	l.bytes += int64(n)
	return n, err
}

func (l *File) turn() {
	if !l.putAside() {
		return
	}
	old := l.file.Fd()
	same := sameFile(int(old), int(os.Stderr.Fd()))
	if l.begin() == nil && same {
		_ = unix.Dup3(int(l.file.Fd()), int(os.Stderr.Fd()), 0)
	}
}

// putAside makes room for a new file, once: when that can't be made yet, as without descriptors, the older ones stay.
func (l *File) putAside() (done bool) {
	if _, err := os.Lstat(l.path); os.IsNotExist(err) {
		return true
	}
	for n := kept - 1; n > 0; n-- {
		_ = os.Rename(l.older(n), l.older(n+1)) // there may be none
	}
	return os.Rename(l.path, l.older(1)) == nil
}

func (l *File) older(n int) string { return fmt.Sprintf("%s.%d", l.path, n) }

func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

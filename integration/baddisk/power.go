package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// power is what the disk holds when its power is cut: names and lengths as they were last, since a journal keeps these in order,
// and of the bytes in files only those that were synced; others are zeros.
type power struct {
	mu    sync.Mutex
	files map[uint64]*synced // by inode number; GUARDED_BY(mu)
}

type synced struct {
	content []byte // without the zeros at its end
	size    int64
}

// made notes a new file.
func (p *power) made(ino uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[ino] = &synced{}
}

// resized notes a new length; least: only if it is less.
func (p *power) resized(ino uint64, size int64, least bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[ino]
	if f == nil || least && f.size >= size {
		return
	}
	f.size = size
	f.content = f.content[:min(int64(len(f.content)), size)]
}

// wrote notes what a file holds that was synced.
func (p *power) wrote(fd int) error {
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[st.Ino] = &synced{bytes.TrimRight(raw, "\x00"), int64(len(raw))}
	return nil
}

// cut leaves in a folder what the disk holds.
func (p *power) cut(folder string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		var st syscall.Stat_t
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if err := syscall.Stat(path, &st); err != nil {
			return err
		}
		f := p.files[st.Ino]
		if f == nil {
			f = &synced{}
		}
		if err := os.WriteFile(path, f.content, 0o600); err != nil {
			return err
		}
		return os.Truncate(path, f.size)
	})
}

// Package keymem keeps the keys that a process has all its life, the master key and the state key, in memory that is
// neither swapped out, nor dumped, nor given to children.
//
//	k := keymem.Keep(key[:])
//	k.CopyTo(key[:])
//
// That is for these alone, and not for their copies: whoever uses a key has it on a stack for a moment, and what is
// derived of it (the round keys of ciphers, keys of files) lies on Go's heap.
package keymem

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// slot is the room of one key.
const slot = 32

// pool is all such memory. It is never given back, only its slots are.
var pool struct {
	mu   sync.Mutex
	free [][]byte // GUARDED_BY(mu): slots
	why  error    // GUARDED_BY(mu): why the last page could not be locked
}

// Key is one that is kept, until nothing refers to it any more.
type Key struct{ mem []byte }

// Keep copies a key, of at most 32 bytes, into such memory.
func Keep(key []byte) *Key {
	if len(key) > slot {
		panic("keymem: a key of more than 32 bytes")
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if len(pool.free) == 0 {
		addPageLocked()
	}
	mem := pool.free[len(pool.free)-1]
	pool.free = pool.free[:len(pool.free)-1]
	k := &Key{mem[:len(key)]}
	copy(k.mem, key)
	runtime.AddCleanup(k, giveBack, mem)
	return k
}

// CopyTo copies the key.
func (k *Key) CopyTo(key []byte) {
	copy(key, k.mem)
	runtime.KeepAlive(k)
}

// Problem says why keys could not be locked; nil: they are, or there are none.
func Problem() error {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	return pool.why
}

func giveBack(mem []byte) {
	clear(mem)
	pool.mu.Lock()
	defer pool.mu.Unlock()
	pool.free = append(pool.free, mem)
}

// addPageLocked takes a page more. One that can't be had as it should be will do as it is.
func addPageLocked() {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		page = make([]byte, os.Getpagesize())
	} else {
		err = protect(page, unix.Mlock)
	}
	if err != nil {
		pool.why = fmt.Errorf("keys may be swapped out: %w", err)
	}
	for len(page) >= slot {
		pool.free, page = append(pool.free, page[:slot:slot]), page[slot:]
	}
}

// protect has a page neither swapped out, nor dumped, nor given to children; what fails of it keeps nothing else from it.
func protect(page []byte, lock func([]byte) error) error {
	return errors.Join(lock(page), unix.Madvise(page, unix.MADV_DONTDUMP), unix.Madvise(page, unix.MADV_WIPEONFORK))
}

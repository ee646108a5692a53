package tree

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// Badger reads its tables through memory maps. What was read of them once stays resident, although the kernel has it in
// its cache anyhow: of a tree of a million, half a gigabyte. So when too much is, the maps let go of their pages; those
// stay in the kernel's cache, and come back for a fault when they are needed.
//
// A map must not go, and something else take its place, while its address is in hand. So an iterator over everything is
// kept open meanwhile, which holds all tables that there are at its beginning; of these, those are taken that are there
// afterwards, too. What a merge is just making is held by nobody but the merge, and when that takes in all of the tree, it is as
// much as all of the tree. Of these the kernel is asked to take the pages back, from its cache too: wherever the address leads
// by then, no content changes.

const (
	residentLimit = 48 << 20 // of maps, the program's own included
	residentGrows = 16 << 20 // since the last time, at least
	residentEvery = 64       // transactions between two looks
)

// residents looks after what of the tables is resident.
type residents struct {
	calls atomic.Int64
	busy  atomic.Bool
	least atomic.Int64 // was resident after the last time
}

// used counts a transaction, and looks now and then; a transaction that writes counts for several.
func (t *Tree) used(n int64) {
	r := &t.residents
	calls := r.calls.Add(n)
	if calls/residentEvery == (calls-n)/residentEvery || t.opts.InMemory {
		return
	}
	if residentFiles() < max(residentLimit, r.least.Load()+residentGrows) || !r.busy.CompareAndSwap(false, true) {
		return
	}
	defer r.busy.Store(false)
	if err := t.letGoOfMaps(); err != nil {
		t.log.WithError(err).Debug("the tables stay resident")
	}
	r.least.Store(residentFiles())
}

// residentFiles gives the bytes of files' maps that are resident; 0 if it can't be known.
func residentFiles() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 3 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[2], 10, 64)
	return pages * int64(os.Getpagesize())
}

func (t *Tree) letGoOfMaps() error {
	dir := t.tableDir()
	before := t.tableFiles()
	txn := t.db.NewTransaction(false)
	defer txn.Discard()
	hold := txn.NewIterator(badger.IteratorOptions{})
	defer hold.Close()
	held := map[string]bool{}
	for name := range t.tableFiles() {
		held[name] = before[name]
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, to uintptr
		address, rest, _ := strings.Cut(lines.Text(), " ")
		at := strings.IndexByte(rest, '/')
		if at < 0 || filepath.Dir(rest[at:]) != dir || filepath.Ext(rest[at:]) != ".sst" {
			continue
		}
		advice := unix.MADV_PAGEOUT
		if held[rest[at:]] {
			advice = unix.MADV_DONTNEED
		}
		if _, err := fmt.Sscanf(address, "%x-%x", &from, &to); err != nil {
			return err
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, uintptr(advice)); errno != 0 && advice == unix.MADV_DONTNEED {
			return errno // the other is only asked for: kernels before 5.4 don't know it, and a merge may have ended
		}
	}
	return lines.Err()
}

// tableFiles gives the paths of the tables that are in use.
func (t *Tree) tableFiles() map[string]bool {
	dir := t.tableDir()
	if dir == "" {
		return nil
	}
	files := map[string]bool{}
	for _, table := range t.db.Tables() {
		files[filepath.Join(dir, fmt.Sprintf("%06d.sst", table.ID))] = true
	}
	return files
}

// tableDir is the folder of the tables as /proc names it; "" if that can't be known.
func (t *Tree) tableDir() string {
	dir, err := filepath.EvalSymlinks(t.opts.Dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return ""
	}
	return dir
}

package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// logSize is how long Badger makes a log.
const logSize = 2 * memTableSize

// roomToRotate is what a full memtable needs: the log after the next one, the table that its rows go to, and a
// compaction.
const roomToRotate = 64 << 20

// logKeeper sees to it that the disk has the blocks of the database's logs before anything is written to them. They
// are sparse files mapped into memory: on a disk without room for a page that is touched, the process dies of SIGBUS.
// So the next log is made ahead of Badger, with its blocks and no length, as which Badger takes it for a new file.
type logKeeper struct {
	dir   string
	room  func(need int64)     // makes some, if it can
	fsync func(*os.File) error // tests look on
	next  int                  // number of the log that Badger will make next; changed under Tree.writeMu
	poor  atomic.Bool          // the next log's blocks could not be had

	asked time.Time // when room was last asked for ahead of need; changed under Tree.writeMu
}

// newLogKeeper gives the log in use its blocks, and makes the next one.
func newLogKeeper(dir string, room func(int64)) (*logKeeper, error) {
	if room == nil {
		room = func(int64) {}
	}
	k := &logKeeper{dir: dir, room: room, fsync: (*os.File).Sync}
	return k, k.begin()
}

// begin looks which log is in use, once Badger has opened.
func (k *logKeeper) begin() error {
	logs, err := k.used()
	if err != nil {
		return err
	}
	for _, n := range logs {
		k.next = max(k.next, n+1)
	}
	if err := k.fasten(); errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("making room for the database's log: %w", err)
	}
	k.prepare()
	return nil
}

// used lists the numbers of the logs that Badger has, in their order: not the one that was made ahead.
func (k *logKeeper) used() (list []int, err error) {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return nil, fmt.Errorf("finding the database's logs: %w", err)
	}
	for _, e := range entries {
		text, is := strings.CutSuffix(e.Name(), ".mem")
		n, err := strconv.Atoi(text)
		if !is || err != nil {
			continue
		}
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

// syncFull makes durable what is in the logs of full memtables. Until a full memtable's table is there nothing else holds
// its rows, and Badger's own Sync is about the last log only; it must have come before.
func (k *logKeeper) syncFull() error {
	logs, err := k.used()
	for i := 0; err == nil && i < len(logs)-1; i++ {
		err = k.syncLog(k.path(logs[i]))
	}
	return err
}

// syncLog makes one log durable, unless its table is: then it is gone.
func (k *logKeeper) syncLog(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := k.fsync(f); err != nil {
		return fmt.Errorf("%w: %w", errDropped, err)
	}
	return nil
}

func (k *logKeeper) path(n int) string { return filepath.Join(k.dir, fmt.Sprintf("%05d.mem", n)) }

// fasten gives the log in use all its blocks.
func (k *logKeeper) fasten() error { return allocate(k.path(k.next-1), os.O_RDWR, 0) }

// roomPause is the least time between two questions for room ahead of need.
const roomPause = time.Second

// committing is called before each transaction. When the memtable is full Badger begins at once to write its table, into a
// file mapped into memory: so there must be room for that before, and not before it may come, since other
// programs can take what is given back.
func (k *logKeeper) committing() {
	if k.hasRoom(roomToRotate) {
		return
	}
	if now := time.Now(); now.Sub(k.asked) >= roomPause && k.filling() {
		k.asked = now
		k.room(roomToRotate)
	}
}

// hasRoom tells whether the disk has so much, as far as that can be known.
func (k *logKeeper) hasRoom(need int64) bool {
	var st unix.Statfs_t
	err := unix.Statfs(k.dir, &st)
	return err != nil || int64(st.Bavail)*st.Bsize >= need
}

// filling tells whether the log in use is filled past a quarter of a memtable, which takes up to twice the room of its log:
// beyond what was written a log is zeros, and what is written is encrypted.
func (k *logKeeper) filling() bool {
	f, err := os.Open(k.path(k.next - 1))
	if err != nil {
		return true
	}
	defer f.Close()
	block := make([]byte, 4096)
	n, _ := f.ReadAt(block, memTableSize/4)
	return bytes.ContainsFunc(block[:n], func(r rune) bool { return r != 0 })
}

// committed is called after each transaction: when Badger has taken the next log, there must be one after it.
func (k *logKeeper) committed() {
	taken := false
	for {
		info, err := os.Stat(k.path(k.next))
		if err != nil || info.Size() == 0 {
			break
		}
		taken = true
		k.next++
	}
	if taken {
		k.room(roomToRotate)
		_ = k.fasten() // it has its blocks, as a rule
		k.prepare()
	} else if k.poor.Load() {
		k.prepare()
	}
}

// prepare makes the next log. A filesystem that can't allocate is left to its luck.
func (k *logKeeper) prepare() {
	err := allocate(k.path(k.next), os.O_RDWR|os.O_CREATE, unix.FALLOC_FL_KEEP_SIZE)
	if errors.Is(err, unix.ENOSPC) {
		k.room(roomToRotate)
		err = allocate(k.path(k.next), os.O_RDWR|os.O_CREATE, unix.FALLOC_FL_KEEP_SIZE)
	}
	k.poor.Store(errors.Is(err, unix.ENOSPC))
}

// close removes the log that was made ahead.
func (k *logKeeper) close() {
	if info, err := os.Stat(k.path(k.next)); err == nil && info.Size() == 0 {
		_ = os.Remove(k.path(k.next)) // the next start does it too
	}
}

// allocate gives a log its blocks. Its header, which Badger has only written to memory, is made durable too: a
// log without one is lost whole.
func allocate(path string, flags int, mode uint32) error {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		err = unix.Fallocate(int(f.Fd()), mode, 0, logSize)
		if err != unix.EINTR {
			break
		}
	}
	if err == nil && mode == 0 {
		err = f.Sync()
	}
	return err
}

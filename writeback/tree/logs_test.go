package tree

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The disk is full to the last byte, and the log is filled up, so that a new one and a table are made: without the
// blocks that were put by this process would die of SIGBUS.
func TestLogsHaveTheirBlocks(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=200m"); errors.Is(err, unix.EPERM) {
		t.Skip("NOT RUN: only root may mount a small disk for it")
	} else {
		require.NoError(t, err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(disk, unix.MNT_DETACH)) }) // after the tree is closed
	reserve := filepath.Join(disk, "reserve")
	f, err := os.Create(reserve)
	require.NoError(t, err)
	require.NoError(t, unix.Fallocate(int(f.Fd()), 0, 0, 96<<20))
	require.NoError(t, f.Close())

	var asked atomic.Int32
	h := newHouse(t, onDisk(filepath.Join(disk, "tree")), func(o *Options) {
		o.Room = func(int64) {
			asked.Add(1)
			_ = os.Remove(reserve)
		}
	})
	require.Zero(t, asked.Load())
	filler, err := os.Create(filepath.Join(disk, "filler"))
	require.NoError(t, err)
	defer filler.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = filler.Write(block)
	}
	require.ErrorIs(t, err, unix.ENOSPC)

	value := make([]byte, 100<<10)
	for i := range 200 {
		_, err := rand.Read(value)
		require.NoError(t, err)
		require.NoError(t, h.Update(context.Background(), func(tx *Tx) error {
			return tx.Badger().Set([]byte(fmt.Sprintf("w test %d", i%20)), value)
		}))
	}
	require.NotZero(t, asked.Load(), "no new log was made")
	require.False(t, h.Poor())
	h.check()
}

// A memtable is full, and its table can't be written yet: what was committed to it before is made durable by a sync all the
// same, though it stands in a log that Badger's own sync passes over by then.
func TestSyncIsAboutFullLogsToo(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, onDisk(dir))
	full, emptied := h.fillLog(dir)
	var synced []string
	h.logs.fsync = func(f *os.File) error {
		synced = append(synced, f.Name())
		return f.Sync()
	}
	require.NoError(t, h.Sync())
	require.Equal(t, []string{full}, synced)
	emptied()
}

// A sync that failed isn't forgotten: the kernel may have dropped what it was about, and a second one says nothing of that. With
// the next opening all is well, since what was in memory, or in the logs, is written to tables.
func TestSyncFailureIsNotForgotten(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, onDisk(dir))
	_, emptied := h.fillLog(dir)
	h.logs.fsync = func(*os.File) error { return unix.EIO }
	require.ErrorIs(t, h.Sync(), unix.EIO)
	require.ErrorIs(t, h.Unsynced(), unix.EIO)
	h.logs.fsync = (*os.File).Sync
	require.ErrorIs(t, h.Sync(), unix.EIO)
	emptied()
	require.ErrorIs(t, h.Sync(), unix.EIO, "also when the table is there, which this sync says nothing of")
	require.NoError(t, h.Close())
	o := h.options()
	onDisk(dir)(&o)
	var err error
	h.Tree, err = Open(o)
	require.NoError(t, err)
	require.NoError(t, h.Unsynced())
	require.NoError(t, h.Sync())
}

// What a sync needs and can't have loses nothing: the next one does it.
func TestSyncWithoutDescriptors(t *testing.T) {
	h := newHouse(t, onDisk(t.TempDir()))
	h.syncs.do = func() error { return unix.EMFILE }
	require.ErrorIs(t, h.Sync(), unix.EMFILE)
	h.syncs.do = h.syncLogs
	require.NoError(t, h.Unsynced())
	require.NoError(t, h.Sync())
}

// fillLog fills a memtable whose table can't be written until emptied is called; full is its log.
func (h *house) fillLog(dir string) (full string, emptied func()) {
	t := h.t
	t.Helper()
	var taken []string // all names that the table might get
	for id := range 100 {
		path := filepath.Join(dir, fmt.Sprintf("%06d.sst", id))
		if os.Mkdir(path, 0o700) == nil {
			taken = append(taken, path)
		}
	}
	logs, err := h.logs.used()
	require.NoError(t, err)
	require.Len(t, logs, 1)
	full = h.logs.path(logs[0])
	value := make([]byte, 100<<10)
	for len(logs) == 1 {
		require.NoError(t, h.Update(context.Background(), func(tx *Tx) error {
			return tx.Badger().Set([]byte("w test"), value)
		}))
		logs, err = h.logs.used()
		require.NoError(t, err)
	}
	return full, func() {
		for _, path := range taken {
			require.NoError(t, os.Remove(path))
		}
	}
}

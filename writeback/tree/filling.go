package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A first fetch writes a tree once, and little of that is read before its end. Merging its tables all the while takes
// three fifths of the processor's time at a million nodes, and nearly half of the memory. So until then the database is
// open to be filled, which lets tables pile up; then it is opened anew, to be used, and they are merged once. Neither
// differs in what is on the disk.

// isNew tells whether the database doesn't exist yet.
func isNew(o Options) bool {
	if o.InMemory {
		return false
	}
	_, err := os.Stat(filepath.Join(o.Dir, badger.ManifestFilename))
	return errors.Is(err, fs.ErrNotExist)
}

// reopen opens the database anew, to be filled or to be used, at a moment when nobody uses it. On a disk that has no
// room for it the database stays as it is, until the next start.
func (t *Tree) reopen(filling bool) error {
	t.writeMu.Lock()
	defer t.writeMu.Unlock()
	if t.opts.InMemory || t.filling == filling {
		return nil
	}
	if !t.logs.hasRoom(2 * roomToRotate) {
		t.log.Warn("the disk of the state is nearly full: the database is put in order at the next start")
		return nil
	}
	err := t.users.alone(func() error {
		t.logs.close()
		if err := t.closeDatabase(); err != nil {
			return err
		}
		db, err := openChecked(t.opts, filling)
		if err != nil {
			return err
		}
		t.db, t.filling = db, filling
		if !filling {
			t.attending.Go(t.attendMerge) // here, where Close can't have begun
		}
		if err := t.logs.begin(); err != nil {
			return err
		}
		return setRunning(t.opts.Dir)
	})
	if err != nil {
		return fmt.Errorf("opening the database anew: %w", err)
	}
	return nil
}

// attendMerge lets go of maps while the tables that piled up are merged, which reads and writes all of them through maps;
// no transaction need come by meanwhile. It ends with the sweeper.
func (t *Tree) attendMerge() {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-t.sweeper.ctx.Done():
			return
		case <-tick.C:
		}
		if t.users.enter() != nil {
			return
		}
		t.used(residentEvery)
		piled := 0
		for _, table := range t.db.Tables() {
			if table.Level == 0 {
				piled++
			}
		}
		t.users.leave()
		if piled <= levelZero {
			return
		}
	}
}

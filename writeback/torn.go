package writeback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"megadisk/writeback/durable"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// After a power cut a row may name bytes that never reached the disk: those of
// a write that nobody synced. Then what was there before is shown in their
// place: a record that was laid over the same version, whose segment is
// still there (nothing is unlinked before all that was written since is
// synced), or that version. The file is held back from upload and status says so. Where there is
// neither, the bytes stay damaged: reading them is an error.

// bootFile holds the kernel's name of the boot in which the state was opened;
// an orderly end removes it.
const bootFile = "boot"

// bootID names this boot.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// powerCut tells whether the last run was ended by the machine's end.
func (e *Engine) powerCut() (bool, error) {
	was, err := os.ReadFile(filepath.Join(e.opts.Dir, bootFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(was) != bootID(), err
}

// markBoot says, durably, in which boot the state is open.
func (e *Engine) markBoot() error {
	f, err := os.OpenFile(filepath.Join(e.opts.Dir, bootFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.WriteString(bootID())
		err = errors.Join(err, f.Sync(), f.Close(), durable.SyncDir(e.opts.Dir))
	}
	if err != nil {
		return fmt.Errorf("marking the state as open: %w", err)
	}
	return nil
}

// mendTorn looks at all that is staged after a power cut, and mends what it
// can.
func (e *Engine) mendTorn(ctx context.Context) error {
	cut, err := e.powerCut()
	if err != nil || !cut {
		return err
	}
	torn, err := e.findTorn(ctx)
	if err != nil || len(torn) == 0 {
		return err
	}
	records := map[tree.Ino][]staging.Record{}
	for _, r := range e.staging.Records(func(ino uint64) bool { return torn[tree.Ino(ino)] != nil }) {
		records[tree.Ino(r.Ino)] = append(records[tree.Ino(r.Ino)], r)
	}
	for ino, es := range torn {
		err := e.mend(ctx, ino, es, records[ino])
		if err != nil && !errors.Is(err, tree.ErrStale) && !errors.Is(err, tree.ErrIsDir) {
			return fmt.Errorf("mending staged bytes after a power cut: %w", err)
		}
	}
	e.log.WithField("files", len(torn)).Error("the machine ended while files were written: bytes of some that nobody had synced are gone")
	return nil
}

// findTorn verifies what rows name, and lists what is damaged.
func (e *Engine) findTorn(ctx context.Context) (torn map[tree.Ino][]staging.Extent, err error) {
	torn = map[tree.Ino][]staging.Extent{}
	err = e.tree.View(func(tx *tree.Tx) error {
		return scanRegions(tx.Badger(), []byte{rowPrefix, rowExtents}, func(ino tree.Ino, _ uint64, es []staging.Extent) error {
			for _, x := range es {
				err := e.staging.Verify(ctx, x)
				var corrupt *staging.CorruptError
				switch {
				case errors.As(err, &corrupt):
					torn[ino] = append(torn[ino], x)
				case err != nil:
					return err
				}
			}
			return nil
		})
	})
	return torn, err
}

// mend puts what was there before in the place of a file's damaged extents.
func (e *Engine) mend(ctx context.Context, ino tree.Ino, torn []staging.Extent, records []staging.Record) error {
	st, err := e.pin(ino)
	if err != nil {
		return err
	}
	defer e.unpin(st)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.dirty {
		return nil // what is staged isn't the content any more: the commit removes it
	}
	for _, x := range torn {
		if st.base.Handle != "" {
			st.garbage = append(st.garbage, st.m.Punch(x.Off, min(x.End(), st.base.Limit))...)
		}
		for _, r := range records {
			from, to := max(x.Off, r.Extent.Off), min(x.End(), r.Extent.End())
			if from >= to {
				continue
			}
			if o, err := e.staging.Owner(r.Extent); err != nil || o.Base != string(st.base.Handle) {
				continue
			}
			before := r.Extent.Cut(from, to)
			e.staging.Retain(before)
			st.garbage = append(st.garbage, st.m.Insert(before)...)
		}
	}
	err = e.storeMapLocked(ctx, st, func(c *change) error {
		return c.refuse(ino, fmt.Errorf("%w: what was written last is gone with a power cut", ErrHeldBack), true)
	})
	st.dirty = err != nil
	return err
}

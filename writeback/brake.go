package writeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// The brake holds back deletions that look like an accident: of more than half
// of all files (and at least brakeLeast) within a minute, or, where they would
// be for good, of more than brakeMost. They alone wait, also through a restart,
// until Approve or Revert. What came to the cloud within the last day doesn't
// count: who unpacks something and removes it again has no accident.
const (
	brakeWindow = time.Minute
	brakeLeast  = 100
	brakeMost   = 1000
	brakeFresh  = 24 * time.Hour
)

// BrakedError says that deletions wait for somebody's word.
type BrakedError struct{ Deletions int }

func (e *BrakedError) Error() string {
	return fmt.Sprintf("%d deletions are held back, since they are so many at once: `megadisk approve` lets them go, `megadisk revert` brings the files back", e.Deletions)
}

// OnlyBraked gives the error if braked deletions are all that a Flush names;
// nil if there is more, or less.
func OnlyBraked(err error) *BrakedError {
	var (
		braked  *BrakedError
		refused *RefusedError
		halted  *HaltedError
	)
	if !errors.As(err, &braked) || errors.As(err, &refused) || errors.As(err, &halted) {
		return nil
	}
	return braked
}

// errBraked is why one of them waits.
var errBraked = errors.New("held back with many other deletions: `megadisk approve` or `megadisk revert`")

// removal is one file that was removed here.
type removal struct {
	at  time.Time
	ino tree.Ino
}

// noteRemoval remembers that a file went, if it counts.
func (q *queue) noteRemoval(in *tree.Inode, now time.Time) {
	if in.Kind != tree.File || in.Cloud == nil || !counts(in.Cloud, now) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	old := 0
	for old < len(q.removals) && now.Sub(q.removals[old].at) > brakeWindow {
		old++
	}
	q.removals = append(q.removals[old:], removal{now, in.Ino})
}

// counts tells whether a node is old enough to count for the brake.
func counts(c *tree.Cloud, now time.Time) bool {
	return now.Sub(time.Unix(c.Created, 0)) >= brakeFresh
}

// removedLately gives the files that went within the window.
func (q *queue) removedLately(now time.Time) (inos []tree.Ino) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.removals {
		if now.Sub(r.at) <= brakeWindow {
			inos = append(inos, r.ino)
		}
	}
	return inos
}

// tooMany tells whether the removals that are about to be sent are to be held
// back, as they are where it can't be counted what is left. Only the planner
// asks, and only when there are any.
func (s *survey) tooMany() bool {
	e := s.p.e
	if e.opts.NoBrake {
		return false
	}
	gone := 0
	for _, ino := range e.queue.removedLately(s.now) {
		row := s.row(ino)
		if row != nil && row.Removed && row.Cloud != nil {
			if heir, ok := s.p.heirs[place{row.Cloud.Parent, row.Cloud.Name}]; ok && s.row(heir) != nil {
				continue // it is replaced
			}
		}
		gone++
	}
	switch {
	case gone < brakeLeast:
		return false
	case e.opts.PermanentDelete && gone > brakeMost:
		return true
	}
	left, err := countFiles(s.tx, gone, s.now)
	if err != nil {
		e.log.WithError(err).Error("deletions are held back, since it isn't known how many files are left")
	}
	return err != nil || left < gone
}

// countFiles counts the files that the cloud has and that count, up to a number.
func countFiles(tx *tree.Tx, most int, now time.Time) (n int, err error) {
	dirs := []tree.Ino{tree.DriveIno, tree.SharesIno}
	for len(dirs) > 0 && n < most {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		for after := ""; n < most; {
			page, err := tx.ReadDir(dir, after, 1000)
			if isGone(err) {
				break
			}
			if err != nil {
				return n, fmt.Errorf("counting files: %w", err)
			}
			if len(page) == 0 {
				break
			}
			for i := range page {
				switch in := &page[i]; {
				case in.Kind == tree.Dir:
					dirs = append(dirs, in.Ino)
				case in.Cloud != nil && counts(in.Cloud, now):
					n++
				}
			}
			after = page[len(page)-1].Name
		}
	}
	return n, nil
}

// brake holds back all removals that are pending.
func (e *Engine) brake(ctx context.Context) error {
	return e.eachRemoval(ctx, func(c *change, in *tree.Inode, ent entry) error {
		if ent.Braked || ent.ForGood {
			return nil
		}
		ent.Braked = true
		return c.putEntry(in.Ino, ent)
	})
}

// eachRemoval calls fn for everything that is to be removed from the cloud, in
// bounded transactions.
func (e *Engine) eachRemoval(ctx context.Context, fn func(*change, *tree.Inode, entry) error) error {
	inos := e.queue.all()
	for len(inos) > 0 {
		n := min(len(inos), rowsAtOnce)
		err := e.update(ctx, func(c *change) error {
			for _, ino := range inos[:n] {
				in, err := c.Get(ino)
				ent, ok, eerr := c.entry(ino)
				if eerr != nil {
					return eerr
				}
				if err != nil || !ok || !in.Removed || in.Cloud == nil || c.inFlight(ino) {
					continue
				}
				if err := fn(c, &in, ent); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("changing deletions: %w", err)
		}
		inos = inos[n:]
	}
	return nil
}

// Approve lets the deletions go that are held back; it gives their number.
func (e *Engine) Approve(ctx context.Context) (n int, err error) {
	e.queue.forgetRemovals()
	err = e.eachRemoval(ctx, func(c *change, in *tree.Inode, ent entry) error {
		if !ent.Braked {
			return nil
		}
		n++
		ent.Braked = false
		return c.putEntry(in.Ino, ent)
	})
	return n, err
}

// forgetRemovals begins counting anew.
func (q *queue) forgetRemovals() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.removals = nil
}

// Revert brings back here what deletions that are held back took away; it
// gives the number of files and folders. They come back as new inodes, folders
// before what is in them.
func (e *Engine) Revert(ctx context.Context) (n int, err error) {
	below := map[megaclient.Handle][]tree.Ino{}
	mine := map[megaclient.Handle]bool{}
	err = e.eachRemoval(ctx, func(_ *change, in *tree.Inode, ent entry) error {
		if ent.Braked {
			below[in.Cloud.Parent] = append(below[in.Cloud.Parent], in.Ino)
			mine[in.Cloud.Handle] = true
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	var next []megaclient.Handle
	for parent := range below {
		if !mine[parent] {
			next = append(next, parent)
		}
	}
	for len(next) > 0 {
		parent := next[0]
		next = next[1:]
		for inos := below[parent]; len(inos) > 0; {
			var back []megaclient.Handle
			done := 0
			err := e.update(ctx, func(c *change) (err error) {
				done, back, err = c.bringBack(inos[:min(len(inos), rowsAtOnce/4)])
				return err
			})
			if err != nil {
				return n, fmt.Errorf("bringing files back: %w", err)
			}
			n += len(back)
			next = append(next, back...)
			inos = inos[done:]
		}
	}
	e.queue.forgetRemovals()
	return n, nil
}

// bringBack undoes removals, as many as a transaction takes, and gives the nodes that are back.
func (c *change) bringBack(inos []tree.Ino) (done int, back []megaclient.Handle, err error) {
	for versions := 0; done < len(inos) && versions < versionsAtOnce; done++ {
		in, err := c.Get(inos[done])
		ent, _, eerr := c.entry(inos[done])
		if eerr != nil {
			return done, back, eerr
		}
		if err != nil || !ent.Braked || !in.Removed || in.Cloud == nil {
			continue
		}
		versions += versionsOf(&in)
		shadow := in.Cloud.Clone()
		if err := c.release(in); err != nil {
			return done, back, err
		}
		if err := c.makeWay(in); err != nil {
			return done, back, err
		}
		if err := c.ApplyNode(nodeOf(shadow), ""); err != nil {
			return done, back, err
		}
		back = append(back, shadow.Handle)
	}
	return done, back, nil
}

// braked counts the deletions that are held back.
func (q *queue) braked() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.refused {
		if d.entry.Braked {
			n++
		}
	}
	return n
}

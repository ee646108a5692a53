package writeback

import (
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// step is one thing to do for an inode.
type step uint8

const (
	stepUpload   step = iota + 1 // freeze and upload the content
	stepFolder                   // create the folder
	stepFile                     // make the uploaded content a node or a new version
	stepAttrs                    // send name and attributes
	stepMove                     // send the new parent
	stepTrash                    // move to the bin
	stepDelete                   // remove for good
	stepSettle                   // nothing differs: drop the journal row
	stepRevive                   // the removal is undone by a change elsewhere
	stepUnview                   // what was removed from the trash is in the bin, and a thing there
	stepConflict                 // the content was also changed elsewhere
)

// verdict is what plan decides: steps to take now, in order; or a time to wait
// for; or neither, when something else must happen first.
type verdict struct {
	steps []step
	until time.Time
	wall  error // it waits for that
}

func do(steps ...step) verdict         { return verdict{steps: steps} }
func waitUntil(t time.Time) verdict    { return verdict{until: t} }
func blocked() verdict                 { return verdict{} }
func (v verdict) waits() bool          { return len(v.steps) == 0 && !v.until.IsZero() }
func (v verdict) has(s step) (ok bool) { return len(v.steps) > 0 && v.steps[0] == s }

// facts is all that a decision about one inode depends on.
type facts struct {
	now     time.Time
	times   Timings
	row     tree.Inode
	entry   entry
	asked   bool // a Flush wants it now
	stays   bool // it isn't to be sent
	trashed bool // it was put into the trash here
	inBin   bool // it is in the bin in the cloud

	// What only somebody's act takes away, and when it may be tried all the same.
	wall      error
	wallUntil time.Time

	// Of the folder that it is in here.
	parent megaclient.Handle // "" while that isn't in the cloud
	placed bool              // that folder and all above it are where they shall be
	orphan bool              // that folder was removed

	// Of content.
	writers   int       // handles open for writing
	lastWrite time.Time // zero if none is open
	lastFroze time.Time
	emptied   time.Time // truncated to nothing and not written since
	frozen    bool      // a generation exists
	uploading bool      // its upload runs
	uploaded  bool      // its upload is complete
	copy      bool      // it is, as a whole, a version that the cloud has
	leaver    bool      // another file holds the place in the cloud and is about to leave it

	// Of a removal.
	covered  bool      // the folder above it in the cloud is being removed too
	holding  bool      // something that is still wanted is below it in the cloud
	heir     bool      // a file not yet there takes its place, and replaces it
	lastGone time.Time // last removal below the same folder
	trash    bool      // to the bin, not for good
	lent     bool      // a copy that isn't in the cloud yet is to be made of its node
}

// plan decides. It is a pure function: everything it knows is in f.
func plan(f facts) verdict {
	row := &f.row
	if row.Pending == 0 || (row.Cloud == nil && row.Removed) {
		return do(stepSettle)
	}
	if retry := time.Unix(0, f.entry.Retry); f.entry.Retry != 0 && f.isToCome(retry, f.times.RetryWall) {
		return waitUntil(retry)
	}
	if f.stays {
		return blocked()
	}
	if f.wall != nil {
		return verdict{until: f.wallUntil, wall: f.wall}
	}
	if row.Removed {
		return planRemoval(f)
	}
	if due := settled(f.entry, f.times.Settle, f.times.SettleMax); !f.asked && f.isToCome(due, f.times.SettleMax) {
		return waitUntil(due)
	}
	if f.trashed {
		return planTrashed(f)
	}
	if f.orphan || f.parent == "" {
		return blocked()
	}
	if row.Cloud == nil {
		if row.Kind == tree.Dir {
			return do(stepFolder)
		}
		return planContent(f)
	}
	if v := planPlace(f); !v.has(stepSettle) {
		return v
	}
	if row.Pending.Has(tree.PendingContent) {
		return planContent(f)
	}
	if row.Pending.Has(tree.PendingAttrs) && attrsDiffer(row) != 0 {
		return do(stepAttrs)
	}
	return do(stepSettle)
}

// isToCome tells whether a time that was journaled is still to come. One that is
// further ahead than its wait can be long is of a clock that was set back since,
// and counts as past: nobody would wait for that year.
func (f *facts) isToCome(at time.Time, longest time.Duration) bool {
	ahead := at.Sub(f.now)
	return ahead > 0 && ahead <= longest+time.Second
}

// settled gives the end of the rest.
func settled(ent entry, rest, most time.Duration) time.Time {
	due := time.Unix(0, ent.Last).Add(rest)
	if limit := time.Unix(0, ent.Since).Add(most); limit.Before(due) {
		return limit
	}
	return due
}

// planPlace decides about name and parent; stepSettle means: both are right.
func planPlace(f facts) verdict {
	row := &f.row
	if !row.Pending.Has(tree.PendingPlace) {
		return do(stepSettle)
	}
	var steps []step
	if row.RawName() != row.Cloud.Name {
		steps = append(steps, stepAttrs)
	}
	if f.parent != row.Cloud.Parent {
		if !f.placed {
			return blocked()
		}
		steps = append(steps, stepMove)
	}
	if len(steps) == 0 {
		return do(stepSettle)
	}
	return do(steps...)
}

// planContent decides about a file whose bytes aren't in the cloud.
func planContent(f facts) verdict {
	row := &f.row
	if f.entry.Held {
		return blocked()
	}
	if row.Cloud != nil && row.Base.Handle != row.Cloud.Handle {
		return do(stepConflict)
	}
	switch {
	case f.copy && f.writers == 0 && f.leaver:
		return blocked()
	case f.copy && f.writers == 0:
		return do(stepFile)
	case f.uploaded && f.leaver:
		return blocked()
	case f.uploaded:
		return do(stepFile)
	case f.uploading:
		return blocked()
	case f.frozen:
		return do(stepUpload)
	case f.writers == 0:
		return do(stepUpload)
	case f.asked:
		// Between O_TRUNC and the first write there is nothing worth keeping.
		if due := f.emptied.Add(f.times.Settle); !f.emptied.IsZero() && f.now.Before(due) {
			return waitUntil(due)
		}
		return do(stepUpload)
	}
	return planOpenFile(f)
}

// planOpenFile decides when a file that stays open for writing is frozen.
func planOpenFile(f facts) verdict {
	if !f.emptied.IsZero() {
		return blocked()
	}
	due := f.lastWrite.Add(f.times.OpenSettle)
	if !f.lastFroze.IsZero() && f.lastFroze.Add(f.times.OpenGap).After(due) {
		due = f.lastFroze.Add(f.times.OpenGap)
	}
	if f.now.Before(due) {
		return waitUntil(due)
	}
	return do(stepUpload)
}

// planRemoval decides about something that is to go from the cloud.
func planRemoval(f facts) verdict {
	if f.row.Kind == tree.File && f.entry.RemovedAs != "" && f.row.Cloud.Handle != f.entry.RemovedAs {
		return do(stepRevive)
	}
	if f.entry.Braked {
		return blocked()
	}
	if f.covered || f.holding || f.heir || f.lent && !f.trash {
		return blocked()
	}
	if !f.trash {
		return do(stepDelete) // its removal has rested already
	}
	rest := f.entry
	if gone := f.lastGone.UnixNano(); !f.lastGone.IsZero() && gone > rest.Last {
		rest.Last = gone
	}
	if due := settled(rest, f.times.DeleteSettle, f.times.DeleteMax); !f.asked && f.isToCome(due, f.times.DeleteMax) {
		return waitUntil(due)
	}
	return do(stepTrash)
}

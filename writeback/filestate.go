package writeback

import (
	"errors"

	"megadisk/writeback/tree"
)

// FileState says where an inode's changes are.
type FileState struct {
	Is  Progress
	Why string // they aren't sent, for people; "" if nothing holds them back
}

// Progress is how far an inode's changes are on their way to the cloud.
type Progress int

// The steps of it.
const (
	Unchanged Progress = iota // there are none
	Dirty                     // here, and still to be sent; or here only, because of the name
	Uploading                 // the content is on its way
	Stuck                     // the cloud refuses them, or the content is damaged
)

// Reasons that the journal doesn't word.
var (
	errContentDamaged = errors.New("the content is damaged on the disk here: write the file anew")
	errHereOnly       = errors.New("it stays on this machine, because of its name or because it is in the desktop's trash")
)

// FileState tells where an inode's changes are.
func (e *Engine) FileState(ino tree.Ino) (s FileState, err error) {
	if _, err := e.tree.Get(ino); err != nil {
		return s, err
	}
	e.queue.with(ino, func(d *dirtyInode) {
		switch {
		case d.entry.Held:
			s = FileState{Stuck, errContentDamaged.Error()}
		case d.stays != goes:
			s = FileState{Dirty, errHereOnly.Error()}
		case d.upload != nil:
			s.Is = Uploading
		case d.entry.Reason != "":
			s = FileState{Stuck, d.entry.Reason}
		case d.wall != nil:
			s = FileState{Stuck, d.wall.Error()}
		case d.entry.Braked:
			s = FileState{Dirty, errBraked.Error()}
		default:
			s.Is = Dirty
		}
	})
	return s, nil
}

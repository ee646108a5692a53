package tree

import (
	"errors"
	"fmt"
)

// What an operation can fail with. They come wrapped: use errors.Is.
var (
	ErrNotFound    = errors.New("no such entry")
	ErrExist       = errors.New("the name is taken")
	ErrNotDir      = errors.New("not a folder")
	ErrIsDir       = errors.New("a folder")
	ErrNotEmpty    = errors.New("the folder is not empty")
	ErrNameTooLong = errors.New("the name is longer than 255 bytes")
	ErrStale       = errors.New("the inode's row is gone")
	ErrInvalid     = errors.New("not valid")
	ErrCircular    = errors.New("a folder can't be moved into itself")

	ErrAccess     = errors.New("the share gives no right to do that")
	ErrReadOnly   = errors.New("this part of the account is read-only")
	ErrShareRoot  = errors.New("the root of a share can't be moved or removed")
	ErrCrossShare = errors.New("a move can't cross the border of a share")

	// ErrTooBig means that one transaction wanted more than the database takes (see Tx.Full).
	ErrTooBig = errors.New("the transaction is too big")
	// ErrWrongKey means that the state was encrypted with another key.
	ErrWrongKey = errors.New("the key does not open this state")
	// ErrClosed means that the tree was closed.
	ErrClosed = errors.New("the tree is closed")
	// ErrCorrupt means that a row can't be read.
	ErrCorrupt = errors.New("the state is damaged")
)

// LockedError means that another process has the state open.
type LockedError struct {
	Dir string
	PID int // of that process, 0 if unknown
}

// Error says who has the lock.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("%s is in use by process %d", e.Dir, e.PID)
}

// NewerError means that the state was written by a newer version of this program.
type NewerError struct {
	Have, Known int // format of the state, newest format that this program reads
}

// Error says which formats don't fit.
func (e *NewerError) Error() string {
	return fmt.Sprintf("the state has format %d, this program reads up to %d", e.Have, e.Known)
}

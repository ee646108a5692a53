package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// Errors of the engine; those of names and places are the tree's sentinels.
var (
	// ErrNoSpace: the disk that holds the state is too full for more, or what
	// waits there to be uploaded has reached its limit.
	ErrNoSpace = errors.New("there is no room for more unsent changes")
	// ErrTooBig: a file would grow beyond MaxFileSize.
	ErrTooBig = errors.New("file too large")
	// ErrClosed: the engine was closed.
	ErrClosed = errors.New("the state is closed")
	// ErrWrongMaster: the master key doesn't open the state key.
	ErrWrongMaster = errors.New("the state belongs to another master key")
	// ErrKeyMissing: there is a state, but not the key that opens it.
	ErrKeyMissing = errors.New("the key of the state is missing")
	// ErrKeyDamaged: the file with the state key can't be read.
	ErrKeyDamaged = errors.New("the key of the state is damaged")
	// ErrInBin: what is in the bin can be moved out of it; it goes for good only by emptying the bin. Nothing is made
	// in it, moved about in it or, but by removing it, into it.
	ErrInBin = errors.New("what is in the bin can only be moved out of it")
	// ErrNotWritable: the handle wasn't opened for writing.
	ErrNotWritable = errors.New("handle not open for writing")
	// ErrFull: the account that would pay for it has no room in the cloud.
	ErrFull = errors.New("the storage in the cloud is full")
	// ErrCloudReadOnly: the cloud takes no change there.
	ErrCloudReadOnly = errors.New("the cloud can't be written to")
	// ErrHeldBack: content that was found damaged after a crash isn't uploaded.
	ErrHeldBack = errors.New("staged content is damaged; held back from upload")
)

// MaxFileSize is the largest size of a file, in bytes (16 TiB).
const MaxFileSize = int64(1) << 44

// RefusedError says that the cloud (or a check before it) refused a change.
// The change stays in the journal and is tried again.
type RefusedError struct {
	Ino  tree.Ino
	Path string // where it is now, for messages to the user only: never log it
	Err  error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("not in the cloud yet: %s: %v", e.Path, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// NewerStateError says that the state folder was written by a newer version.
type NewerStateError struct{ Version int }

func (e *NewerStateError) Error() string {
	return fmt.Sprintf("state key format %d was written by a newer megadisk", e.Version)
}

// kindOfError sorts an error of the cloud by what must happen next.
type kindOfError int

const (
	errNetwork kindOfError = iota // no answer: everything waits
	errSession                    // log in again: everything stops
	errBlocked                    // the account is blocked: everything waits long
	errRefused                    // this change was refused
)

// classify never looks at texts. What isn't a MEGA error is the network.
func classify(err error) kindOfError {
	var blocked *megaclient.BlockedError
	switch {
	case errors.Is(err, megaclient.ESID):
		return errSession
	case errors.As(err, &blocked): // else it is a file that is blocked
		return errBlocked
	}
	var code *megaclient.Error
	var quota *megaclient.OverQuotaError
	if errors.As(err, &code) || errors.As(err, &quota) || errors.Is(err, ErrHeldBack) {
		return errRefused
	}
	return errNetwork
}

// isNetwork tells whether an upload failed for want of an answer, and not for
// what it was about. What isn't known is not the network: it is shown.
func isNetwork(err error) bool {
	var disk *fs.PathError
	if errors.As(err, &disk) { // what the system says of a disk is worded as what it says of a network
		return false
	}
	var status *megaclient.StatusError
	var network net.Error
	return errors.Is(err, megaclient.ErrUnreachable) || errors.Is(err, megaclient.ErrBadAnswer) ||
		errors.Is(err, megaclient.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.As(err, &status) || errors.As(err, &network)
}

// isCancel tells whether err only says that we were told to stop.
func isCancel(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"megadisk/cmd/megadisk/internal/account"
	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/daemon"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// Exit statuses, as README.md lists them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitLogin       = 3 // not logged in, wrong password or code, session ended, account blocked
	exitUnreachable = 4 // the server can't be reached
	exitPending     = 5 // something is still not in the cloud
	exitMountpoint  = 6 // the mount point is missing, busy, stale or not a folder
	exitState       = 7 // the state is in use by another process, of a newer version, damaged, or can't be written
	exitNotThere    = 8 // there is no such file, version or entry
	exitBraked      = 9 // all is in the cloud but deletions that are held back: approve or revert
)

// exitMeanings is the table of them, for the manual; README.md has the same.
var exitMeanings = []struct {
	status  int
	meaning string
}{
	{exitDone, "done"},
	{exitFailed, "failed, for the reason that it says"},
	{exitUsage, "mistake in the command line"},
	{exitLogin, "not logged in, wrong password or code, session ended, account blocked"},
	{exitUnreachable, "the server can't be reached"},
	{exitPending, "something is still not in the cloud"},
	{exitMountpoint, "the mount point is missing, busy, stale or not a folder"},
	{exitState, "the state is open in another process, of a newer version, damaged, or can't be written"},
	{exitNotThere, "there is no such file, version, or entry of the bin"},
	{exitBraked, "all is in the cloud but deletions that are held back: `megadisk approve` or `megadisk revert`"},
}

// usageError is a mistake in the command line.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// describe is how an error reaches a command in another process.
func describe(err error) *control.Error {
	var held *serve.HeldError
	ending := errors.Is(err, serve.ErrEnding) || errors.As(err, &held) && held.Ended
	return &control.Error{Message: sentence(err), Exit: exitStatus(err), Ending: ending}
}

// exitStatus is the one place where an error becomes an exit status.
func exitStatus(err error) int {
	var (
		usage   *usageError
		pending *serve.PendingError
		held    *writeback.RefusedError
		halted  *writeback.HaltedError
		refusal *control.Error
		blocked *megaclient.BlockedError
		early   *account.WaitError
		point   *serve.MountpointError
		absent  *serve.NotThereError
	)
	if failure, ok := daemon.AsFailure(err); ok {
		return failure.Exit
	}
	switch {
	case errors.As(err, &refusal):
		return refusal.Exit
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, megaclient.ErrLinkWrongKey):
		return exitUsage
	case errors.As(err, &absent), errors.Is(err, megaclient.ErrLinkGone):
		return exitNotThere
	case errors.As(err, &point):
		return exitMountpoint
	case stateProblem(err) != "":
		return exitState
	case errors.Is(err, account.ErrNone), errors.Is(err, account.ErrDamaged), errors.Is(err, megaclient.ErrBadSession), errors.Is(err, megaclient.ErrBadLogin), errors.Is(err, megaclient.ErrMFARequired),
		errors.Is(err, megaclient.ErrMFAWrong), errors.Is(err, megaclient.ESID), errors.As(err, &blocked):
		return exitLogin
	case errors.As(err, &early), errors.Is(err, megacrypto.ErrLinkPassword):
		return exitLogin
	case writeback.OnlyBraked(err) != nil:
		return exitBraked
	case errors.As(err, &pending), errors.As(err, &held), errors.As(err, &halted):
		return exitPending
	case unreachable(err) != nil, errors.Is(err, serve.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailed
}

// unreachable returns the part of err that says that the network failed, or nil. (Every errno is a net.Error,
// also "no such file", so that interface tells nothing; and our control sockets are no network.)
func unreachable(err error) error {
	var (
		op  *net.OpError
		dns *net.DNSError
	)
	switch {
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &op) && op.Net != "unix":
		return op
	case errors.Is(err, megaclient.ErrUnreachable):
		return innermost(err)
	}
	return nil
}

// innermost is the cause of the causes of err; of several, the last.
func innermost(err error) error {
	for {
		var inner error
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			inner = e.Unwrap()
		case interface{ Unwrap() []error }:
			if list := e.Unwrap(); len(list) > 0 {
				inner = list[len(list)-1]
			}
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// stateProblem says what keeps the state from being opened or written, "" if that isn't the matter.
func stateProblem(err error) string {
	var (
		locked    *tree.LockedError
		newerTree *tree.NewerError
		newerKey  *writeback.NewerStateError
		newerSeg  *staging.NewerError
		damaged   *tree.DamagedError
		full      *serve.FullError
		folder    *paths.FolderError
	)
	switch {
	case errors.As(err, &locked):
		return "another process has this account's state open: `megadisk status` shows it, `megadisk unmount` ends it"
	case errors.As(err, &newerTree), errors.As(err, &newerKey), errors.As(err, &newerSeg):
		return "this account's state was written by a newer megadisk: use that version, or another --state-dir"
	case errors.Is(err, tree.ErrWrongKey), errors.Is(err, writeback.ErrWrongMaster):
		return "this account's state can't be opened with the key of this login: log in with the account that made it, or use another --state-dir"
	case errors.Is(err, writeback.ErrKeyMissing), errors.Is(err, writeback.ErrKeyDamaged):
		return fmt.Sprintf("%v: put it back from a backup of the state folder (without it nothing that is pending there can be read), or move the folder away to begin anew", err)
	case errors.As(err, &damaged) && errors.Is(err, unix.EIO):
		return fmt.Sprintf("the disk of %s fails (%v): try again, and see `dmesg`; if it goes on, `megadisk export-pending DIR` saves what is pending; then move the state folder away to begin anew",
			damaged.Dir, fileError(damaged))
	case errors.As(err, &damaged):
		return fmt.Sprintf("%v: `megadisk export-pending DIR` saves what is pending; then move the state folder away to begin anew", damaged)
	case errors.Is(err, tree.ErrCorrupt):
		return fmt.Sprintf("%v: `megadisk export-pending DIR` saves what is pending; then move the state folder away to begin anew", err)
	case errors.As(err, &full):
		return full.Error()
	case errors.As(err, &folder):
		return folder.Error()
	case errors.Is(err, unix.ENOSPC):
		return fmt.Sprintf("the disk is full (%v): free some space on it and try again", fileError(err))
	}
	return ""
}

// fileError is the part of err that names a file, or its innermost cause.
func fileError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path
	}
	return innermost(err)
}

// sentence words err for a person: what happened, and what to do.
func sentence(err error) string {
	var (
		blocked *megaclient.BlockedError
		inner   = unreachable(err)
		state   = stateProblem(err)
		status  *megaclient.StatusError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, megaclient.ErrBadSession):
		return account.ErrDamaged.Error()
	case errors.Is(err, megaclient.ErrLinkGone):
		return "the link leads nowhere (any more): ask for a new one where it comes from"
	case errors.Is(err, megaclient.ErrLinkWrongKey):
		return "the link's key is not the right one: copy the link again, in quotes"
	case errors.Is(err, megacrypto.ErrLinkPassword):
		return "the password is not the one of this link: try again"
	case errors.Is(err, megaclient.ErrBadLogin):
		return "the e-mail address or the password is wrong: try again"
	case errors.Is(err, megaclient.ErrMFARequired):
		return "this account asks for a two-factor code: run again with --mfa-code, or on a terminal"
	case errors.Is(err, megaclient.ErrMFAWrong):
		return "the two-factor code is wrong or too old: run again with a new one"
	case errors.Is(err, megaclient.ESID):
		return "the session has ended: run `megadisk login` again (nothing that is pending is lost)"
	case errors.As(err, &blocked):
		return "the account is blocked: see https://mega.nz in a browser for the reason (nothing that is pending is lost)"
	case state != "":
		return state
	case errors.As(err, &status) && status.RetryAfter > 0:
		return fmt.Sprintf("the server asks to be left alone for %v: try again then", status.RetryAfter.Round(time.Second))
	case inner != nil:
		return fmt.Sprintf("the server can't be reached (%v): check the network and --api-url", inner)
	}
	// What other programs say may have several lines.
	return strings.TrimSuffix(strings.Join(strings.Fields(err.Error()), " "), ".")
}

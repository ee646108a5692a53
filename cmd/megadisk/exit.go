package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"megadisk/cmd/megadisk/internal/account"
	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/daemon"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
	"megadisk/writeback"
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
	exitState       = 7 // the state is in use by another process, of a newer version, or can't be written
)

// usageError is a mistake in the command line.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// describe is how an error reaches a command in another process.
func describe(err error) *control.Error {
	return &control.Error{Message: sentence(err), Exit: exitStatus(err), Ending: errors.Is(err, serve.ErrEnding)}
}

// exitStatus is the one place where an error becomes an exit status.
func exitStatus(err error) int {
	var (
		usage   *usageError
		pending *serve.PendingError
		held    *writeback.RefusedError
		refusal *control.Error
		blocked *megaclient.BlockedError
		locked  *tree.LockedError
		newer   *tree.NewerError
		point   *serve.MountpointError
	)
	if failure, ok := daemon.AsFailure(err); ok {
		return failure.Exit
	}
	switch {
	case errors.As(err, &refusal):
		return refusal.Exit
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &point):
		return exitMountpoint
	case errors.As(err, &locked), errors.As(err, &newer), errors.Is(err, tree.ErrWrongKey):
		return exitState
	case errors.Is(err, account.ErrNone), errors.Is(err, megaclient.ErrBadLogin), errors.Is(err, megaclient.ErrMFARequired),
		errors.Is(err, megaclient.ErrMFAWrong), errors.Is(err, megaclient.ESID), errors.As(err, &blocked):
		return exitLogin
	case errors.As(err, &pending), errors.As(err, &held):
		return exitPending
	case unreachable(err) != nil, errors.Is(err, serve.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailed
}

// unreachable returns the part of err that says that the network failed, or nil. (Every errno is a net.Error,
// also "no such file", so that interface tells nothing.)
func unreachable(err error) error {
	var (
		op  *net.OpError
		dns *net.DNSError
	)
	switch {
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &op):
		return op
	}
	return nil
}

// sentence words err for a person: what happened, and what to do.
func sentence(err error) string {
	var (
		blocked *megaclient.BlockedError
		locked  *tree.LockedError
		newer   *tree.NewerError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
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
	case errors.As(err, &locked):
		return "another process has this account's state open: `megadisk status` shows it, `megadisk unmount` ends it"
	case errors.As(err, &newer):
		return "this account's state was written by a newer megadisk: use that version, or another --state-dir"
	case errors.Is(err, tree.ErrWrongKey):
		return "this account's state can't be opened with the key of this login: log in with the account that made it, or use another --state-dir"
	case unreachable(err) != nil:
		return fmt.Sprintf("the server can't be reached (%v): check the network and --api-url", unreachable(err))
	}
	return strings.TrimSuffix(err.Error(), ".")
}

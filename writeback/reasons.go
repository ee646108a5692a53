package writeback

import (
	"errors"
	"fmt"

	"megadisk/megaclient"
)

// reason is a refusal in words that say what to do, with its cause.
type reason struct {
	text  string
	is    error // what fs makes an errno of; nil: the cause alone
	cause error
}

func (r *reason) Error() string { return r.text }

func (r *reason) Unwrap() []error {
	if r.is == nil {
		return []error{r.cause}
	}
	return []error{r.is, r.cause}
}

// explain words a refusal for whoever reads the status.
func explain(why error, shared bool) error {
	whose := "this account"
	if shared {
		whose = "the account that the folder belongs to"
	}
	say := func(is error, format string, args ...any) error {
		return &reason{text: fmt.Sprintf(format, args...), is: is, cause: why}
	}
	switch {
	case isFull(why):
		return say(ErrFull, "the storage of %s is full: make room or get more, then `megadisk retry`", whose)
	case errors.Is(why, megaclient.EBUSINESSPASTDUE):
		return say(ErrCloudReadOnly, "the business account has not been paid and can't be written to")
	case errors.Is(why, megaclient.EACCESS) && shared:
		return say(ErrCloudReadOnly, "its owner shares the folder for reading only: ask for the right to write, then `megadisk retry`")
	case errors.Is(why, megaclient.EACCESS):
		return say(nil, "the server doesn't allow this account to do that")
	case errors.Is(why, megaclient.ENOENT):
		return say(nil, "the folder that it belongs in, or the file itself, is no longer in the cloud")
	case errors.Is(why, megaclient.EBLOCKED):
		return say(nil, "the server has blocked this file")
	case errors.Is(why, megaclient.EARGS), errors.Is(why, megaclient.ERANGE):
		return say(nil, "the server takes no such file: its name or its size is more than it allows")
	case errors.Is(why, megaclient.ECIRCULAR):
		return say(nil, "the folder would be moved into itself")
	case errors.Is(why, errUploadLost):
		return say(nil, "the server no longer has what was uploaded: it is sent again")
	case isPassing(why):
		return say(nil, "the server is too busy: it is asked again")
	}
	return why
}

// errUploadLost means that the server didn't know an upload, or the folder for it, for the first time. Uploads it keeps for a
// while only.
var errUploadLost = errors.New("the upload is lost")

// isPassing tells refusals that are over by themselves: who flushes waits.
func isPassing(err error) bool {
	if errors.Is(err, errUploadLost) {
		return true
	}
	for _, code := range []megaclient.ErrorCode{
		megaclient.EINTERNAL, megaclient.EAGAIN, megaclient.ERATELIMIT, megaclient.ETOOMANY, megaclient.ETEMPUNAVAIL,
		megaclient.ETOOMANYCONNECTIONS, megaclient.EROLLEDBACK,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// isLasting tells refusals, by their number, that only somebody's act takes away.
func isLasting(code int) bool {
	switch megaclient.ErrorCode(code) {
	case megaclient.EACCESS, megaclient.EBLOCKED, megaclient.EARGS, megaclient.ERANGE, megaclient.ECIRCULAR,
		megaclient.EOVERQUOTA, megaclient.EGOINGOVERQUOTA, megaclient.EPAYWALL, megaclient.EBUSINESSPASTDUE,
		megaclient.EMASTERONLY:
		return true
	}
	return false
}

// HaltedError says why nothing is sent at all.
type HaltedError struct {
	Changes int // that wait
	Err     error
}

func (e *HaltedError) Error() string {
	return fmt.Sprintf("%d changes wait: %v", e.Changes, e.Err)
}

func (e *HaltedError) Unwrap() error { return e.Err }

// ErrPaused says that sending was paused by a command.
var ErrPaused = errors.New("sending is paused: `megadisk resume` lets it go on")

package megaclient

import (
	"errors"
	"fmt"
	"time"
)

// ErrorCode is a number by which the server refuses something (PROTOCOL 1.6). The constants below
// are meant for errors.Is: errors.Is(err, megaclient.ENOENT).
type ErrorCode int

// What the server can answer (PROTOCOL 1.6).
const (
	EINTERNAL           ErrorCode = -1
	EARGS               ErrorCode = -2
	EAGAIN              ErrorCode = -3
	ERATELIMIT          ErrorCode = -4
	EFAILED             ErrorCode = -5
	ETOOMANY            ErrorCode = -6
	ERANGE              ErrorCode = -7
	EEXPIRED            ErrorCode = -8
	ENOENT              ErrorCode = -9
	ECIRCULAR           ErrorCode = -10
	EACCESS             ErrorCode = -11
	EEXIST              ErrorCode = -12
	EINCOMPLETE         ErrorCode = -13
	EKEY                ErrorCode = -14
	ESID                ErrorCode = -15
	EBLOCKED            ErrorCode = -16
	EOVERQUOTA          ErrorCode = -17
	ETEMPUNAVAIL        ErrorCode = -18
	ETOOMANYCONNECTIONS ErrorCode = -19
	EWRITE              ErrorCode = -20
	EREAD               ErrorCode = -21
	EAPPKEY             ErrorCode = -22
	ESSL                ErrorCode = -23
	EGOINGOVERQUOTA     ErrorCode = -24
	EROLLEDBACK         ErrorCode = -25
	EMFAREQUIRED        ErrorCode = -26
	EMASTERONLY         ErrorCode = -27
	EBUSINESSPASTDUE    ErrorCode = -28
	EPAYWALL            ErrorCode = -29
	ESUBUSERKEYMISSING  ErrorCode = -30
)

var codeTexts = map[ErrorCode]string{
	EINTERNAL:           "the server failed",
	EARGS:               "the server refused the arguments",
	EAGAIN:              "the server is busy",
	ERATELIMIT:          "too many requests",
	EFAILED:             "failed for good",
	ETOOMANY:            "too many",
	ERANGE:              "out of range",
	EEXPIRED:            "expired",
	ENOENT:              "not found",
	ECIRCULAR:           "a folder can't be moved into itself",
	EACCESS:             "access denied",
	EEXIST:              "exists already",
	EINCOMPLETE:         "incomplete",
	EKEY:                "wrong key or checksum",
	ESID:                "the session has ended: log in again",
	EBLOCKED:            "blocked",
	EOVERQUOTA:          "over quota",
	ETEMPUNAVAIL:        "temporarily unavailable",
	ETOOMANYCONNECTIONS: "too many connections",
	EWRITE:              "write error",
	EREAD:               "read error",
	EAPPKEY:             "application refused",
	ESSL:                "certificate check failed",
	EGOINGOVERQUOTA:     "it would exceed the storage quota",
	EROLLEDBACK:         "rolled back",
	EMFAREQUIRED:        "a two-factor code is needed",
	EMASTERONLY:         "not allowed for a sub-user",
	EBUSINESSPASTDUE:    "the business account is past due",
	EPAYWALL:            "the account is full beyond its grace period and read-only",
	ESUBUSERKEYMISSING:  "the sub-user's key is missing",
}

// Error gives the code as a phrase.
func (c ErrorCode) Error() string {
	if text, ok := codeTexts[c]; ok {
		return fmt.Sprintf("%s (%d)", text, int(c))
	}
	return fmt.Sprintf("MEGA error %d", int(c))
}

// Error is a refusal by the server. errors.Is compares it by its code.
type Error struct {
	Code    ErrorCode
	Command string // the command refused ("p", "us", …); "" for a whole request
	User    int    // extra status of the user, 0 if none (PROTOCOL 1.4, key u)
	Link    int    // extra status of the link, 0 if none (PROTOCOL 1.4, key l)
}

// Error names the command and says what the code means.
func (e *Error) Error() string {
	if e.Command == "" {
		return "MEGA: " + e.Code.Error()
	}
	return "MEGA command " + e.Command + ": " + e.Code.Error()
}

// Unwrap gives the code, so that errors.Is(err, ENOENT) works.
func (e *Error) Unwrap() error { return e.Code }

// Errors that are no single answer of the server.
var (
	// ErrUncertain says that a batch may or may not have been executed, and must not be sent again:
	// its fate is to be found in the events or the tree.
	ErrUncertain = errors.New("the change was sent, but it is not known whether it was made")
	// ErrTooOld says that the events since the given sequence number are no longer to be had: only
	// a full fetch helps.
	ErrTooOld = errors.New("too far behind: the whole tree must be fetched again")
	// ErrBadLogin says that e-mail or password is wrong.
	ErrBadLogin = errors.New("wrong e-mail or password")
	// ErrBadSession says that what was stored of a session is damaged.
	ErrBadSession = errors.New("the stored session is damaged: log in again")
	// ErrMFARequired says that the account wants a two-factor code.
	ErrMFARequired = errors.New("the account wants a two-factor code")
	// ErrMFAWrong says that the two-factor code given was not accepted.
	ErrMFAWrong = errors.New("wrong two-factor code")
	// ErrUnreachable says that no answer came from the server, for as long as was worth trying. It
	// wraps the last cause.
	ErrUnreachable = errors.New("the server can't be reached")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("client closed")
	// ErrNoShareKey says that the key of a share is not known here.
	ErrNoShareKey = errors.New("the share's key is not known")
	// ErrBadAnswer says that a server's answer could not be understood.
	ErrBadAnswer = errors.New("the server's answer could not be understood")
)

// BlockedError says that the account is blocked. errors.Is(err, EBLOCKED) holds.
type BlockedError struct {
	// Reason as whyamiblocked gives it (PROTOCOL 2.7): 200 copyright, 300 terms of service, 400
	// disabled sub-user, 401 removed sub-user, 500 phone and 700 e-mail verification; 0 unknown.
	Reason int
}

// Error says why, and who can help.
func (e *BlockedError) Error() string {
	why := map[int]string{
		200: "for copyright infringement",
		300: "for breach of the terms of service",
		400: "because its business account disabled it",
		401: "because its business account removed it",
		500: "until its phone number is verified",
		700: "until its e-mail address is verified",
	}[e.Reason]
	if why == "" {
		return fmt.Sprintf("the account is blocked (reason %d): see mega.nz", e.Reason)
	}
	return "the account is blocked " + why + ": see mega.nz"
}

// Unwrap makes errors.Is(err, EBLOCKED) hold.
func (e *BlockedError) Unwrap() error { return EBLOCKED }

// OverQuotaError says that the transfer quota is used up. errors.Is(err, EOVERQUOTA) holds.
type OverQuotaError struct {
	Left time.Duration // until there is quota again, as the server says
}

// Error says how long to wait.
func (e *OverQuotaError) Error() string {
	return fmt.Sprintf("transfer quota used up for another %v", e.Left.Round(time.Second))
}

// Unwrap makes errors.Is(err, EOVERQUOTA) hold.
func (e *OverQuotaError) Unwrap() error { return EOVERQUOTA }

// StatusError is an HTTP status that stands in the way of an answer.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // how long the server asks to be left alone; 0: it doesn't say
}

// Error names the status.
func (e *StatusError) Error() string { return fmt.Sprintf("HTTP status %d", e.Status) }

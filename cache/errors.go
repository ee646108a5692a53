package cache

import (
	"errors"
	"fmt"
)

// ErrQuarantined is what reads of a file give whose content, also when fetched again, did not fit its key's MAC
// in any known variant. None of its bytes is kept. [Cache.Drop] forgets the verdict.
var ErrQuarantined = errors.New("content does not match its MAC: quarantined")

// ErrClosed is what reads give once the cache, or their reader, is closed.
var ErrClosed = errors.New("cache is closed")

// ErrWrong is what the readers of a large file get once it turns out that bytes which they may have had were wrong. The
// content is fetched again; who opens the file again gets that.
var ErrWrong = errors.New("content that was read does not match its MAC")

// ErrShortFetch means that a [FetchFunc] ended without an error and before the last byte asked for.
var ErrShortFetch = errors.New("fetch ended early")

// ErrLongFetch is what the writer of a [FetchFunc] answers when more bytes come than were asked for.
var ErrLongFetch = errors.New("fetch gave more bytes than were asked for")

// ErrTimeout is what reads give whose bytes did not come for as long as Options.Timeout, nor any others to
// speak of. The fetch may go on; a later read may succeed.
var ErrTimeout = errors.New("nothing came for too long")

// ErrOffset means that a read or a store was asked for bytes that no file can have.
var ErrOffset = errors.New("offset out of range")

// FetchError tells which bytes could not be fetched. It wraps what the [FetchFunc] returned, so that
// errors.As finds the protocol's own error in it.
type FetchError struct {
	Off, Len int64 // of the fetch that failed, in the file
	Err      error
}

// Error says what was being fetched, and nothing about the file.
func (e *FetchError) Error() string {
	return fmt.Sprintf("fetching %d bytes at %d: %v", e.Len, e.Off, e.Err)
}

// Unwrap gives the cause.
func (e *FetchError) Unwrap() error { return e.Err }

// errAbandoned marks a unit that was given up before its bytes came (nobody wanted it any more, or the
// whole content was dropped). A reader that meets it looks again; it never leaves the package.
var errAbandoned = errors.New("fetch abandoned")

var errNoFetch = errors.New("cache: Options.Fetch is missing")

package fs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  error
		want unix.Errno
	}{
		{nil, 0},
		{context.Canceled, unix.EINTR},
		{context.DeadlineExceeded, unix.EINTR},
		{&cache.FetchError{Err: fmt.Errorf("reading: %w", context.Canceled)}, unix.EINTR},
		{errors.Join(errors.New("closing"), context.DeadlineExceeded), unix.EINTR},
		// Interrupted, and that is what made it fail: not the failure counts.
		{errors.Join(megaclient.ErrUnreachable, context.Canceled), unix.EINTR},

		{tree.ErrNotFound, unix.ENOENT},
		{fmt.Errorf("looking up: %w", tree.ErrNotFound), unix.ENOENT},
		{tree.ErrExist, unix.EEXIST},
		{tree.ErrNotDir, unix.ENOTDIR},
		{tree.ErrIsDir, unix.EISDIR},
		{tree.ErrNotEmpty, unix.ENOTEMPTY},
		{tree.ErrNameTooLong, unix.ENAMETOOLONG},
		{tree.ErrStale, unix.ESTALE},
		{tree.ErrInvalid, unix.EINVAL},
		{tree.ErrCircular, unix.EINVAL},
		{tree.ErrAccess, unix.EACCES},
		{tree.ErrReadOnly, unix.EROFS},
		{tree.ErrShareRoot, unix.EPERM},
		{tree.ErrCrossShare, unix.EXDEV},
		{tree.ErrClosed, unix.EIO},
		{tree.ErrCorrupt, unix.EIO},
		{tree.ErrTooBig, unix.EIO}, // a transaction, not a file

		{writeback.ErrNoSpace, unix.ENOSPC},
		{fmt.Errorf("staging a write: %w", unix.ENOSPC), unix.ENOSPC},
		{writeback.ErrTooBig, unix.EFBIG},
		{writeback.ErrNotWritable, unix.EBADF},
		{writeback.ErrClosed, unix.EIO},
		{writeback.ErrHeldBack, unix.EIO},
		{&writeback.RefusedError{Err: megaclient.EGOINGOVERQUOTA}, unix.EDQUOT},

		{cache.ErrQuarantined, unix.EIO},
		{cache.ErrClosed, unix.EIO},
		{cache.ErrShortFetch, unix.EIO},

		{&megaclient.Error{Code: megaclient.EACCESS, Command: "g"}, unix.EACCES},
		{&cache.FetchError{Err: &megaclient.Error{Code: megaclient.ENOENT}}, unix.EIO}, // gone for good, elsewhere
		{&megaclient.OverQuotaError{}, unix.EDQUOT},
		{&megaclient.BlockedError{Reason: 200}, unix.EACCES},
		{megaclient.ESID, unix.EACCES},
		{megaclient.EPAYWALL, unix.EDQUOT},
		{megaclient.ErrUnreachable, unix.EIO},
		{megaclient.ErrUncertain, unix.EIO},
		{errors.New("something else"), unix.EIO},
	} {
		require.Equal(t, c.want, errnoOf(c.err), "%v", c.err)
	}
}

// A server whose packets are dropped is one that can't be reached, also where the system words that as a time that is over, as
// it words the end of a context: what is told that it was interrupted tries again, for ever.
func TestAServerThatDoesntAnswerIsNoInterrupt(t *testing.T) {
	late := net.Dialer{Deadline: time.Unix(1, 0)}
	_, timeout := late.Dial("tcp", "127.0.0.1:9")
	require.ErrorIs(t, timeout, context.DeadlineExceeded)
	unreachable := fmt.Errorf("%w: %w", megaclient.ErrUnreachable, timeout)
	require.Equal(t, unix.EIO, errnoOf(&cache.FetchError{Err: unreachable}))
}

func TestPathsStayOutOfTheLog(t *testing.T) {
	err := fmt.Errorf("flushing: %w", &writeback.RefusedError{Path: "/secret/name", Err: megaclient.EARGS})
	require.NotContains(t, withoutPath(err).Error(), "secret")
}

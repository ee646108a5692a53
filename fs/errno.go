package fs

import (
	"context"
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"megadisk/megaclient"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// errnos is the only place where an error becomes an errno. The first row that errors.Is finds counts; what none finds
// is EIO. The rooms below answer namespace operations from the tree, so that the server's own refusals come here only
// from reading content and from an fsync that waits for the cloud.
var errnos = []struct {
	err   error
	errno unix.Errno
}{
	// Interrupted, however deep: a request that gave up because it was told to has not failed.
	{context.Canceled, unix.EINTR},
	// Before the next row: the system words a connection that could not be made in time as it words the end of a context.
	{megaclient.ErrUnreachable, unix.EIO}, // what programs expect of a read that fails; the log says more
	{context.DeadlineExceeded, unix.EINTR},

	{tree.ErrNotFound, unix.ENOENT},
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

	{writeback.ErrNoSpace, unix.ENOSPC},
	{writeback.ErrFull, unix.EDQUOT},
	{writeback.ErrCloudReadOnly, unix.EROFS},
	{writeback.ErrXattrRoom, unix.ENOSPC},
	{writeback.ErrNoXattr, unix.ENODATA},
	{writeback.ErrXattrExists, unix.EEXIST},
	{writeback.ErrNotLink, unix.EINVAL},
	{writeback.ErrNoData, unix.ENXIO},
	{writeback.ErrTooBig, unix.EFBIG},
	{writeback.ErrInBin, unix.EPERM},
	{writeback.ErrNotWritable, unix.EBADF},
	{unix.ENOSPC, unix.ENOSPC}, // the disk of the state, cache or staging
	{unix.EDQUOT, unix.EDQUOT},

	{megaclient.EACCESS, unix.EACCES},
	{megaclient.EBLOCKED, unix.EACCES},
	{megaclient.ESID, unix.EACCES},
	{megaclient.EOVERQUOTA, unix.EDQUOT},
	{megaclient.EGOINGOVERQUOTA, unix.EDQUOT},
	{megaclient.EPAYWALL, unix.EDQUOT},
}

// errnoOf gives the errno for an error; 0 for nil.
func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	for _, row := range errnos {
		if errors.Is(err, row.err) {
			return row.errno
		}
	}
	return unix.EIO
}

// status answers a request with an error, and logs those that nobody could expect.
func (b *bridge) status(what string, err error) fuse.Status {
	errno := errnoOf(err)
	if errno == unix.EIO {
		b.log.WithError(withoutPath(err)).WithField("request", what).Warn("request failed")
	}
	return fuse.Status(errno)
}

// withoutPath gives the part of an error that may stand in a log.
func withoutPath(err error) error {
	var refused *writeback.RefusedError
	if errors.As(err, &refused) {
		return refused.Err
	}
	return err
}

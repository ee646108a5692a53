package writeback

import (
	"context"
	"io"

	"megadisk/megaclient"
)

// Cloud is what the engine needs of MEGA; *megaclient.Client is one.
type Cloud interface {
	User() megaclient.UserHandle
	LoadKeys(ctx context.Context) error
	UserEmail(ctx context.Context, u megaclient.UserHandle) (string, error)
	ShareKeys() map[megaclient.Handle]megaclient.ShareKey
	AddShareKeys(m map[megaclient.Handle]megaclient.ShareKey)
	Unlock(n *megaclient.Node) bool
	FetchNodes(ctx context.Context, cached bool, fn func(*megaclient.Node) error) (*megaclient.FetchResult, error)
	Listen(ctx context.Context, sn string, kick <-chan struct{}, handle func(*megaclient.Answer) error) error
	Prepare(ops ...megaclient.Op) (*megaclient.Batch, error)
	Execute(ctx context.Context, b *megaclient.Batch) ([]megaclient.Result, error)
	Busy(ctx context.Context) (bool, error)
	Connection() megaclient.Connection
	Quota(ctx context.Context) (megaclient.Quota, error)
	KeepsVersions(ctx context.Context) (bool, error)
	UploadURLs(ctx context.Context, wanted []megaclient.UploadRequest) ([]megaclient.UploadURL, error)
	Upload(ctx context.Context, target megaclient.Handle, st *megaclient.UploadState, src io.ReaderAt, hooks megaclient.UploadHooks) error
}

var _ Cloud = (*megaclient.Client)(nil)

package control

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type fake struct {
	History      // nil: nobody asks for it here
	DebrisKeeper // nor for these
	Linker
	Sharer
	Chronicler
	Carrier
	mounted []MountRequest
	flushed []string
}

func (f *fake) ExportPending(_ context.Context, dir string, tell func(Exported)) (Exported, error) {
	tell(Exported{Files: 1})
	return Exported{Files: 2}, nil
}

func (f *fake) Status(context.Context) (Status, error) {
	return Status{Account: "a@example.com", Online: true}, nil
}
func (f *fake) Mount(_ context.Context, r MountRequest) error {
	f.mounted = append(f.mounted, r)
	return nil
}
func (f *fake) Unmount(_ context.Context, r UnmountRequest) (bool, error) {
	if r.Mountpoint == "" {
		return false, errors.New("in use")
	}
	return true, nil
}
func (f *fake) Flush(_ context.Context, p string) error { f.flushed = append(f.flushed, p); return nil }
func (f *fake) Revive(context.Context) error            { return nil }
func (f *fake) Logout(context.Context, bool) error      { return nil }
func (f *fake) Approve(context.Context) (int, error)    { return 7, nil }
func (f *fake) Revert(context.Context) (int, error)     { return 8, nil }
func (f *fake) Retry(context.Context) error             { return nil }
func (f *fake) Pause(context.Context) error             { return nil }
func (f *fake) Resume(context.Context) error            { return nil }
func (f *fake) Verify(_ context.Context, p string, tell func(VerifyProgress)) (VerifyReport, error) {
	if p == "" {
		return VerifyReport{}, errors.New("nothing there")
	}
	tell(VerifyProgress{Files: 1, AllFiles: 2})
	return VerifyReport{Verified: 1, Wrong: []string{"a"}}, nil
}
func (f *fake) Accept(context.Context, string) (int, error) { return 3, nil }
func (f *fake) Pin(_ context.Context, p string) error {
	f.flushed = append(f.flushed, "pin "+p)
	return nil
}
func (f *fake) Unpin(_ context.Context, p string) error {
	f.flushed = append(f.flushed, "unpin "+p)
	return nil
}

func TestContentOverTheSocket(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f)
	ctx := context.Background()
	var told []VerifyProgress
	report, err := c.Verify(ctx, "/mnt", func(p VerifyProgress) { told = append(told, p) })
	require.NoError(t, err)
	require.Equal(t, VerifyReport{Verified: 1, Wrong: []string{"a"}}, report)
	require.Equal(t, []VerifyProgress{{Files: 1, AllFiles: 2}}, told)
	_, err = c.Verify(ctx, "", nil)
	require.ErrorContains(t, err, "nothing there")
	n, err := c.Accept(ctx, "/mnt")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.NoError(t, c.Pin(ctx, "/a"))
	require.NoError(t, c.Unpin(ctx, "/a"))
	require.Equal(t, []string{"pin /a", "unpin /a"}, f.flushed)
}

func start(t *testing.T, f *fake) (*Client, string) {
	path := filepath.Join(t.TempDir(), "s.sock")
	s, err := Serve(path, f, func(err error) *Error { return &Error{Message: err.Error(), Exit: 7} })
	require.NoError(t, err)
	t.Cleanup(s.Close)
	c, ok := Dial(path)
	require.True(t, ok)
	return c, path
}

func TestRoundTrip(t *testing.T) {
	f := &fake{}
	c, path := start(t, f)
	ctx := context.Background()

	st, err := c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, "a@example.com", st.Account)

	want := MountRequest{Source: "/Photos", Mountpoint: "/mnt", ReadOnly: true, FMask: 0o22}
	require.NoError(t, c.Mount(ctx, want))
	require.Equal(t, []MountRequest{want}, f.mounted)
	require.NoError(t, c.Flush(ctx, "/mnt/a"))
	require.Equal(t, []string{"/mnt/a"}, f.flushed)

	var refusal *Error
	_, err = c.Unmount(ctx, UnmountRequest{})
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, Error{Message: "in use", Exit: 7}, *refusal)

	ending, err := c.Unmount(ctx, UnmountRequest{Mountpoint: "/mnt"})
	require.NoError(t, err)
	require.True(t, ending)
	pid, err := c.PID()
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), pid)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestOneProcessOneSocket(t *testing.T) {
	_, path := start(t, &fake{})
	_, err := Serve(path, &fake{}, nil)
	require.ErrorIs(t, err, ErrTaken)
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close() // as a killed process leaves it
	_, ok := Dial(path)
	require.False(t, ok)
	s, err := Serve(path, &fake{}, nil)
	require.NoError(t, err)
	s.Close()
}

// slow answers when it is told to.
type slow struct {
	*fake
	asked, answer chan struct{}
}

func (s slow) Status(context.Context) (Status, error) {
	close(s.asked)
	<-s.answer
	return Status{}, nil
}

// A process that is ending, with a request under way, leaves the socket of the one that follows alone.
func TestSocketOfTheNextProcessStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	b := slow{&fake{}, make(chan struct{}), make(chan struct{})}
	first, err := Serve(path, b, nil)
	require.NoError(t, err)
	c, ok := Dial(path)
	require.True(t, ok)
	var ended sync.WaitGroup
	ended.Go(func() { _, _ = c.Status(context.Background()) })
	<-b.asked
	ended.Go(first.Close)
	require.Eventually(t, func() bool { return !Alive(path) }, time.Minute, time.Millisecond)
	second, err := Serve(path, &fake{}, nil)
	require.NoError(t, err)
	t.Cleanup(second.Close)
	close(b.answer)
	ended.Wait()
	require.True(t, Alive(path))
}

func TestAwaitEnd(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, AwaitEnd(gone, cmd.Process.Pid), context.Canceled)
	ended := make(chan error, 1)
	go func() { ended <- AwaitEnd(context.Background(), cmd.Process.Pid) }()
	require.NoError(t, in.Close())
	require.NoError(t, <-ended)
	require.NoError(t, cmd.Wait())
	require.NoError(t, AwaitEnd(context.Background(), cmd.Process.Pid), "also when it is long gone")
}

func TestOneAfterAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	first, err := AwaitTurn(context.Background(), path)
	require.NoError(t, err)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = AwaitTurn(gone, path)
	require.ErrorIs(t, err, context.Canceled)
	first.End()
	second, err := AwaitTurn(context.Background(), path)
	require.NoError(t, err)
	first.End() // says nothing about the second one's
	_, err = AwaitTurn(gone, path)
	require.ErrorIs(t, err, context.Canceled)
	second.End()
	(*Turn)(nil).End()
}

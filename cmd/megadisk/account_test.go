package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/cmd/megadisk/internal/control"
)

// neighbour is the process of an account among others.
type neighbour struct {
	control.Backend // nil: nothing else is asked of it

	status    control.Status
	broken    error
	restored  []string
	emptied   int
	unmounted []string
}

func (n *neighbour) Status(context.Context) (control.Status, error) { return n.status, n.broken }

func (n *neighbour) RestoreFromBin(_ context.Context, r control.BinRestore) (string, error) {
	n.restored = append(n.restored, r.Name)
	return "/" + r.Name, nil
}

func (n *neighbour) EmptyBin(context.Context, time.Duration) (int, error) {
	n.emptied++
	return 0, nil
}

func (n *neighbour) Unmount(_ context.Context, r control.UnmountRequest) (bool, error) {
	n.unmounted = append(n.unmounted, r.Mountpoint)
	return false, nil
}

// neighbours are the processes of two accounts, anna's and ben's, that show DIR/anna and DIR/ben.
func neighbours(t *testing.T) (anna, ben *neighbour, dir string) {
	dir, err := os.MkdirTemp("", "md") // a socket's path is short
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	c := &common{}
	run := func(name string) *neighbour {
		point := filepath.Join(dir, name)
		require.NoError(t, os.Mkdir(point, 0o700))
		n := &neighbour{status: control.Status{Account: name, Mounts: []control.Mount{{Mountpoint: point}}}}
		socket, err := c.dirs().Socket("host", name)
		require.NoError(t, err)
		s, err := control.Serve(socket, n, describe)
		require.NoError(t, err)
		t.Cleanup(s.Close)
		return n
	}
	return run("anna"), run("ben"), dir
}

func command(args ...string) error {
	root := newRoot()
	root.SetArgs(args)
	return root.Execute()
}

// What is restored comes out of the bin of the account that is named, and goes nowhere else.
func TestRestoreToAnotherAccount(t *testing.T) {
	anna, ben, dir := neighbours(t)
	err := command("bin", "restore", "report", "--account", "anna", "--to", filepath.Join(dir, "ben"))
	require.Equal(t, exitUsage, exitStatus(err))
	require.NoError(t, command("bin", "restore", "report", "--account", "anna", "--to", filepath.Join(dir, "anna")))
	require.Equal(t, []string{"report"}, anna.restored)
	require.Empty(t, ben.restored)
}

// Where one of several accounts can't be asked, the other one isn't the only one.
func TestTheOnlyAccount(t *testing.T) {
	anna, ben, _ := neighbours(t)
	require.Equal(t, exitUsage, exitStatus(command("bin", "empty")))
	anna.broken = errors.New("out of order")
	require.ErrorContains(t, command("bin", "empty"), "out of order")
	require.Zero(t, ben.emptied)
}

// A folder in what is mounted is no mount point: a name too many unmounts no drive.
func TestUnmountOfAFolderInside(t *testing.T) {
	anna, _, dir := neighbours(t)
	point := filepath.Join(dir, "anna")
	err := command("unmount", filepath.Join(point, "photos"))
	require.Equal(t, exitMountpoint, exitStatus(err))
	require.ErrorContains(t, err, "`megadisk unmount "+point+"`")
	require.Empty(t, anna.unmounted)
	require.NoError(t, command("unmount", "--no-wait", point+"/"))
	require.Equal(t, []string{point}, anna.unmounted)
}

package fs

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/writeback/tree"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []string
	for _, e := range list {
		all = append(all, e.Name())
	}
	return all
}

func TestALongListingSurvivesChangesBetweenItsParts(t *testing.T) {
	f := newFake(t)
	for i := range 1000 {
		f.put(tree.DriveIno, fmt.Sprintf("f%04d", i*2), nil)
	}
	dir, s := mountFake(t, f)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	require.NoError(t, err)
	defer unix.Close(fd)

	seen := map[string]int{}
	part := func() int {
		buf := make([]byte, 4096)
		n, err := unix.ReadDirent(fd, buf)
		require.NoError(t, err)
		_, count, list := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range list {
			seen[name]++
		}
		return count
	}
	require.NotZero(t, part())
	// Changed before, at, and behind the place that was reached: what stays is given exactly once.
	f.put(tree.DriveIno, "f0000.", nil)
	f.drop(tree.DriveIno, "f0002")
	f.drop(tree.DriveIno, "f1500")
	f.put(tree.DriveIno, "f1501", nil)
	last := slices.Max(keys(seen))
	f.drop(tree.DriveIno, last)
	require.NoError(t, s.Settled(t.Context()))
	for part() > 0 {
	}
	for i := range 1000 {
		name := fmt.Sprintf("f%04d", i*2)
		switch name {
		case "f1500":
			require.Zero(t, seen[name])
		default:
			require.Equal(t, 1, seen[name], name)
		}
	}
	require.Equal(t, 1, seen["f1501"])
}

func keys(m map[string]int) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}

// A second handle is given the first part from the kernel's cache, and goes on at a cookie that it never gave.
func TestACookieIsGoodInAnotherHandle(t *testing.T) {
	f := newFake(t)
	for i := range 500 {
		f.put(tree.DriveIno, fmt.Sprintf("f%04d", i), nil)
	}
	dir, _ := mountFake(t, f)
	first, err := os.Open(dir)
	require.NoError(t, err)
	defer first.Close()
	_, err = first.Readdirnames(10)
	require.NoError(t, err)
	require.Len(t, names(t, dir), 500)
	require.Len(t, names(t, dir), 500)
	rest, err := first.Readdirnames(-1)
	require.NoError(t, err)
	require.Len(t, rest, 490)
}

// closingFake is one in which a file is closed just when a listing looks for what is open.
type closingFake struct {
	*fake
	generation uint64
}

func (c *closingFake) Generation() uint64 { return c.generation }

func (c *closingFake) Fresh(in tree.Inode) tree.Inode {
	c.rows[in.Ino].Size = 9
	c.generation++
	return in
}

func TestListedWhileItIsClosed(t *testing.T) {
	c := &closingFake{fake: newFake(t)}
	row, err := c.Get(c.put(tree.DriveIno, "a", nil))
	require.NoError(t, err)
	now := newBridge(c, c, Options{}).freshSince(&row, 0)
	require.EqualValues(t, 9, now.Size)
}

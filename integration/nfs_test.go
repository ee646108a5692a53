package integration

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A mount can't be exported through NFS: the kernel gives no handle that a file could be opened by, which is what nfsd asks for
// when it exports. (Before 6.10 the kernel can't be told so; docs/POSIX.md says what it does then.)
func TestNFSCannotExportAMount(t *testing.T) {
	if release := kernelRelease(t); release[0] < 6 || release[0] == 6 && release[1] < 10 {
		t.Skip("this kernel can't be told that a mount isn't to be exported")
	}
	p, _ := mountedProgram(t)
	p.Shell("echo x >file && mkdir dir")
	for _, name := range []string{".", "dir", "file"} {
		_, _, err := unix.NameToHandleAt(unix.AT_FDCWD, filepath.Join(p.Point, name), 0)
		require.ErrorIs(t, err, unix.EOPNOTSUPP, name)
	}
}

// kernelRelease gives the two first numbers of the kernel's version.
func kernelRelease(t *testing.T) (release [2]int) {
	t.Helper()
	var uname unix.Utsname
	require.NoError(t, unix.Uname(&uname))
	_, err := fmt.Sscanf(unix.ByteSliceToString(uname.Release[:]), "%d.%d", &release[0], &release[1])
	require.NoError(t, err)
	return release
}

package integration

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/megaclient/megacrypto"
)

// TestLinkCommand: a link is made of what was just written, names what the server exports, opens with its key, and can be
// taken back.
func TestLinkCommand(t *testing.T) {
	p, account := mountedProgram(t)
	p.Shell("mkdir -p folder/sub && echo text >folder/sub/f && echo text >file")
	file := filepath.Join(p.Point, "file")
	link := strings.TrimSpace(p.Run("link", file))
	parsed, err := megacrypto.ParseLink(link)
	require.NoError(t, err)
	require.Equal(t, megacrypto.FileLink, parsed.Kind)
	require.Equal(t, account.Key(handleOf(t, account, "file")), parsed.Key)
	require.Equal(t, link, account.Export(handleOf(t, account, "file")), "it is the one that there is")
	value := make([]byte, 256)
	require.Eventually(t, func() bool {
		n, err := unix.Getxattr(file, "user.mega.link", value)
		return err == nil && string(value[:n]) == link
	}, bounded, 10*time.Millisecond)

	const attr = "user.mega.link"
	require.NoError(t, unix.Removexattr(file, attr))
	gone := func() bool { _, err := unix.Getxattr(file, attr, value); return err != nil }
	require.Eventually(t, gone, bounded, 10*time.Millisecond)
	require.ErrorIs(t, unix.Removexattr(file, attr), unix.ENODATA)
	for _, name := range []string{"file", "folder"} {
		require.NoError(t, unix.Setxattr(filepath.Join(p.Point, name), attr, []byte("yes"), 0), name)
	}
	require.ErrorIs(t, unix.Setxattr(file, "user.mega.handle", []byte("x"), 0), unix.EPERM)
	require.Eventually(t, func() bool { return !gone() }, bounded, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		_, _, status := p.Try("", "link", "--remove", filepath.Join(p.Point, "folder"))
		return status == 0
	},
		bounded, 10*time.Millisecond)

	folder := readJSON[map[string]string](t, p.Run("link", "--json", filepath.Join(p.Point, "folder")))["link"]
	parsed, err = megacrypto.ParseLink(folder)
	require.NoError(t, err)
	require.Equal(t, megacrypto.FolderLink, parsed.Kind)
	require.Eventually(t, func() bool { return xattr(filepath.Join(p.Point, "folder"), attr) == folder }, bounded, 10*time.Millisecond)

	ending := strings.TrimSpace(p.Run("link", "--expire", "1s", file))
	require.Eventually(t, func() bool {
		_, _, status := p.Try("", "get", ending, filepath.Join(t.TempDir(), "x"))
		return status == 8
	},
		bounded, 100*time.Millisecond, "it ends")
	require.Contains(t, refused(t, p, 2, "", "link", "--expire", "soon", file), "--expire")
	require.Contains(t, p.Run("link", "--remove", file), "taken back")
	require.Eventually(t, func() bool { _, _, status := p.Try("", "link", "--remove", file); return status == 8 },
		bounded, 10*time.Millisecond)
	_, errs, status := p.Try("", "link", p.Point)
	require.Equal(t, 1, status, errs)
}

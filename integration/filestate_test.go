package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// xattr reads an attribute of a file, "" if it has none.
func xattr(path, name string) string {
	value := make([]byte, 512)
	n, err := unix.Getxattr(path, name, value)
	if err != nil {
		return ""
	}
	return string(value[:n])
}

// awaitState waits until user.mega.state of a file is a word.
func awaitState(t *testing.T, path, word string) {
	t.Helper()
	require.Eventually(t, func() bool { return xattr(path, "user.mega.state") == word }, bounded, 10*time.Millisecond,
		"%s should be %s and is %s", filepath.Base(path), word, xattr(path, "user.mega.state"))
}

// TestStateOfAFile meets each word of user.mega.state.
func TestStateOfAFile(t *testing.T) {
	p, account := mountedProgram(t)
	account.PutFile(account.Root(), "big", noise(24<<20, 1), time.Now())
	small := noise(100_000, 2)
	account.PutFile(account.Root(), "small", small, time.Now())
	big := await(t, p, "big")
	path := await(t, p, "small")

	awaitState(t, big, "cloud")
	readSome(t, big, 16<<20)
	awaitState(t, big, "partial")
	awaitState(t, path, "cloud")
	require.True(t, rightOrEIO(t, path, small))
	awaitState(t, path, "cached")
	type pinned struct {
		Path   string
		Pinned bool
	}
	require.Equal(t, pinned{path, true}, readJSON[pinned](t, p.Run("pin", "--json", path)))
	awaitState(t, path, "pinned")
	require.Equal(t, pinned{path, false}, readJSON[pinned](t, p.Run("unpin", "--json", path)))
	awaitState(t, path, "cached")
	p.Run("free", path)
	awaitState(t, path, "cloud")

	p.Run("pause")
	p.Shell("echo text >note.txt")
	note := filepath.Join(p.Point, "note.txt")
	awaitState(t, note, "dirty")
	release := p.Server.Faults().HoldUploads(0)
	p.Run("resume")
	awaitState(t, note, "uploading")
	release()
	p.Run("flush")
	awaitState(t, note, "cached")
	require.Empty(t, xattr(note, "user.mega.reason"))

	p.Server.Faults().FailCommand("p", -17, megatest.Always)
	p.Shell("echo more >full.txt")
	full := filepath.Join(p.Point, "full.txt")
	awaitState(t, full, "error")
	require.NotEmpty(t, xattr(full, "user.mega.reason"))
	p.Server.Faults().Clear()
	p.Run("retry")
	p.Run("flush")
	awaitState(t, full, "cached")

	conflictOn(t, p, account, "note.txt")
	losers := func() []string {
		found, _ := filepath.Glob(filepath.Join(p.Point, "note (conflict *).txt"))
		return found
	}
	require.Eventually(t, func() bool { return len(losers()) == 1 }, bounded, 10*time.Millisecond)
	awaitState(t, losers()[0], "conflict")
}

// readSome reads a few bytes of a file.
func readSome(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.ReadAt(make([]byte, 4096), at)
	require.NoError(t, err)
}

// conflictOn changes a file here and elsewhere.
func conflictOn(t *testing.T, p *program.Program, account *megatest.Account, name string) {
	t.Helper()
	p.Run("pause")
	p.Shell("echo mine >" + name)
	account.PutVersion(handleOf(t, account, name), []byte("theirs"), megatestTime)
	account.PutFile(account.Root(), "after that", nil, megatestTime)
	await(t, p, "after that")
	p.Run("resume")
	p.Run("flush")
}

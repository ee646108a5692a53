package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// fileManager is one that a test plays, with the extension.
type fileManager struct {
	t   *testing.T
	in  *json.Encoder
	out *json.Decoder
}

func newFileManager(t *testing.T, p *program.Program) *fileManager {
	t.Helper()
	needs.Programs(t, "python3")
	cmd := exec.Command("python3", "testdata/filemanager/manager.py", "../packaging/filemanager/megadisk.py")
	cmd.Env = append(p.Env, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return &fileManager{t, json.NewEncoder(in), json.NewDecoder(out)}
}

// ask has it do something with a path, and takes what it shows.
func (m *fileManager) ask(shows any, what, path string, labels ...string) {
	m.t.Helper()
	require.NoError(m.t, m.in.Encode(append([]string{what, path}, labels...)))
	require.NoError(m.t, m.out.Decode(shows))
}

func (m *fileManager) state(path string) (s shownState) {
	m.t.Helper()
	m.ask(&s, "state", path)
	return s
}

func (m *fileManager) click(path string, labels ...string) (c clicked) {
	m.t.Helper()
	m.ask(&c, "click", path, labels...)
	return c
}

type shownState struct {
	Emblems []string
	Word    string
}

type clicked struct {
	Clipboard string
	Said      []string
	Stale     bool
}

// TestFileManagerExtension: a file manager shows how files are, and its menu pins, frees, copies links and restores
// versions.
func TestFileManagerExtension(t *testing.T) {
	p, account := mountedProgram(t)
	account.PutFile(account.Root(), "photo", noise(300_000, 1), megatestTime)
	photo := await(t, p, "photo")
	m := newFileManager(t, p)
	require.Equal(t, shownState{[]string{"emblem-web"}, "In the cloud"}, m.state(photo))
	require.Equal(t, shownState{[]string{}, ""}, m.state("/etc/passwd"), "elsewhere it shows nothing")
	var menu map[string]map[string]any
	m.ask(&menu, "menu", "/etc/passwd")
	require.Empty(t, menu)

	require.True(t, m.click(photo, "Keep Here").Stale)
	require.Equal(t, "Kept here", m.state(photo).Word)
	m.ask(&menu, "menu", photo)
	require.Contains(t, menu["MEGA"], "Don't Keep Here")
	m.click(photo, "Don't Keep Here")
	require.True(t, rightOrEIO(t, photo, noise(300_000, 1)))
	require.Equal(t, shownState{[]string{"emblem-default"}, "Here"}, m.state(photo))
	m.click(photo, "Free Up Space")
	require.Equal(t, "In the cloud", m.state(photo).Word)

	link := m.click(photo, "Copy Link")
	require.Equal(t, strings.TrimSpace(p.Run("link", photo)), link.Clipboard)
	require.Len(t, link.Said, 1)

	note := filepath.Join(p.Point, "note")
	p.Shell("echo one >note")
	p.Run("flush")
	p.Shell("echo two >note")
	p.Run("flush")
	m.click(note, "Earlier Versions", "Restore ")
	require.Equal(t, "one\n", p.Shell("cat note"))

	require.Contains(t, m.click(p.Point, "Copy Link").Said[0], "the whole drive can't have a link", "a refusal is told")
}

// TestFileManagerSeesTheEndOfAnUpload: what it shows of a file that is being sent is looked at again.
func TestFileManagerSeesTheEndOfAnUpload(t *testing.T) {
	p, _ := mountedProgram(t)
	m := newFileManager(t, p)
	release := p.Server.Faults().HoldUploads(0)
	defer release()
	p.Shell("echo text >note")
	note := filepath.Join(p.Point, "note")
	awaitState(t, note, "uploading")
	require.Equal(t, []string{"emblem-synchronizing"}, m.state(note).Emblems)
	release()
	p.Run("flush")
	awaitState(t, note, "cached")
	var seen struct {
		Stale  bool
		GoesOn bool `json:"goes_on"`
	}
	m.ask(&seen, "again", note)
	require.True(t, seen.Stale)
	require.False(t, seen.GoesOn, "and then not any more")
}

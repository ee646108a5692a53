package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

// rclone runs the binary that MEGADISK_RCLONE names; the account is its remote "peer:".
type rclone struct {
	*testing.T
	binary, config, url string
}

func (w *world) rclone() *rclone {
	w.Helper()
	binary := os.Getenv("MEGADISK_RCLONE")
	if binary == "" {
		w.Skip("SKIPPED, NOT RUN: MEGADISK_RCLONE names no rclone binary with the mega backend")
	}
	// Older ones don't know the variable, and would talk to MEGA's own server.
	program, err := os.ReadFile(binary)
	require.NoError(w, err)
	require.True(w, bytes.Contains(program, []byte("X_MEGA_API_URL")), "%s is too old: it can't be pointed at a test server", binary)
	r := &rclone{T: w.T, binary: binary, config: filepath.Join(w.TempDir(), "rclone.conf"), url: w.server.URL()}
	require.NoError(w, os.WriteFile(r.config, nil, 0o600))
	obscured := strings.TrimSpace(r.run("obscure", password))
	config := fmt.Sprintf("[peer]\ntype = mega\nuser = %s\npass = %s\n", w.account.Email, obscured)
	require.NoError(w, os.WriteFile(r.config, []byte(config), 0o600))
	return r
}

func (r *rclone) run(arguments ...string) string {
	r.Helper()
	c := exec.Command(r.binary, append([]string{"--config", r.config, "--retries", "1"}, arguments...)...)
	c.Env = append(os.Environ(), "X_MEGA_API_URL="+r.url)
	var problems strings.Builder
	c.Stderr = &problems
	out, err := c.Output()
	require.NoError(r, err, "rclone %s: %s", arguments[0], &problems)
	return string(out)
}

func TestRcloneReadsOurFiles(t *testing.T) {
	w := newWorld(t)
	r := w.rclone()
	folder, err := w.client.Mkdir(t.Context(), w.root(), "ours")
	require.NoError(t, err)
	for _, size := range sizes {
		w.put(folder.Handle, fmt.Sprint(size), content(size))
	}
	into := t.TempDir()
	r.run("copy", "peer:ours", into)
	for _, size := range sizes {
		got, err := os.ReadFile(filepath.Join(into, fmt.Sprint(size)))
		require.NoError(t, err)
		w.equal(content(size), got, "%d bytes", size)
	}
}

func TestWeReadRcloneFiles(t *testing.T) {
	w := newWorld(t)
	r := w.rclone()
	from := t.TempDir()
	for _, size := range sizes {
		require.NoError(t, os.WriteFile(filepath.Join(from, fmt.Sprint(size)), content(size), 0o600))
	}
	r.run("copy", from, "peer:theirs")
	nodes := w.nodes()
	for _, size := range sizes {
		n := nodes[fmt.Sprintf("theirs/%d", size)]
		require.NotNil(t, n, size)
		w.equal(content(size), w.get(n), "our client, %d bytes", size)
		w.equal(content(size), w.account.ReadFile(string(n.Handle)), "the server's own reader, %d bytes", size)
	}
}

func TestRcloneChangesAreSeenInBothDirections(t *testing.T) {
	w := newWorld(t)
	r := w.rclone()
	r.run("mkdir", "peer:theirs/below")
	nodes := w.see("theirs", "theirs/below")
	w.put(nodes["theirs/below"].Handle, "file", content(1000))
	r.run("moveto", "peer:theirs/below/file", "peer:theirs/renamed")
	nodes = w.see("theirs", "theirs/below", "theirs/renamed")
	require.NoError(t, w.client.Rename(t.Context(), nodes["theirs"], "ours"))
	require.Equal(t, map[string]int64{"ours": -1, "ours/below": -1, "ours/renamed": 1000}, r.list())

	url := strings.TrimSpace(r.run("link", "peer:ours/renamed"))
	link, err := megacrypto.ParseLink(url)
	require.NoError(t, err)
	n, err := w.client.LinkNode(t.Context(), link)
	require.NoError(t, err)
	w.equal(content(1000), w.get(n), "over rclone's link")

	r.run("rmdir", "peer:ours/below")
	r.run("deletefile", "peer:ours/renamed")
	w.see("ours")
	require.Contains(t, w.nodes(), "bin:/renamed")
	require.NoError(t, w.client.Remove(t.Context(), megaclient.Handle(w.account.Find("ours"))))
	require.Empty(t, r.list())
}

// list gives the drive as rclone sees it: sizes by path, -1 for folders.
func (r *rclone) list() map[string]int64 {
	r.Helper()
	var entries []struct {
		Path string
		Size int64
	}
	require.NoError(r, json.Unmarshal([]byte(r.run("lsjson", "-R", "peer:")), &entries))
	all := map[string]int64{}
	for _, e := range entries {
		all[e.Path] = e.Size
	}
	return all
}

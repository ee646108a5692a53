package writeback

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A power cut keeps what was synced, and of what was written since any part, in
// any order: pages, halves of pages, new files without their bytes. The test
// takes two copies of a state, at a sync and later, and makes of them what a
// disk might hold.
//
// Between the two nothing is synced by the engine itself (nothing is sent,
// truncated or renamed over something), so that every mixture is a state that a
// disk may be in.
func TestPowerCut(t *testing.T) {
	cuts := 6
	if os.Getenv("MEGADISK_LONG") == "1" {
		cuts = 300
	}
	for seed := range cuts {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testPowerCut(t, uint64(seed)) })
	}
}

// history is what a file may hold after the cut: the content that was synced
// first, "" if it need not be there, then what was written and not synced.
type history struct{ contents []string }

type histories map[string]*history

func (h *history) may(content string) bool { return slices.Contains(h.contents, content) }

func (h *history) synced() bool { return h.contents[0] != "" }

func testPowerCut(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	r := newRig(t, settleNever)
	h := histories{}
	for i := range 6 {
		r.powerWrite(h, rnd, fmt.Sprint("old", i), true)
	}
	r.flush() // some are in the cloud already
	for i := range 6 {
		r.powerWrite(h, rnd, fmt.Sprint("synced", i), true)
	}
	f, err := r.engine.Open(r.ctx, r.ino("synced0"), false, false)
	require.NoError(t, err)
	require.NoError(t, f.Fsync(r.ctx))
	f.Release()
	synced := filepath.Join(t.TempDir(), "synced")
	require.NoError(t, os.CopyFS(synced, os.DirFS(r.dir)))

	for i := range 1 + rnd.IntN(12) {
		switch rnd.IntN(3) {
		case 0:
			r.powerWrite(h, rnd, fmt.Sprint("new", i), false)
		case 1:
			r.powerPatch(h, rnd, fmt.Sprint("old", rnd.IntN(6)))
		default:
			r.powerPatch(h, rnd, fmt.Sprint("synced", rnd.IntN(6)))
		}
	}
	later := filepath.Join(t.TempDir(), "later")
	require.NoError(t, os.CopyFS(later, os.DirFS(r.dir)))
	r.crash()

	r.dir = filepath.Join(t.TempDir(), "after")
	require.NoError(t, mixStates(rnd, synced, later, r.dir))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, bootFile), []byte("another boot"), 0o600))
	r.start()
	require.NoError(t, r.engine.Ready(r.ctx))
	// A file whose unsynced bytes are gone is held back, and Flush says so; the
	// rest goes up.
	flushed := r.engine.Flush(r.ctx, 0)
	cloud := r.cloud()
	held := map[string]bool{}
	for _, p := range r.engine.Status().Pending {
		held[p.Path] = p.Held
	}
	for p, file := range h {
		if content, ok := cloud[p]; ok {
			require.True(t, file.may(content), "%s: bytes that were never written went up: %.60q", p, content)
		}
		if !file.synced() {
			continue
		}
		require.Contains(t, r.names("/"), p, "its name was synced")
		r.requireSynced(p, file)
		content, err := r.tryRead(p)
		if err != nil || !file.may(content) {
			require.Error(t, flushed, p)
			require.True(t, held["/"+p] || held[p], "%s isn't what was written at any time: it is held back (%v)", p, held)
			continue
		}
		if len(file.contents) == 1 {
			require.Equal(t, content, cloud[p], p)
		}
	}
	require.LessOrEqual(t, len(cloud), len(h))
}

// requireSynced: all that was synced is there, each byte as it was then or was
// written since.
func (r *rig) requireSynced(p string, file *history) {
	r.Helper()
	want := file.contents[0]
	f, err := r.engine.Open(r.ctx, r.ino(p), false, false)
	require.NoError(r, err)
	defer f.Release()
	buf := make([]byte, len(want))
	_, err = f.ReadAt(r.ctx, buf, 0)
	require.NoError(r, err, p)
	for i := range buf {
		if buf[i] != want[i] {
			require.True(r, slices.ContainsFunc(file.contents, func(c string) bool { return c[i] == buf[i] }),
				"%s: byte %d is %q, and was never that", p, i, buf[i])
		}
	}
}

func (r *rig) powerWrite(h histories, rnd *rand.Rand, p string, sync bool) {
	content := strings.Repeat(fmt.Sprintf("%s %d ", p, rnd.Uint32()), 1+rnd.IntN(1<<rnd.IntN(14)))
	r.write(p, content)
	if sync {
		h[p] = &history{contents: []string{content}}
	} else {
		h[p] = &history{contents: []string{"", content}}
	}
}

// powerPatch writes over a part of a file, or behind its end, and closes it.
func (r *rig) powerPatch(h histories, rnd *rand.Rand, p string) {
	file := h[p]
	old := file.contents[len(file.contents)-1]
	off := rnd.IntN(len(old) + 1)
	patch := strings.Repeat(fmt.Sprint(rnd.Uint32()), 1+rnd.IntN(2000))
	f, err := r.engine.Open(r.ctx, r.ino(p), true, false)
	require.NoError(r, err)
	_, err = f.WriteAt(r.ctx, []byte(patch), int64(off))
	require.NoError(r, err)
	require.NoError(r, f.Flush(r.ctx))
	f.Release()
	content := old[:off] + patch
	if len(content) < len(old) {
		content += old[len(content):]
	}
	file.contents = append(file.contents, content)
}

// mixStates makes a state of a synced one and a later one: of each file that
// changed, some of the later sectors.
func mixStates(rnd *rand.Rand, synced, later, to string) error {
	share := []int{0, 5, 50, 95, 100}[rnd.IntN(5)] // of the later sectors, in percent
	return filepath.WalkDir(later, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(later, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		now, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		before, err := os.ReadFile(filepath.Join(synced, rel))
		if os.IsNotExist(err) {
			if rnd.IntN(100) >= share {
				return nil // not even its name
			}
			before = nil
		} else if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), mixBytes(rnd, share, before, now), 0o600)
	})
}

func mixBytes(rnd *rand.Rand, share int, before, now []byte) []byte {
	const sector = 512
	size := len(now)
	if len(before) < len(now) && rnd.IntN(100) >= share {
		size = len(before) + rnd.IntN(len(now)-len(before)+1) // the length may be older than the bytes
	}
	mixed := make([]byte, size)
	copy(mixed, before)
	for at := 0; at < size; at += sector {
		if rnd.IntN(100) < share {
			copy(mixed[at:min(at+sector, size)], now[at:])
		}
	}
	return mixed
}

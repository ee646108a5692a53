package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

// filledTree makes a database on the disk that has tables and logs with rows, as the death of its process leaves it,
// and gives the names that are in it.
func filledTree(t *testing.T) (dir string, names map[string]bool) {
	t.Helper()
	dir, names = t.TempDir(), map[string]bool{}
	for run := range 2 { // the first run's rows are in a table, the second one's in a log
		h := &house{t: t, open: map[Ino]bool{}}
		o := h.options()
		onDisk(dir)(&o)
		var err error
		h.Tree, err = Open(o)
		require.NoError(t, err)
		if run == 0 {
			h.fetch()
		}
		for i := range 200 {
			name := fmt.Sprintf("file %d %d", run, i)
			h.create(DriveIno, name, File)
			names[name] = true
		}
		if run == 0 {
			require.NoError(t, h.Close())
			continue
		}
		require.NoError(t, h.Sync())
		dead := t.TempDir()
		require.NoError(t, os.CopyFS(dead, os.DirFS(dir)))
		require.NoError(t, h.Close())
		for _, log := range []string{"00001.mem", "000001.vlog"} { // most of them is zeros, which takes time to copy
			raw, err := os.ReadFile(filepath.Join(dead, log))
			require.NoError(t, err)
			require.NoError(t, os.Truncate(filepath.Join(dead, log), int64(written(raw))+64<<10))
		}
		return dead, names
	}
	return "", nil
}

// openDamaged opens what was damaged; nil if it was refused as it must be.
func openDamaged(t *testing.T, dir string) *Tree {
	t.Helper()
	h := &house{t: t, open: map[Ino]bool{}}
	o := h.options()
	onDisk(dir)(&o)
	tr, err := Open(o)
	if err == nil {
		return tr
	}
	var damaged *DamagedError
	if !errors.As(err, &damaged) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrWrongKey) {
		require.NoError(t, err, "neither opened nor refused by name")
	}
	require.NotContains(t, err.Error(), "\n")
	return nil
}

func namesIn(t *testing.T, tr *Tree) map[string]bool {
	t.Helper()
	list, err := tr.ReadDir(DriveIno, "", 10000)
	require.NoError(t, err)
	names := map[string]bool{}
	for _, in := range list {
		names[in.Name] = true
	}
	return names
}

// Every file of the database, damaged in every way: it is refused in one sentence, or goes on from the last good
// record and says so; it never panics, and never loses anything without a word.
func TestDamagedDatabase(t *testing.T) {
	sample, all := filledTree(t)
	damages := map[string]func(raw []byte) []byte{
		"missing":      func([]byte) []byte { return nil },
		"empty":        func(raw []byte) []byte { return raw[:0] },
		"cut":          func(raw []byte) []byte { return raw[:written(raw)*2/3] },
		"end cut":      func(raw []byte) []byte { return raw[:written(raw)-1] },
		"noise":        func(raw []byte) []byte { return bytes.Repeat([]byte{0xa5, 0x17}, max(written(raw)/2, 8)) },
		"head flipped": func(raw []byte) []byte { return flip(raw, 3) },
		"middle":       func(raw []byte) []byte { return flip(raw, written(raw)/2) },
		"end flipped":  func(raw []byte) []byte { return flip(raw, written(raw)-2) },
		"zero page": func(raw []byte) []byte {
			mid := written(raw) / 2
			clear(raw[mid:min(mid+4096, len(raw))])
			return raw
		},
	}
	entries, err := os.ReadDir(sample)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() == lockName || e.Name() == runningName || e.Name() == "LOCK" {
			continue
		}
		for what, damage := range damages {
			t.Run(e.Name()+"/"+what, func(t *testing.T) {
				dir := t.TempDir()
				require.NoError(t, os.CopyFS(dir, os.DirFS(sample)))
				path := filepath.Join(dir, e.Name())
				raw, err := os.ReadFile(path)
				require.NoError(t, err)
				if written(raw) < 8 {
					return // nothing was in it
				}
				if after := damage(bytes.Clone(raw)); after == nil {
					require.NoError(t, os.Remove(path))
				} else {
					require.NoError(t, os.WriteFile(path, after, 0o600))
				}
				tr := openDamaged(t, dir)
				if tr == nil {
					return
				}
				defer tr.Close()
				found := namesIn(t, tr)
				for name := range found {
					require.True(t, all[name], "%q was never written", name)
				}
				// What a log's end that is cut off held can't be known; everything else is told.
				untold := strings.HasSuffix(e.Name(), ".mem") && (what == "cut" || strings.HasPrefix(what, "end"))
				if len(found) < len(all) && !untold {
					require.NotEmpty(t, tr.Recovered(), "%d of %d names are left, and it doesn't say so", len(found), len(all))
				}
				for name := range all {
					if strings.HasPrefix(name, "file 0 ") {
						require.True(t, found[name], "what was in a table is lost")
					}
				}
			})
		}
	}
}

// written is the length of what is in a file that ends with zeros.
func written(raw []byte) int { return len(bytes.TrimRight(raw, "\x00")) }

func flip(raw []byte, at int) []byte {
	raw[at] ^= 0x55
	return raw
}

// What the death of the process in the middle of an entry leaves is no damage.
func TestTornEntryIsNoDamage(t *testing.T) {
	sample, all := filledTree(t)
	logs, err := filepath.Glob(filepath.Join(sample, "*.mem"))
	require.NoError(t, err)
	for _, path := range logs {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		if written(raw) <= logHeader {
			continue
		}
		end, rest := walkLog(raw)
		require.Zero(t, rest)
		torn := bytes.Clone(raw)
		copy(torn[end:], raw[logHeader:logHeader+30]) // the beginning of an entry
		_, rest = walkLog(torn)
		require.Zero(t, rest)
	}
	h := &house{t: t, open: map[Ino]bool{}}
	o := h.options()
	onDisk(sample)(&o)
	o.Log = logrus.New()
	tr, err := Open(o)
	require.NoError(t, err)
	defer tr.Close()
	require.Empty(t, tr.Recovered())
	require.Equal(t, all, namesIn(t, tr))
}

// TestEveryPartOfATableIsChecked: whatever byte of a table is another one, it is found.
func TestEveryPartOfATableIsChecked(t *testing.T) {
	sample, _ := filledTree(t)
	tables, err := filepath.Glob(filepath.Join(sample, "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	h := &house{t: t, open: map[Ino]bool{}}
	o := h.options()
	onDisk(sample)(&o)
	o = withDefaults(o)
	check := func() error {
		c := &surveyor{o: o}
		return errors.Join(c.manifest(), c.keys(), c.tables())
	}
	require.NoError(t, check())
	raw, err := os.ReadFile(tables[0])
	require.NoError(t, err)
	for at := 0; at < len(raw); at += max(1, len(raw)/500) {
		require.NoError(t, os.WriteFile(tables[0], flip(bytes.Clone(raw), at), 0o600))
		var damaged *DamagedError
		require.ErrorAs(t, check(), &damaged, "byte %d of %d", at, len(raw))
		require.Equal(t, filepath.Base(tables[0]), damaged.File)
	}
}

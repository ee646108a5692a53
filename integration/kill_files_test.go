package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/stretchr/testify/require"
)

// absent is what a file that isn't there holds, in the books of killedFiles.
const absent = "\x00absent"

// killedFiles saves as editors do, overwrites, truncates, renames and removes a few files of one folder, and keeps
// books of what each must hold.
type killedFiles struct {
	k    *killer
	want map[string]string // what was acknowledged last
	// What the step under way may have left: of the names in it, one of these states. A state's content that ends
	// with "*" stands for all of its beginnings, too.
	open []map[string]string
	n    int
}

func newFiles(k *killer) *killedFiles {
	require.NoError(k.t, os.Mkdir(k.path("files"), 0o755))
	return &killedFiles{k: k, want: map[string]string{}}
}

func (f *killedFiles) path(name string) string { return f.k.path("files", name) }

func (f *killedFiles) get(name string) string {
	if v, ok := f.want[name]; ok {
		return v
	}
	return absent
}

// step implements killedWork.
func (f *killedFiles) step(rng *rand.Rand) bool {
	name, other := string(rune('a'+rng.IntN(6))), string(rune('a'+rng.IntN(6)))
	f.n++
	text := fmt.Sprintf("text %d %s", f.n, strings.Repeat("x", rng.IntN(1<<rng.IntN(16))))
	old := f.get(name)
	var next map[string]string
	var err error
	switch action := rng.IntN(8); {
	case action < 3:
		next = map[string]string{name: text}
		f.open = []map[string]string{{name: old}, next}
		err = f.save(name, text, rng.IntN(2) == 0)
	case action < 5:
		next = map[string]string{name: text}
		f.open = []map[string]string{{name: old}, {name: text + "*"}}
		err = os.WriteFile(f.path(name), []byte(text), 0o644)
	case old == absent || name == other:
		return true
	case action == 5:
		size := rng.IntN(len(old) + 1)
		next = map[string]string{name: old[:size]}
		f.open = []map[string]string{{name: old}, next}
		err = os.Truncate(f.path(name), int64(size))
	case action == 6:
		next = map[string]string{name: absent}
		f.open = []map[string]string{{name: old}, next}
		err = os.Remove(f.path(name))
	default:
		next = map[string]string{name: absent, other: old}
		f.open = []map[string]string{{name: old, other: f.get(other)}, next}
		err = os.Rename(f.path(name), f.path(other))
	}
	if f.k.dead("working on "+name, err) {
		return false
	}
	f.take(next)
	return true
}

// save writes a new file and renames it over the old one.
func (f *killedFiles) save(name, text string, sync bool) error {
	temp := f.path("." + name + ".tmp")
	w, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = w.WriteString(text)
	if err == nil && sync {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return os.Rename(temp, f.path(name))
}

// take makes a state the acknowledged one.
func (f *killedFiles) take(state map[string]string) {
	f.open = nil
	for name, text := range state {
		if text == absent {
			delete(f.want, name)
		} else {
			f.want[name] = text
		}
	}
}

// check implements killedWork.
func (f *killedFiles) check() {
	f.k.t.Helper()
	is := map[string]string{}
	for i := range 6 {
		name := string(rune('a' + i))
		data, err := os.ReadFile(f.path(name))
		switch {
		case err == nil:
			is[name] = string(data)
		case errors.Is(err, fs.ErrNotExist):
			is[name] = absent
		default:
			require.NoError(f.k.t, err)
		}
	}
	unsure := map[string]bool{}
	if f.open != nil {
		fits := false
		for _, state := range f.open {
			fits = fits || matches(is, state)
		}
		for name := range f.open[0] {
			unsure[name] = true
		}
		require.True(f.k.t, fits, "what was under way left %s, not one of %s", brief(is, unsure), f.open)
	}
	for name, text := range is {
		if !unsure[name] {
			require.Equal(f.k.t, f.get(name), text, "file %s", name)
		}
	}
	f.take(is)
}

// matches tells whether a folder is in a state, as far as that says.
func matches(is, state map[string]string) bool {
	for name, text := range state {
		if whole, open := strings.CutSuffix(text, "*"); is[name] != text && !(open && strings.HasPrefix(whole, is[name])) {
			return false
		}
	}
	return true
}

func brief(is map[string]string, names map[string]bool) string {
	var b strings.Builder
	for name := range names {
		fmt.Fprintf(&b, "%s: %.40q (%d bytes) ", name, is[name], len(is[name]))
	}
	return b.String()
}

// killedAppender appends lines to a log, each with an open and a close of its own.
type killedAppender struct {
	k     *killer
	lines int
}

func newAppender(k *killer) *killedAppender { return &killedAppender{k: k} }

// step implements killedWork.
func (a *killedAppender) step(*rand.Rand) bool {
	f, err := os.OpenFile(a.k.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprintf(f, "line %d\n", a.lines)
		err = errors.Join(err, f.Close())
	}
	if a.k.dead("appending", err) {
		return false
	}
	a.lines++
	return true
}

// check implements killedWork.
func (a *killedAppender) check() {
	a.k.t.Helper()
	data, err := os.ReadFile(a.k.path("log"))
	if errors.Is(err, fs.ErrNotExist) && a.lines == 0 {
		return
	}
	require.NoError(a.k.t, err)
	lines := strings.SplitAfter(string(data), "\n")
	for i, line := range lines[:len(lines)-1] {
		require.Equal(a.k.t, fmt.Sprintf("line %d\n", i), line)
	}
	require.GreaterOrEqual(a.k.t, len(lines), a.lines+1, "acknowledged lines are gone")
	require.LessOrEqual(a.k.t, len(lines), a.lines+2)
	a.lines = len(lines) - 1
	// A line that was cut off: the writer takes its beginning away, as a log's reader would pass over it.
	require.True(a.k.t, strings.HasPrefix(fmt.Sprintf("line %d\n", a.lines), lines[a.lines]))
	require.NoError(a.k.t, os.Truncate(a.k.path("log"), int64(len(data)-len(lines[a.lines]))))
}

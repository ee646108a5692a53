package writeback

import (
	"fmt"
	"path"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is what a drive ought to be: contents by path, "/" for folders.
type model map[string]string

func (m model) parentOf(p string) string {
	if dir := path.Dir(p); dir != "." {
		return dir
	}
	return ""
}

func (m model) empty(dir string) bool {
	for p := range m {
		if m.parentOf(p) == dir {
			return false
		}
	}
	return true
}

func (m model) move(from, to string) {
	for p, v := range m {
		if p == from || strings.HasPrefix(p, from+"/") {
			delete(m, p)
			m[to+p[len(from):]] = v
		}
	}
}

// pick draws one of the existing paths that satisfy a condition, "" if none.
func (m model) pick(t *rapid.T, what string, cond func(string) bool) string {
	all := []string{}
	for p := range m {
		if cond(p) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return ""
	}
	sort.Strings(all)
	return rapid.SampledFrom(all).Draw(t, what)
}

func (m model) isFile(p string) bool { return p != "" && m[p] != "/" }

// place draws a path, existing or not, below an existing folder.
func (m model) place(t *rapid.T, what string) string {
	dir := m.pick(t, what+" folder", func(p string) bool { return m[p] == "/" })
	if dir != "" && rapid.Bool().Draw(t, what+" at top") {
		dir = ""
	}
	name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, what+" name")
	return path.Join(dir, name)
}

// modelRun is the machine that makes operations on an engine and the model.
type modelRun struct {
	r *rig
	m model
}

func (run *modelRun) write(t *rapid.T) {
	p := run.m.place(t, "file")
	if _, ok := run.m[p]; ok && !run.m.isFile(p) {
		return
	}
	content := rapid.StringMatching(`[a-z]{0,40}`).Draw(t, "content")
	run.r.write(p, content)
	run.m[p] = content
}

func (run *modelRun) patch(t *rapid.T) {
	p := run.m.pick(t, "file", run.m.isFile)
	if p == "" {
		return
	}
	off := rapid.IntRange(0, 60).Draw(t, "offset")
	text := rapid.StringMatching(`[A-Z]{1,20}`).Draw(t, "text")
	f, err := run.r.engine.Open(run.r.ctx, run.r.ino(p), true, false)
	require.NoError(t, err)
	_, err = f.WriteAt(run.r.ctx, []byte(text), int64(off))
	require.NoError(t, err)
	require.NoError(t, f.Flush(run.r.ctx))
	f.Release()
	old := []byte(run.m[p])
	for len(old) < off+len(text) {
		old = append(old, 0)
	}
	copy(old[off:], text)
	run.m[p] = string(old)
}

func (run *modelRun) truncate(t *rapid.T) {
	p := run.m.pick(t, "file", run.m.isFile)
	if p == "" {
		return
	}
	size := int64(rapid.IntRange(0, 60).Draw(t, "size"))
	_, err := run.r.engine.SetAttr(run.r.ctx, run.r.ino(p), Attr{Size: &size})
	require.NoError(t, err)
	old := []byte(run.m[p])
	for int64(len(old)) < size {
		old = append(old, 0)
	}
	run.m[p] = string(old[:size])
}

func (run *modelRun) mkdir(t *rapid.T) {
	p := run.m.place(t, "folder")
	if _, ok := run.m[p]; ok {
		return
	}
	run.r.mkdir(p)
	run.m[p] = "/"
}

func (run *modelRun) remove(t *rapid.T) {
	p := run.m.pick(t, "victim", func(p string) bool { return run.m.isFile(p) || run.m.empty(p) })
	switch {
	case p == "":
		return
	case run.m.isFile(p):
		run.r.unlink(p)
	default:
		run.r.rmdir(p)
	}
	delete(run.m, p)
}

func (run *modelRun) rename(t *rapid.T) {
	from := run.m.pick(t, "from", func(string) bool { return true })
	to := run.m.place(t, "to")
	if from == "" || from == to || strings.HasPrefix(to, from+"/") {
		return
	}
	if old, ok := run.m[to]; ok {
		if (old == "/") != (run.m[from] == "/") || (old == "/" && !run.m.empty(to)) || strings.HasPrefix(from, to+"/") {
			return
		}
		delete(run.m, to)
	}
	run.r.rename(from, to)
	run.m.move(from, to)
}

// exchange swaps two names, neither below the other.
func (run *modelRun) exchange(t *rapid.T) {
	a := run.m.pick(t, "one", func(string) bool { return true })
	b := run.m.pick(t, "other", func(string) bool { return true })
	if a == "" || a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
		return
	}
	ad, an := run.r.dirOf(a)
	bd, bn := run.r.dirOf(b)
	require.NoError(t, run.r.engine.Exchange(run.r.ctx, ad, an, bd, bn))
	run.m.move(a, "\x00")
	run.m.move(b, a)
	run.m.move("\x00", b)
}

// copy copies a file to a name that is free or a file's: whole, or from
// somewhere to somewhere.
func (run *modelRun) copy(t *rapid.T) {
	from := run.m.pick(t, "from", run.m.isFile)
	to := run.m.place(t, "to")
	if old, ok := run.m[to]; from == "" || from == to || ok && old == "/" {
		return
	}
	off, at := 0, 0
	if rapid.IntRange(0, 2).Draw(t, "whole") == 0 {
		off, at = rapid.IntRange(0, 30).Draw(t, "offset"), rapid.IntRange(0, 30).Draw(t, "at")
	}
	if _, ok := run.m[to]; !ok {
		run.r.create(to).Release()
	}
	src, err := run.r.engine.Open(run.r.ctx, run.r.ino(from), false, false)
	require.NoError(t, err)
	defer src.Release()
	dst, err := run.r.engine.Open(run.r.ctx, run.r.ino(to), true, false)
	require.NoError(t, err)
	defer dst.Release()
	n, err := dst.CopyFrom(run.r.ctx, src, int64(off), int64(at), 1000)
	require.NoError(t, err)
	piece := run.m[from][min(off, len(run.m[from])):]
	require.EqualValues(t, len(piece), n)
	require.NoError(t, dst.Flush(run.r.ctx))
	old := []byte(run.m[to])
	for len(piece) > 0 && len(old) < at+len(piece) {
		old = append(old, 0)
	}
	copy(old[min(at, len(old)):], piece)
	run.m[to] = string(old)
}

func (run *modelRun) zero(t *rapid.T) {
	p := run.m.pick(t, "file", run.m.isFile)
	if p == "" {
		return
	}
	off, n, grow := rapid.IntRange(0, 50).Draw(t, "offset"), rapid.IntRange(1, 50).Draw(t, "length"), rapid.Bool().Draw(t, "grow")
	f, err := run.r.engine.Open(run.r.ctx, run.r.ino(p), true, false)
	require.NoError(t, err)
	defer f.Release()
	require.NoError(t, f.Zero(run.r.ctx, int64(off), int64(n), grow))
	old := []byte(run.m[p])
	for grow && len(old) < off+n {
		old = append(old, 0)
	}
	clear(old[min(off, len(old)):min(off+n, len(old))])
	run.m[p] = string(old)
}

func (run *modelRun) flush(t *rapid.T) {
	run.r.flush()
	require.Equal(t, run.m, model(run.r.cloud()))
}

func (run *modelRun) restart(t *rapid.T) {
	if rapid.Bool().Draw(t, "crash") {
		run.r.crash()
	} else {
		run.r.stop()
	}
	run.r.start()
}

// background lets what is pending be sent while the operations go on.
func (run *modelRun) background(*rapid.T) {
	run.r.engine.claim(0) // for good: they are sent without a rest
}

func (run *modelRun) check(t *rapid.T) {
	seen := model{}
	var list func(dir string)
	list = func(dir string) {
		for _, name := range run.r.names(dir) {
			p := path.Join(dir, name)
			if run.m[p] == "/" {
				seen[p] = "/"
				list(p)
			} else {
				seen[p] = run.r.read(p)
			}
		}
	}
	list("")
	require.Equal(t, run.m, seen)
}

// Random operations, restarts, crashes and lost answers: what is served is
// always the model, and after a flush the cloud is too.
func TestRandomOperations(t *testing.T) {
	seed := 0
	rapid.Check(t, func(rt *rapid.T) {
		seed++
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRig(t, settleNever)
			run := &modelRun{r: r, m: model{}}
			steps := rapid.IntRange(1, 40).Draw(rt, "steps")
			for range steps {
				switch rapid.IntRange(0, 24).Draw(rt, "operation") {
				case 0, 1, 2, 3:
					run.write(rt)
				case 4, 5:
					run.patch(rt)
				case 6:
					run.truncate(rt)
				case 7, 8:
					run.mkdir(rt)
				case 9, 10, 11:
					run.remove(rt)
				case 12, 13, 14, 15:
					run.rename(rt)
				case 16:
					run.flush(rt)
				case 17:
					run.restart(rt)
				case 18:
					run.background(rt)
				case 19:
					run.exchange(rt)
				case 20, 21, 22:
					run.copy(rt)
				case 23:
					run.zero(rt)
				case 24:
					r.server.Faults().DropAfter(rapid.SampledFrom([]string{"p", "m", "a"}).Draw(rt, "lost"), 1)
				}
				run.check(rt)
			}
			run.flush(rt)
			run.check(rt)
			r.caughtUp()
			run.check(rt)
			require.Empty(rt, r.engine.Status().Pending)
		})
	})
}

package writeback

import (
	"context"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// world is a rig for one row of the matrix: the engine here, and somebody else who changes the account there.
type world struct{ *rig }

// there is the other side. Paths are those of the cloud.
type there struct{ *rig }

func (o there) handle(p string) string {
	o.Helper()
	if p == "" || p == "." {
		return o.account.Root()
	}
	h := o.account.Find(p)
	require.NotEmpty(o, h, p)
	return h
}

// write makes a file, or gives it a new version.
func (o there) write(p, content string) string {
	o.Helper()
	if h := o.account.Find(p); h != "" {
		return o.account.PutVersion(h, []byte(content), time.Unix(2e9, 0))
	}
	return o.account.PutFile(o.handle(path.Dir(p)), path.Base(p), []byte(content), time.Unix(1e9, 0))
}

func (o there) mkdir(p string) string         { return o.account.Mkdir(o.handle(path.Dir(p)), path.Base(p)) }
func (o there) remove(p string)               { o.account.Remove(o.handle(p)) }
func (o there) trash(p string)                { o.account.Trash(o.handle(p)) }
func (o there) rename(p, name string)         { o.account.Rename(o.handle(p), name) }
func (o there) move(p, folder string)         { o.account.Move(o.handle(p), o.handle(folder)) }
func (o there) setAttr(p, name, value string) { o.account.SetAttr(o.handle(p), name, value) }

var conflictSuffix = regexp.MustCompile(` \(conflict \d{4}-\d\d-\d\d rig-[A-Z0-9]{4}\)`)

// plain takes out of names what is drawn or given by the server.
func plain(all map[string]string) map[string]string {
	out := map[string]string{}
	for p, v := range all {
		p = conflictSuffix.ReplaceAllString(p, " (!)")
		out[doubleSuffix.ReplaceAllString(p, " (2)")] = v
	}
	return out
}

// matrixRow is a row of the design's matrix: what both sides do after they agreed on before, without knowing of each
// other, and what both show in the end.
type matrixRow struct {
	name   string
	before func(o there)
	here   func(w world)
	there  func(o there)
	want   map[string]string
	late   map[string]string // where it differs, when ours was sent before theirs was heard
	amid   map[string]string // where that differs, when theirs was heard before the answer
	check  func(w world, o there, late bool)
}

var matrix = []matrixRow{
	{name: "new here", here: func(w world) { w.mkdir("d"); w.write("d/a", "A") },
		want: map[string]string{"d": "/", "d/a": "A"}},
	{name: "new there", there: func(o there) { o.mkdir("d"); o.write("d/a", "A") },
		want: map[string]string{"d": "/", "d/a": "A"}},
	{name: "modified here", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("a", "new") }, want: map[string]string{"a": "new"}},
	{name: "modified there", before: func(o there) { o.write("a", "old") },
		there: func(o there) { o.write("a", "new") }, want: map[string]string{"a": "new"}},
	{name: "deleted here", before: func(o there) { o.write("a", "A"); o.mkdir("d"); o.write("d/b", "B") },
		here: func(w world) { w.unlink("a"); w.unlink("d/b"); w.rmdir("d") }, want: map[string]string{},
		check: func(w world, o there, late bool) { require.Len(w, o.account.TreeBelow(o.account.Rubbish()), 3) }},
	{name: "deleted there", before: func(o there) { o.write("a", "A"); o.mkdir("d"); o.write("d/b", "B") },
		there: func(o there) { o.remove("a"); o.trash("d") }, want: map[string]string{}},

	{name: "modified, modified", before: func(o there) { o.write("a.txt", "old") },
		here: func(w world) { w.write("a.txt", "mine") }, there: func(o there) { o.write("a.txt", "theirs") },
		want: map[string]string{"a.txt": "theirs", "a (!).txt": "mine"},
		late: map[string]string{"a.txt": "mine"}},
	{name: "modified, modified to the same", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("a", "same") }, there: func(o there) { o.write("a", "same") },
		want: map[string]string{"a": "same"}},
	{name: "modified, modified with an older time", before: func(o there) { o.write("a.txt", "old") },
		here:  func(w world) { w.write("a.txt", "mine") },
		there: func(o there) { o.account.PutVersion(o.handle("a.txt"), []byte("theirs"), time.Unix(1, 0)) },
		want:  map[string]string{"a.txt": "theirs", "a (!).txt": "mine"},
		late:  map[string]string{"a.txt": "mine"}},
	{name: "modified and open, modified", before: func(o there) { o.write("a.txt", "old") },
		here: func(w world) {
			f, err := w.engine.Open(w.ctx, w.ino("a.txt"), true, true)
			require.NoError(w, err)
			w.Cleanup(f.Release)
			_, err = f.WriteAt(w.ctx, []byte("mine"), 0)
			require.NoError(w, err)
			require.NoError(w, f.Flush(w.ctx))
		},
		there: func(o there) { o.write("a.txt", "theirs") },
		want:  map[string]string{"a.txt": "theirs", "a (!).txt": "mine"},
		late:  map[string]string{"a.txt": "mine"}},
	{name: "created, created", here: func(w world) { w.write("a.txt", "mine") }, there: func(o there) { o.write("a.txt", "theirs") },
		want: map[string]string{"a.txt": "theirs", "a (!).txt": "mine"},
		late: map[string]string{"a.txt": "theirs", "a (2).txt": "mine"}},
	{name: "created, created with the same content", here: func(w world) { w.write("a", "same") }, there: func(o there) { o.write("a", "same") },
		want: map[string]string{"a": "same"},
		late: map[string]string{"a": "same", "a (2)": "same"}},
	{name: "created, created empty", here: func(w world) { w.write("a", "") }, there: func(o there) { o.write("a", "") },
		want: map[string]string{"a": ""},
		late: map[string]string{"a": "", "a (2)": ""}},
	{name: "folder created, folder created",
		here:  func(w world) { w.mkdir("d"); w.write("d/mine", "1"); w.mkdir("d/e"); w.write("d/e/mine", "2") },
		there: func(o there) { o.mkdir("d"); o.write("d/theirs", "3"); o.mkdir("d/e"); o.write("d/e/theirs", "4") },
		want:  map[string]string{"d": "/", "d/mine": "1", "d/theirs": "3", "d/e": "/", "d/e/mine": "2", "d/e/theirs": "4"},
		late:  map[string]string{"d": "/", "d/theirs": "3", "d/e": "/", "d/e/theirs": "4", "d (2)": "/", "d (2)/mine": "1", "d (2)/e": "/", "d (2)/e/mine": "2"},
		amid:  map[string]string{"d": "/", "d/mine": "1", "d/theirs": "3", "d/e": "/", "d/e/mine": "2", "d/e/theirs": "4"}},
	{name: "file created, folder created", here: func(w world) { w.write("x", "mine") }, there: func(o there) { o.mkdir("x"); o.write("x/in", "1") },
		want: map[string]string{"x": "/", "x/in": "1", "x (!)": "mine"},
		late: map[string]string{"x": "/", "x/in": "1", "x (2)": "mine"}},
	{name: "folder created, file created", here: func(w world) { w.mkdir("x"); w.write("x/in", "1") }, there: func(o there) { o.write("x", "theirs") },
		want: map[string]string{"x": "theirs", "x (!)": "/", "x (!)/in": "1"},
		late: map[string]string{"x": "theirs", "x (2)": "/", "x (2)/in": "1"}},
	{name: "modified, replaced by a folder", before: func(o there) { o.write("x", "old") },
		here: func(w world) { w.write("x", "mine") }, there: func(o there) { o.trash("x"); o.mkdir("x") },
		want: map[string]string{"x": "/", "x (!)": "mine"},
		late: map[string]string{"x": "mine", "x (2)": "/"}},

	{name: "something in it modified, replaced by a file", before: func(o there) { o.mkdir("x"); o.write("x/a", "old") },
		here: func(w world) { w.write("x/a", "mine") }, there: func(o there) { o.trash("x"); o.write("x", "theirs") },
		want: map[string]string{"x": "theirs", "x (!)": "/", "x (!)/a": "mine"}},
	{name: "modified, deleted", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("a", "mine") }, there: func(o there) { o.remove("a") },
		want: map[string]string{"a": "mine"}},
	{name: "modified, put into the bin", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("a", "mine") }, there: func(o there) { o.trash("a") },
		want: map[string]string{"a": "mine"},
		check: func(w world, o there, late bool) { // the old one stays in the bin
			if late {
				require.Len(w, o.account.Versions(o.handle("a")), 2, "it is an older version")
				return
			}
			bin := o.account.TreeBelow(o.account.Rubbish())
			require.Len(w, bin, 1)
			require.Equal(w, "old", string(o.account.ReadFile(bin["a"].Handle)))
		}},
	{name: "modified, its folder deleted", before: func(o there) { o.mkdir("d"); o.mkdir("d/e"); o.write("d/e/a", "old"); o.write("d/b", "B") },
		here: func(w world) { w.write("d/e/a", "mine") }, there: func(o there) { o.remove("d") },
		want: map[string]string{"d": "/", "d/e": "/", "d/e/a": "mine"}},
	{name: "modified, its folder put into the bin", before: func(o there) { o.mkdir("d"); o.mkdir("d/e"); o.write("d/e/a", "old"); o.write("d/b", "B") },
		here: func(w world) { w.write("d/e/a", "mine") }, there: func(o there) { o.trash("d") },
		want: map[string]string{"d": "/", "d/e": "/", "d/e/a": "mine"}},
	{name: "created in a folder, that deleted", before: func(o there) { o.mkdir("d"); o.write("d/b", "B") },
		here: func(w world) { w.write("d/a", "mine") }, there: func(o there) { o.remove("d") },
		want: map[string]string{"d": "/", "d/a": "mine"}},
	{name: "created in a folder, that put into the bin", before: func(o there) { o.mkdir("d"); o.write("d/b", "B") },
		here: func(w world) { w.write("d/a", "mine"); w.mkdir("d/e"); w.write("d/e/c", "C") }, there: func(o there) { o.trash("d") },
		want: map[string]string{"d": "/", "d/a": "mine", "d/e": "/", "d/e/c": "C"}},
	{name: "created in a folder, that renamed", before: func(o there) { o.mkdir("d") },
		here: func(w world) { w.write("d/a", "mine") }, there: func(o there) { o.rename("d", "e") },
		want: map[string]string{"e": "/", "e/a": "mine"}},

	{name: "deleted, modified", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.unlink("a") }, there: func(o there) { o.write("a", "theirs") },
		want: map[string]string{"a": "theirs"}},
	{name: "deleted, moved", before: func(o there) { o.write("a", "A"); o.mkdir("d") },
		here: func(w world) { w.unlink("a") }, there: func(o there) { o.move("a", "d") },
		want: map[string]string{"d": "/", "d/a": "A"},
		late: map[string]string{"d": "/"},
		amid: map[string]string{"d": "/", "d/a": "A"}},
	{name: "deleted, deleted", before: func(o there) { o.write("a", "A"); o.write("b", "B") },
		here: func(w world) { w.unlink("a"); w.unlink("b") }, there: func(o there) { o.remove("a"); o.trash("b") },
		want: map[string]string{}},
	{name: "replaced by rename, modified", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("tmp", "mine"); w.rename("tmp", "a") }, there: func(o there) { o.write("a", "theirs") },
		want: map[string]string{"a": "theirs", "a (!)": "mine"},
		late: map[string]string{"a": "mine"}},
	{name: "replaced by rename, deleted", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("tmp", "mine"); w.rename("tmp", "a") }, there: func(o there) { o.remove("a") },
		want: map[string]string{"a": "mine"}},

	{name: "renamed, renamed", before: func(o there) { o.write("a", "A") },
		here: func(w world) { w.rename("a", "mine") }, there: func(o there) { o.rename("a", "theirs") },
		want: map[string]string{"theirs": "A"},
		late: map[string]string{"mine": "A"}},
	{name: "moved, moved", before: func(o there) { o.write("a", "A"); o.mkdir("d"); o.mkdir("e") },
		here: func(w world) { w.rename("a", "d/a") }, there: func(o there) { o.move("a", "e") },
		want: map[string]string{"d": "/", "e": "/", "e/a": "A"},
		late: map[string]string{"d": "/", "d/a": "A", "e": "/"}},
	{name: "folder moved, folder moved", before: func(o there) { o.mkdir("f"); o.write("f/a", "A"); o.mkdir("d"); o.mkdir("e") },
		here: func(w world) { w.rename("f", "d/f") }, there: func(o there) { o.move("f", "e") },
		want: map[string]string{"d": "/", "e": "/", "e/f": "/", "e/f/a": "A"},
		late: map[string]string{"d": "/", "d/f": "/", "d/f/a": "A", "e": "/"}},
	{name: "folder renamed, folder renamed", before: func(o there) { o.mkdir("d"); o.write("d/a", "A") },
		here: func(w world) { w.rename("d", "mine") }, there: func(o there) { o.rename("d", "theirs") },
		want: map[string]string{"theirs": "/", "theirs/a": "A"},
		late: map[string]string{"mine": "/", "mine/a": "A"}},
	{name: "folder renamed, something in it new and modified", before: func(o there) { o.mkdir("d"); o.write("d/a", "old") },
		here: func(w world) { w.rename("d", "e") }, there: func(o there) { o.write("d/a", "theirs"); o.write("d/b", "B") },
		want: map[string]string{"e": "/", "e/a": "theirs", "e/b": "B"}},
	{name: "something in it modified, folder moved", before: func(o there) { o.mkdir("d"); o.write("d/a", "old"); o.mkdir("e") },
		here: func(w world) { w.write("d/a", "mine") }, there: func(o there) { o.move("d", "e") },
		want: map[string]string{"e": "/", "e/d": "/", "e/d/a": "mine"}},
	{name: "folder renamed, deleted", before: func(o there) { o.mkdir("d"); o.write("d/a", "A"); o.mkdir("e"); o.write("e/b", "B") },
		here: func(w world) { w.rename("d", "d2"); w.rename("e", "e2") }, there: func(o there) { o.remove("d"); o.trash("e") },
		want: map[string]string{}},
	{name: "renamed, modified", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.rename("a", "b") }, there: func(o there) { o.write("a", "theirs") },
		want: map[string]string{"b": "theirs"}},
	{name: "modified, renamed", before: func(o there) { o.write("a", "old") },
		here: func(w world) { w.write("a", "mine") }, there: func(o there) { o.rename("a", "b") },
		want: map[string]string{"b": "mine"}},
	{name: "modified, moved", before: func(o there) { o.write("a", "old"); o.mkdir("d") },
		here: func(w world) { w.write("a", "mine") }, there: func(o there) { o.move("a", "d") },
		want: map[string]string{"d": "/", "d/a": "mine"}},
	{name: "renamed, deleted", before: func(o there) { o.write("a", "A"); o.write("b", "B") },
		here: func(w world) { w.rename("a", "a2"); w.rename("b", "b2") }, there: func(o there) { o.remove("a"); o.trash("b") },
		want: map[string]string{}},
	{name: "renamed and modified, deleted", before: func(o there) { o.write("a", "A") },
		here: func(w world) { w.rename("a", "b"); w.write("b", "mine") }, there: func(o there) { o.remove("a") },
		want: map[string]string{"b": "mine"}},
	{name: "renamed and modified, put into the bin", before: func(o there) { o.write("a", "A") },
		here: func(w world) { w.rename("a", "b"); w.write("b", "mine") }, there: func(o there) { o.trash("a") },
		want: map[string]string{"b": "mine"}},
	{name: "moved into a folder, that deleted", before: func(o there) { o.write("a", "A"); o.mkdir("d"); o.mkdir("f"); o.write("f/b", "B") },
		here: func(w world) { w.rename("a", "d/a"); w.rename("f", "d/f") }, there: func(o there) { o.remove("d") },
		want: map[string]string{"a": "A", "f": "/", "f/b": "B"}},
	{name: "moved into a folder, that put into the bin", before: func(o there) { o.write("a", "A"); o.mkdir("d"); o.mkdir("f"); o.write("f/b", "B") },
		here: func(w world) { w.rename("a", "d/a"); w.rename("f", "d/f") }, there: func(o there) { o.trash("d") },
		want: map[string]string{"a": "A", "f": "/", "f/b": "B"},
		late: map[string]string{"d": "/", "d/a": "A", "d/f": "/", "d/f/b": "B"}},
	{name: "folder moved into another, that moved into it", before: func(o there) { o.mkdir("d"); o.mkdir("e"); o.write("d/in d", "1"); o.write("e/in e", "2") },
		here: func(w world) { w.rename("d", "e/d") }, there: func(o there) { o.move("e", "d") },
		want: map[string]string{"d": "/", "d/in d": "1", "d/e": "/", "d/e/in e": "2"}},

	{name: "folder deleted, something new in it", before: func(o there) { o.mkdir("d"); o.write("d/a", "A"); o.mkdir("d/e"); o.write("d/e/b", "B") },
		here: removeD, there: func(o there) { o.write("d/e/new", "N") },
		want: map[string]string{"d": "/", "d/e": "/", "d/e/new": "N"}},
	{name: "folder deleted, something in it modified", before: func(o there) { o.mkdir("d"); o.write("d/a", "A"); o.mkdir("d/e"); o.write("d/e/b", "B") },
		here: removeD, there: func(o there) { o.write("d/e/b", "N") },
		want: map[string]string{"d": "/", "d/e": "/", "d/e/b": "N"}},
	{name: "folder deleted, something moved into it", before: func(o there) {
		o.write("x", "X")
		o.mkdir("d")
		o.write("d/a", "A")
		o.mkdir("d/e")
		o.write("d/e/b", "B")
	},
		here: removeD, there: func(o there) { o.move("x", "d/e") },
		want: map[string]string{"d": "/", "d/e": "/", "d/e/x": "X"}},
	{name: "folder deleted, folder moved", before: func(o there) { o.mkdir("f"); o.mkdir("d"); o.write("d/a", "A"); o.mkdir("d/e"); o.write("d/e/b", "B") },
		here: removeD, there: func(o there) { o.move("d", "f") },
		want: nil, check: func(w world, o there, late bool) {
			require.Contains(w, w.cloud(), "f") // what was in it may be gone, or all of it be there
		}},

	{name: "attributes, modified", before: func(o there) { o.write("a", "A") },
		here:  func(w world) { w.setXattr("a", "colour", "red") },
		there: func(o there) { o.write("a", "theirs") },
		want:  map[string]string{"a": "theirs"},
		check: func(w world, o there, late bool) {
			in, err := w.engine.Tree().Get(w.ino("a"))
			require.NoError(w, err)
			require.Equal(w, map[string]string{"colour": "red"}, in.Xattrs)
		}},
	{name: "renamed to a name, that created there", before: func(o there) { o.write("a", "A") },
		here: func(w world) { w.rename("a", "b") }, there: func(o there) { o.write("b", "theirs") },
		want: map[string]string{"b": "theirs", "b (!)": "A"},
		late: map[string]string{"b": "A", "b (2)": "theirs"}},
	{name: "two things there of one name", there: func(o there) {
		o.account.PutFile(o.account.Root(), "a", []byte("1"), time.Time{})
		o.account.PutFile(o.account.Root(), "a", []byte("1"), time.Time{})
	}, want: nil, check: func(w world, o there, late bool) {
		require.Len(w, w.names(""), 2)
		require.Len(w, w.cloud(), 2)
	}},
}

func removeD(w world) { w.unlink("d/a"); w.unlink("d/e/b"); w.rmdir("d/e"); w.rmdir("d") }

// When ours is sent, what comes of it may depend on whether theirs is heard after the answer, or amid the two.
const (
	late = 1 << iota
	amid
)

type order struct {
	name string
	sent int // 0: theirs is heard first; else which ends there may be
	send func(w world)
}

// ends gives what may come of a row.
func (row *matrixRow) ends(o order) (all []map[string]string) {
	lateEnd, amidEnd := row.want, row.want
	if row.late != nil {
		lateEnd, amidEnd = row.late, row.late
	}
	if row.amid != nil {
		amidEnd = row.amid
	}
	if o.sent&late != 0 {
		all = append(all, lateEnd)
	}
	if o.sent&amid != 0 {
		all = append(all, amidEnd)
	}
	if o.sent == 0 {
		all = append(all, row.want)
	}
	return all
}

// orders are the ways in which both sides' changes can come to be known: theirs is heard before ours is sent, or ours is
// sent before theirs is heard. Then what the stream tells comes at any time around the server's answer, with a crash
// in between, or packet by packet.
var orders = []order{
	{"heard first", 0, nil},
	{"sent first", late, func(w world) {
		w.flushUntil(func(done <-chan error) bool { return len(done) > 0 })
	}},
	{"sent first, and heard with the answer", late | amid, func(w world) {
		before := sends(w.server.Stats())
		w.flushUntil(func(done <-chan error) bool { return sends(w.server.Stats()) > before || len(done) > 0 })
	}},
	{"sent first, and heard before the answer", amid, func(w world) {
		before := sends(w.server.Stats())
		w.losingAnswers()
		w.flushUntil(func(done <-chan error) bool { return sends(w.server.Stats()) > before || len(done) > 0 })
	}},
	{"sent first, and a crash", late, func(w world) {
		w.flushUntil(func(done <-chan error) bool { return len(done) > 0 })
		w.crash()
		w.start()
	}},
	{"sent first, and a crash before the answer", amid, func(w world) {
		before := sends(w.server.Stats())
		w.losingAnswers()
		w.flushUntil(func(done <-chan error) bool { return sends(w.server.Stats()) > before || len(done) > 0 })
		w.crash()
		w.start()
	}},
	{"sent first, and packet by packet", late, func(w world) {
		w.flushUntil(func(done <-chan error) bool { return len(done) > 0 })
		w.server.Faults().SlicePackets(1)
	}},
}

// flushUntil sends what is pending, while no event is heard, until something is so, and lets events be heard again.
func (w world) flushUntil(cond func(done <-chan error) bool) {
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	go func() { done <- w.engine.Flush(ctx, 0) }()
	w.eventually(func() bool { return cond(done) })
	cancel()
	w.hearing(true)
}

// losingAnswers makes the answers to commands that change something get lost; they are executed.
func (w world) losingAnswers() {
	for _, c := range changing {
		w.server.Faults().DropAfter(c, megatest.Always)
	}
}

// hearing lets events be heard, or not.
func (w world) hearing(yes bool) {
	f := w.server.Faults()
	if yes {
		f.Mend(megatest.Events)
		f.Mend(megatest.Waits)
		return
	}
	f.FailHTTP(megatest.Events, 503, megatest.Always)
	f.FailHTTP(megatest.Waits, 503, megatest.Always)
}

// TestMatrix goes through the design's matrix: every row in every order. In the ordinary run most rows have the first two.
func TestMatrix(t *testing.T) {
	long := os.Getenv("MEGADISK_LONG") != ""
	for _, row := range matrix {
		all := long || row.amid != nil || strings.HasPrefix(row.name, "folder deleted")
		t.Run(row.name, func(t *testing.T) {
			for i, order := range orders {
				if i > 1 && !all || order.sent != 0 && (row.here == nil || row.there == nil) {
					continue
				}
				t.Run(order.name, func(t *testing.T) {
					t.Parallel()
					row.run(t, order)
				})
			}
		})
	}
}

func (row *matrixRow) run(t *testing.T, order order) {
	r := newRig(t, settleNever)
	w, o := world{r}, there{r}
	if row.before != nil {
		row.before(o)
		r.caughtUp()
	}
	if order.sent != 0 {
		w.hearing(false)
	}
	if row.here != nil {
		row.here(w)
	}
	if row.there != nil {
		row.there(o)
	}
	if order.send != nil {
		order.send(w)
	}
	r.caughtUp()
	r.server.Faults().Clear()
	r.eventually(func() bool {
		return r.engine.Flush(r.ctx, 0) == nil && r.quiet()
	})
	view, err := r.view()
	require.NoError(t, err)
	if row.want != nil {
		shown, ends := values(view), [][]string{}
		for _, end := range row.ends(order) {
			ends = append(ends, values(end))
		}
		require.Contains(t, ends, shown, "here: %v; the cloud: %v\n%s", view, r.cloud(), r.dump())
		if order.sent == 0 { // otherwise which of two has the plain name is drawn with their handles
			require.Equal(t, row.want, plain(view), "here; the cloud: %v\n%s", r.cloud(), r.dump())
		}
		require.Equal(t, shown, values(r.cloud()))
	}
	if row.check != nil {
		row.check(w, o, order.sent != 0)
	}
	require.Empty(t, r.engine.Status().Pending)
}

// changing are the commands that change something.
var changing = strings.Fields("p a m d")

// sends counts them.
func sends(s megatest.Stats) int {
	n := 0
	for _, c := range changing {
		n += s.Commands[c]
	}
	return n
}

// quiet catches up and tells whether nothing is left to send.
func (r *rig) quiet() bool {
	r.caughtUp()
	_ = r.engine.tree.Settled(r.ctx)
	r.told()
	return r.engine.queue.len() == 0
}

// told waits until the engine has heard of all that has changed in its tree.
func (m *mount) told() {
	mark, heard := &struct{ byte }{}, make(chan struct{})
	defer m.engine.tree.Subscribe(func(changes []tree.Change) {
		if len(changes) > 0 && changes[0].Origin == any(mark) {
			close(heard)
		}
	})()
	err := m.engine.tree.Update(tree.WithOrigin(m.ctx, mark), func(tx *tree.Tx) error {
		tx.Note(tree.Change{Attr: true})
		return nil
	})
	require.NoError(m.t, err)
	select {
	case <-heard:
	case <-m.ctx.Done():
		require.FailNow(m.t, "the tree tells nothing")
	}
}

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
)

// run runs a program for a work. A failure is the mount's death, or the test's failure.
func (k *killer) run(dir, name string, args ...string) (out []byte, alive bool) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(slices.Clip(k.p.Env), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return out, true
	}
	if !k.gone() {
		k.t.Errorf("%s %s: %v: %s", name, args, err, out)
	}
	return out, false
}

// killedDatabase inserts rows into an SQLite database, a transaction each, and counts those that were committed.
type killedDatabase struct {
	k    *killer
	name string
	rows int
}

func newDatabase(k *killer, journal string) *killedDatabase {
	needs.Programs(k.t, "sqlite3")
	d := &killedDatabase{k: k, name: journal + ".sqlite"}
	_, alive := k.run(k.p.Point, "sqlite3", d.name, "pragma journal_mode="+journal+"; create table t(a integer primary key, b text);")
	require.True(k.t, alive)
	return d
}

// step implements killedWork: one run of sqlite3 with 30 transactions, each of which says that it was committed.
func (d *killedDatabase) step(rng *rand.Rand) bool {
	var script strings.Builder
	for range 30 {
		fmt.Fprintf(&script, "begin; insert into t(b) values('%s'); commit; select 'committed';\n", strings.Repeat("b", rng.IntN(3000)))
	}
	cmd := exec.Command("sqlite3", "-bail", d.name)
	cmd.Dir = d.k.p.Point
	cmd.Stdin = strings.NewReader(script.String())
	out, _ := cmd.Output()
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if lines.Text() == "committed" {
			d.rows++
		}
	}
	if cmd.ProcessState == nil || !cmd.ProcessState.Success() {
		if !d.k.gone() {
			d.k.t.Errorf("sqlite3 %s: %v", d.name, cmd.ProcessState)
		}
		return false
	}
	return true
}

// check implements killedWork.
func (d *killedDatabase) check() {
	d.k.t.Helper()
	out, alive := d.k.run(d.k.p.Point, "sqlite3", d.name, "pragma integrity_check; select count(*) from t")
	require.True(d.k.t, alive)
	lines := strings.Fields(string(out))
	require.Len(d.k.t, lines, 2, string(out))
	require.Equal(d.k.t, "ok", lines[0], d.name)
	rows, err := strconv.Atoi(lines[1])
	require.NoError(d.k.t, err)
	require.GreaterOrEqual(d.k.t, rows, d.rows, "%s: committed rows are gone", d.name)
	require.LessOrEqual(d.k.t, rows, d.rows+1, d.name)
	d.rows = rows
}

// killedRepository commits to a git repository.
type killedRepository struct {
	k    *killer
	n    int
	head string // the last commit that git said it had made
}

func newRepository(k *killer) *killedRepository {
	needs.Programs(k.t, "git")
	_, alive := k.run(k.p.Point, "git", "-c", "init.defaultBranch=main", "init", "-q", "repo")
	require.True(k.t, alive)
	return &killedRepository{k: k}
}

func (r *killedRepository) git(args ...string) (string, bool) {
	out, alive := r.k.run(r.k.path("repo"), "git", append([]string{"-c", "gc.auto=0"}, args...)...)
	return strings.TrimSpace(string(out)), alive
}

// step implements killedWork.
func (r *killedRepository) step(rng *rand.Rand) bool {
	r.n++
	name := filepath.Join(r.k.path("repo"), fmt.Sprint("file", rng.IntN(20)))
	if r.k.dead("writing "+name, os.WriteFile(name, fmt.Appendf(nil, "%d %d\n", r.n, rng.Uint64()), 0o644)) {
		return false
	}
	if _, alive := r.git("add", "."); !alive {
		return false
	}
	if _, alive := r.git("commit", "-qm", fmt.Sprint(r.n)); !alive {
		return false
	}
	head, alive := r.git("rev-parse", "HEAD")
	if alive {
		r.head = head
	}
	return alive
}

// check implements killedWork.
func (r *killedRepository) check() {
	r.k.t.Helper()
	_, alive := r.git("fsck", "--full", "--strict", "--no-dangling")
	require.True(r.k.t, alive, "git fsck")
	// A killed git leaves its locks, as on any disk.
	locks, _ := filepath.Glob(r.k.path("repo", ".git", "*.lock"))
	more, _ := filepath.Glob(r.k.path("repo", ".git", "refs", "heads", "*.lock"))
	for _, lock := range append(locks, more...) {
		require.NoError(r.k.t, os.Remove(lock))
	}
	if r.head == "" {
		return
	}
	_, alive = r.git("merge-base", "--is-ancestor", r.head, "HEAD")
	require.True(r.k.t, alive, "the commit %s that git had made isn't in the history", r.head)
}

// killedArchive unpacks an archive into new folders and removes old ones.
type killedArchive struct {
	k       *killer
	source  string   // what is in the archive, on a local disk
	whole   []string // folders that were unpacked
	removed []string // and those that were removed since
	open    string   // what the last step worked on
	n       int
}

func newArchive(k *killer) *killedArchive {
	a := &killedArchive{k: k, source: filepath.Join(k.p.Dir, "archive")}
	require.NoError(k.t, os.Mkdir(a.source, 0o755))
	writeTree(k.t, a.source, 60)
	_, alive := k.run(a.source, "tar", "cf", a.source+".tar", ".")
	require.True(k.t, alive)
	return a
}

// step implements killedWork.
func (a *killedArchive) step(*rand.Rand) bool {
	if len(a.whole) > 2 {
		a.open, a.whole = a.whole[0], a.whole[1:]
		if _, alive := a.k.run(a.k.p.Point, "rm", "-r", a.open); !alive {
			return false
		}
		a.removed = append(a.removed, a.open)
	}
	a.n++
	a.open = fmt.Sprint("unpacked", a.n)
	if a.k.dead("making a folder", os.Mkdir(a.k.path(a.open), 0o755)) {
		return false
	}
	if _, alive := a.k.run(a.k.path(a.open), "tar", "xf", a.source+".tar"); !alive {
		return false
	}
	a.whole = append(a.whole, a.open)
	a.open = ""
	return true
}

// check implements killedWork.
func (a *killedArchive) check() {
	a.k.t.Helper()
	for _, dir := range a.whole {
		out, alive := a.k.run(a.k.p.Point, "diff", "-r", a.source, dir)
		require.True(a.k.t, alive, "%s", out)
	}
	for _, dir := range a.removed {
		left, _ := exec.Command("find", a.k.path(dir), "-ls").Output() // nothing, and an error that nobody reads
		require.Empty(a.k.t, string(left), "%s was removed", dir)
	}
	if a.open != "" {
		require.NoError(a.k.t, os.RemoveAll(a.k.path(a.open))) // half unpacked or half removed
		a.removed, a.open = append(a.removed, a.open), ""
	}
	a.removed = a.removed[max(0, len(a.removed)-20):]
}

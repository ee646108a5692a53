package writeback

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// view lists a mount: contents by path, "/" for folders.
func (m *mount) view() (map[string]string, error) {
	all := map[string]string{}
	var list func(ino tree.Ino, prefix string) error
	list = func(ino tree.Ino, prefix string) error {
		entries, err := m.engine.Tree().ReadDir(ino, "", 10000)
		if err != nil {
			return err
		}
		for _, in := range entries {
			p := path.Join(prefix, in.Name)
			if in.Kind == tree.Dir {
				all[p] = "/"
				if err := list(in.Ino, p); err != nil {
					return err
				}
				continue
			}
			text, err := m.tryRead(p)
			if err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
			all[p] = text
		}
		return nil
	}
	return all, list(tree.DriveIno, "")
}

// dump describes the inodes of a mount, for failures.
func (m *mount) dump() string {
	out := ""
	var list func(ino tree.Ino, prefix string)
	list = func(ino tree.Ino, prefix string) {
		entries, _ := m.engine.Tree().ReadDir(ino, "", 10000)
		for _, in := range entries {
			out += fmt.Sprintf("%s: ino %d pending %d size %d base %v/%d", path.Join(prefix, in.Name), in.Ino, in.Pending, in.Size, in.Base.Handle, in.Base.Limit)
			if in.Cloud != nil {
				out += fmt.Sprintf(" cloud %s in %s %q size %d created %d", in.Cloud.Handle, in.Cloud.Parent, in.Cloud.Name, in.Cloud.Size, in.Cloud.Created)
			}
			out += "\n"
			if in.Kind == tree.Dir {
				list(in.Ino, path.Join(prefix, in.Name))
			}
		}
	}
	list(tree.DriveIno, "")
	return out
}

// doubleSuffix is what the tree puts behind the name of the second of two nodes
// with one name. Which of the two is shown how is the tree's to decide.
var doubleSuffix = regexp.MustCompile(` \([A-Za-z0-9_-]{8}(-\d+)?\)`)

func values(m map[string]string) []string {
	all := []string{}
	for _, v := range m {
		all = append(all, v)
	}
	sort.Strings(all)
	return all
}

// promises are the contents that were acknowledged and that nobody has deleted or overwritten knowingly since: by
// content, who wrote it.
type promises map[string]string

// letGo ends the promise for what stands at a path, in that view: whoever does something to it has seen it.
func (p promises) letGo(view map[string]string, at string) {
	for q, content := range view {
		if q == at || strings.HasPrefix(q, at+"/") {
			delete(p, content)
		}
	}
}

// convergence is one run: two mounts and somebody else change one account from a seed, while the network breaks and
// processes die.
type convergence struct {
	*rig
	other    *mount
	rnd      *rand.Rand
	promised promises
	others   func(i int) // does one operation as another client
}

// pick draws a path, at the top or in one of two folders.
func (v *convergence) pick() string {
	name := string(rune('a' + v.rnd.IntN(4)))
	if v.rnd.IntN(2) == 0 {
		return fmt.Sprintf("d%d/%s", v.rnd.IntN(2), name)
	}
	return name
}

func (v *convergence) step(i int) error {
	switch m := []*mount{v.mount, v.other, nil}[v.rnd.IntN(3)]; {
	case v.rnd.IntN(12) == 0:
		v.breakSomething()
		return nil
	case m == nil:
		v.others(i)
		return nil
	default:
		return v.byMount(m, i)
	}
}

func (v *convergence) breakSomething() {
	f := v.server.Faults()
	switch n := 1 + v.rnd.IntN(3); v.rnd.IntN(6) {
	case 0:
		f.FailHTTP(megatest.Events, 503, n)
	case 1:
		f.FailHTTP(megatest.API, 503, n)
	case 2:
		f.DropAfter("", n)
	case 3:
		f.DropBefore("", n)
	case 4:
		f.FailBatch("", -3, n)
	default:
		m := []*mount{v.mount, v.other}[v.rnd.IntN(2)]
		if v.rnd.IntN(2) == 0 {
			m.crash()
		} else {
			m.stop()
		}
		m.start()
	}
}

// byMount does one operation in a mount, which may well fail.
func (v *convergence) byMount(m *mount, i int) error {
	kind, p, q := v.rnd.IntN(7), v.pick(), v.pick()
	for {
		at := m.commits()
		view, err := m.view()
		if errors.Is(err, megaclient.ENOENT) {
			return nil // somebody deleted it for good, and that isn't heard yet
		}
		if err != nil {
			return err
		}
		if m.commits() == at { // else what is overwritten need not be what was seen
			return v.operate(m, view, kind, p, q, fmt.Sprintf("%s %d", m.dir[len(m.dir)-3:], i))
		}
	}
}

func (v *convergence) operate(m *mount, view map[string]string, kind int, p, q, content string) error {
	dir, name, ok := m.place(p)
	if !ok {
		return nil
	}
	switch kind {
	case 0:
		if err := m.engine.Unlink(m.ctx, dir, name); err != nil {
			return err
		}
		v.promised.letGo(view, p)
	case 1, 2:
		to, as, ok := m.place(q)
		if !ok || p == q {
			return nil
		}
		if err := m.engine.Rename(m.ctx, dir, name, to, as, false); err != nil {
			return err
		}
		v.promised.letGo(view, q)
	case 3:
		_, err := m.engine.Mkdir(m.ctx, tree.DriveIno, fmt.Sprintf("d%d", v.rnd.IntN(2)), 0o755)
		return err
	default:
		if err := m.tryWrite(p, content); err != nil {
			return err
		}
		v.promised.letGo(view, p)
		v.promised[content] = m.dir
	}
	return nil
}

// commits gives a number that every change to a mount's tree makes larger.
func (m *mount) commits() (n uint64) {
	m.engine.writeMu.Lock()
	defer m.engine.writeMu.Unlock()
	require.NoError(m.t, m.engine.Tree().View(func(tx *tree.Tx) error {
		n = tx.Badger().ReadTs()
		return nil
	}))
	return n
}

// place gives the folder and name of a path; false if there is no such folder.
func (m *mount) place(p string) (tree.Ino, string, bool) {
	dir, name := path.Split(p)
	if dir == "" {
		return tree.DriveIno, name, true
	}
	ino, err := m.engine.Tree().Resolve(strings.TrimSuffix(dir, "/"))
	return ino, name, err == nil
}

// byOthers does one operation as another client.
func (v *convergence) byOthers(i int) {
	a := v.account
	p := v.pick()
	h, folder := a.Find(p), a.Root()
	if dir := path.Dir(p); dir != "." {
		if folder = a.Find(dir); folder == "" {
			a.Mkdir(a.Root(), dir)
			return
		}
	}
	switch n := v.rnd.IntN(6); {
	case h == "" || n == 0:
		content := fmt.Sprintf("else %d", i)
		if h != "" {
			a.PutVersion(h, []byte(content), time.Unix(1e9, 0))
		} else {
			a.PutFile(folder, path.Base(p), []byte(content), time.Unix(1e9, 0))
		}
		v.promised[content] = "else"
	case n == 1:
		a.Rename(h, string(rune('a'+v.rnd.IntN(4))))
	case n == 2:
		a.Move(h, a.Root())
	case n == 3:
		for _, version := range a.Versions(h) {
			delete(v.promised, string(a.ReadFile(version)))
		}
		a.Remove(h)
	case n == 4:
		if d := a.Find(fmt.Sprintf("d%d", v.rnd.IntN(2))); d != "" {
			a.Trash(d)
		}
	default:
		a.Trash(h)
	}
}

// kept gives all contents that the account has: files, older versions, and the bin.
func (v *convergence) kept() map[string]int {
	all := map[string]int{}
	for _, top := range []string{v.account.Root(), v.account.Rubbish()} {
		for _, e := range v.account.TreeBelow(top) {
			if e.Dir {
				continue
			}
			for _, version := range v.account.Versions(e.Handle) {
				all[string(v.account.ReadFile(version))]++
			}
		}
	}
	return all
}

func (v *convergence) run() {
	for i := range 40 {
		if err := v.step(i); err != nil && !expected(err) {
			require.NoError(v, err)
		}
		if v.rnd.IntN(5) == 0 {
			time.Sleep(time.Duration(v.rnd.IntN(30)) * time.Millisecond) // different interleavings; not a wait for anything
		}
	}
	v.server.Faults().Clear()
	here, there := v.settled(v.other)
	kept := v.kept()
	for content, who := range v.promised {
		require.NotZero(v, kept[content], "%q of %s is gone; there is %v", content, who, kept)
	}
	require.Equal(v, here, there, "the cloud: %v\n%s\n%s", v.cloud(), v.dump(), v.other.dump())
	require.Equal(v, values(here), values(v.cloud()))
	for content, times := range kept {
		if content == "" || strings.HasPrefix(content, "js ") {
			continue // files that are made, and not written yet, are alike; megajs may well send something twice
		}
		require.LessOrEqual(v, times, 1, "%q was sent more than once: %v, %v", content, v.cloud(), kept)
	}
}

// convergeSeeds is how many seeds a test run has; MEGADISK_SEEDS says otherwise: N, or FROM-TO.
const convergeSeeds = "0-8"

// TestConvergence: whatever two mounts and others do at the same time, in the end both mounts and the cloud are the
// same, nothing that was acknowledged is gone, and nothing was sent twice; in each of the ways in which a server may
// take a version of a file that has a newer one already.
func TestConvergence(t *testing.T) {
	seeds := convergeSeeds
	if s := os.Getenv("MEGADISK_SEEDS"); s != "" {
		seeds = s
	}
	from, to := uint64(0), uint64(0)
	if _, err := fmt.Sscanf(seeds, "%d-%d", &from, &to); err != nil {
		from = 0
		_, err = fmt.Sscanf(seeds, "%d", &to)
		require.NoError(t, err, "MEGADISK_SEEDS")
	}
	type task struct {
		seed uint64
		how  megatest.Superseded
	}
	var tasks []task
	add := func(seed uint64) {
		for _, how := range []megatest.Superseded{megatest.SupersededInsert, megatest.SupersededRefuse, megatest.SupersededBeside} {
			if os.Getenv("MEGADISK_SEEDS") == "" || seed%3 == uint64(how) { // many seeds go round the three
				tasks = append(tasks, task{seed, how})
			}
		}
	}
	for _, seed := range badSeeds {
		add(seed)
	}
	for seed := from; seed < to; seed++ {
		add(seed)
	}
	var workers sync.WaitGroup
	next := make(chan task)
	for range 8 { // they wait most of the time
		workers.Go(func() {
			for k := range next {
				t.Run(fmt.Sprintf("%d, %d", k.seed, k.how), func(t *testing.T) { converge(t, k.seed, k.how) })
			}
		})
	}
	for _, k := range tasks {
		next <- k
	}
	close(next)
	workers.Wait()
}

// convergeLimit ends a run that would hang; eight of them share the machine, perhaps with much else.
const convergeLimit = 2 * rigLimit

// converge runs one seed.
func converge(t *testing.T, seed uint64, how megatest.Superseded) {
	r := newRigFor(t, convergeLimit, nil, megatest.WithSuperseded(how))
	v := &convergence{rig: r, other: newMount(t, r.ctx, r.server, nil), rnd: rand.New(rand.NewPCG(seed, 7)), promised: promises{}}
	v.other.start()
	require.NoError(t, v.other.engine.Ready(r.ctx))
	if v.others = v.byOthers; os.Getenv(jsVariable) != "" {
		v.others = v.startMegajs(os.Getenv(jsVariable)).change
	}
	v.run()
}

// badSeeds once found something.
var badSeeds = []uint64{12}

// settled drains two mounts until both show the same, or for a minute, and often on a machine that is slow: what
// one hears can make it send something that the other must hear.
func (r *rig) settled(other *mount) (here, there map[string]string) {
	tries, deadline := 0, time.Now().Add(time.Minute)
	r.eventually(func() bool {
		if r.engine.Flush(r.ctx, 0) != nil || other.engine.Flush(r.ctx, 0) != nil {
			return false
		}
		r.caughtUp()
		other.caughtUp()
		var err, err2 error
		here, err = r.view()
		there, err2 = other.view()
		quiet := err == nil && err2 == nil && r.engine.queue.len()+other.engine.queue.len() == 0
		tries++
		return quiet && maps.Equal(here, there) || tries > 20 && time.Now().After(deadline)
	})
	return here, there
}

func expected(err error) bool {
	for _, e := range []error{tree.ErrNotFound, tree.ErrExist, tree.ErrIsDir, tree.ErrNotDir, tree.ErrNotEmpty, tree.ErrStale, tree.ErrCircular, ErrInBin, megaclient.ErrUnreachable} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

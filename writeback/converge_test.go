package writeback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// randomStep does one operation that may well fail.
func (m *mount) randomStep(rnd *rand.Rand, i int) error {
	pick := func() (tree.Ino, string) {
		name := string(rune('a' + rnd.IntN(4)))
		if ino, err := m.engine.Tree().Resolve("d" + fmt.Sprint(rnd.IntN(2))); err == nil && rnd.IntN(2) == 0 {
			return ino, name
		}
		return tree.DriveIno, name
	}
	dir, name := pick()
	switch rnd.IntN(7) {
	case 0:
		return m.engine.Unlink(m.ctx, dir, name)
	case 1, 2:
		to, as := pick()
		return m.engine.Rename(m.ctx, dir, name, to, as, false)
	case 3:
		_, err := m.engine.Mkdir(m.ctx, tree.DriveIno, "d"+fmt.Sprint(rnd.IntN(2)), 0o755)
		return err
	}
	in, err := m.engine.Tree().Lookup(dir, name)
	if errors.Is(err, tree.ErrNotFound) {
		in, err = m.engine.Create(m.ctx, dir, name, 0o644)
	}
	if err != nil {
		return err
	}
	f, err := m.engine.Open(m.ctx, in.Ino, true, true)
	if err != nil {
		return err
	}
	defer f.Release()
	if _, err := f.WriteAt(m.ctx, fmt.Appendf(nil, "%s %d", m.dir[len(m.dir)-3:], i), 0); err != nil {
		return err
	}
	return f.Flush(m.ctx)
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
				out += fmt.Sprintf(" cloud %s in %s %q size %d", in.Cloud.Handle, in.Cloud.Parent, in.Cloud.Name, in.Cloud.Size)
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

func undoubled(m map[string]string) []string {
	all := []string{}
	for p, v := range m {
		all = append(all, doubleSuffix.ReplaceAllString(p, "")+" = "+v)
	}
	sort.Strings(all)
	return all
}

func values(m map[string]string) []string {
	all := []string{}
	for _, v := range m {
		all = append(all, v)
	}
	sort.Strings(all)
	return all
}

// Two mounts of one account make random changes at the same time; after both
// have drained they show the same, and the cloud has it.
func TestTwoMountsConverge(t *testing.T) {
	for seed := range uint64(convergeSeeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			r := newRig(t, nil)
			other := newMount(t, r.ctx, r.server, nil)
			other.start()
			require.NoError(t, other.engine.Ready(r.ctx))
			for i := range 40 {
				m := r.mount
				if rnd.IntN(2) == 0 {
					m = other
				}
				err := m.randomStep(rnd, i)
				if err != nil && !expected(err) {
					require.NoError(t, err)
				}
				if rnd.IntN(5) == 0 {
					time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond) // different interleavings; not a wait for anything
				}
			}
			here, there := r.settled(other)
			require.Equal(t, undoubled(here), undoubled(there), "the cloud: %v\n%s\n%s", r.cloud(), r.dump(), other.dump())
			require.Equal(t, values(here), values(r.cloud()))
		})
	}
}

// settled drains two mounts until both show the same, or for ten seconds: what
// one hears can make it send something that the other must hear.
func (r *rig) settled(other *mount) (here, there map[string]string) {
	deadline := time.Now().Add(10 * time.Second)
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
		return quiet && slices.Equal(undoubled(here), undoubled(there)) || time.Now().After(deadline)
	})
	return here, there
}

const convergeSeeds = 5

func expected(err error) bool {
	for _, e := range []error{tree.ErrNotFound, tree.ErrExist, tree.ErrIsDir, tree.ErrNotDir, tree.ErrNotEmpty, tree.ErrStale, tree.ErrCircular} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

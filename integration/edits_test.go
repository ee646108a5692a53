package integration

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/harness"
	"megadisk/megaclient/megatest"
	"megadisk/writeback"
)

// edits are the ways in which programs change a file that is there.
var edits = []func(h *harness.Harness, name, mark string) error{
	func(h *harness.Harness, name, mark string) error { // overwritten
		return os.WriteFile(h.Path(name), []byte(mark), 0o644)
	},
	func(h *harness.Harness, name, mark string) error { // appended to
		return writeInto(h.Path(name), os.O_APPEND, mark)
	},
	func(h *harness.Harness, name, mark string) error { // changed in place
		return writeInto(h.Path(name), 0, mark)
	},
	func(h *harness.Harness, name, mark string) error { // replaced by rename
		if err := os.WriteFile(h.Path("."+mark), []byte(mark), 0o644); err != nil {
			return err
		}
		return os.Rename(h.Path("."+mark), h.Path(name))
	},
}

func writeInto(path string, how int, mark string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|how, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(mark)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// TestTwoMountsEditAtOnce: both edits of a file that programs in two mounts make at the same moment stay, as the file, an
// older version of it, or a conflict copy, whatever the server does with the second one; and both mounts and the cloud
// show the same. The long form has 1,000 rounds.
func TestTwoMountsEditAtOnce(t *testing.T) {
	rounds := len(edits)
	if isLong() {
		rounds = 1000/3 + 1
	}
	for _, how := range []megatest.Superseded{megatest.SupersededInsert, megatest.SupersededRefuse, megatest.SupersededBeside} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			soon := harness.WithEngine(func(o *writeback.Options) {
				o.Timings.Settle, o.Timings.SettleMax = 20*time.Millisecond, 200*time.Millisecond
			})
			here := harness.New(t, harness.WithServer(megatest.WithSuperseded(how)), soon)
			there := harness.New(t, harness.SameAccount(here), soon)
			for n := range rounds {
				editAtOnce(t, here, there, n)
			}
			t.Logf("%d rounds", rounds)
		})
	}
}

func editAtOnce(t *testing.T, here, there *harness.Harness, n int) {
	name := fmt.Sprint("f", n)
	require.NoError(t, os.WriteFile(here.Path(name), []byte(strings.Repeat("-", 32)), 0o644))
	here.Drain()
	there.Await(name)
	marks := []string{fmt.Sprintf("<here %d>", n), fmt.Sprintf("<there %d>", n)}
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i, h := range []*harness.Harness{here, there} {
		edit := edits[(n+i*(n/len(edits)))%len(edits)]
		both.Go(func() { errs[i] = edit(h, name, marks[i]) })
	}
	both.Wait()
	require.NoError(t, errs[0], "round %d", n)
	require.NoError(t, errs[1], "round %d", n)
	seen := agreed(t, here, there)
	kept := keptContents(here.Account)
	for _, mark := range marks {
		require.True(t, slices.ContainsFunc(kept, func(content string) bool { return strings.Contains(content, mark) }),
			"round %d: %s is gone; both see %v, the cloud keeps %q", n, mark, seen, kept)
	}
	for _, e := range here.Account.Tree() {
		here.Account.Remove(e.Handle)
	}
}

// agreed sends what two mounts have until both show the same as the cloud, by name and content.
func agreed(t *testing.T, here, there *harness.Harness) (seen map[string]string) {
	require.Eventually(t, func() bool {
		if here.Engine.Flush(here.Context(), 0) != nil || there.Engine.Flush(there.Context(), 0) != nil {
			return false // refused, until what the other one did is heard
		}
		a, errA := visible(here)
		b, errB := visible(there)
		seen = a
		return errA == nil && errB == nil && maps.Equal(a, b) && slices.Equal(sortedValues(a), inCloud(here.Account))
	}, bounded, 2*time.Millisecond, "the mounts do not agree")
	return seen
}

// visible reads all that a mount shows.
func visible(h *harness.Harness) (map[string]string, error) {
	list, err := os.ReadDir(h.Dir)
	all := map[string]string{}
	for _, e := range list {
		text, err := os.ReadFile(h.Path(e.Name()))
		if err != nil {
			return nil, err
		}
		all[e.Name()] = string(text)
	}
	return all, err
}

func sortedValues(m map[string]string) []string { return slices.Sorted(maps.Values(m)) }

// inCloud gives the contents of all files of the drive.
func inCloud(a *megatest.Account) (all []string) {
	for _, e := range a.Tree() {
		all = append(all, string(a.ReadFile(e.Handle)))
	}
	slices.Sort(all)
	return all
}

// keptContents gives the contents of all files of drive and bin, with older versions.
func keptContents(a *megatest.Account) (all []string) {
	for _, top := range []string{a.Root(), a.Rubbish()} {
		for _, e := range a.TreeBelow(top) {
			if e.Dir {
				continue
			}
			for _, version := range a.Versions(e.Handle) {
				all = append(all, string(a.ReadFile(version)))
			}
		}
	}
	return all
}

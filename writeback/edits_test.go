package writeback

import (
	"fmt"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// edits are the ways in which programs change a file that is there.
var edits = []struct {
	name string
	do   func(m *mount, p, old, mark string) (saved string, err error)
}{
	{"overwritten", func(m *mount, p, old, mark string) (string, error) {
		return mark, m.tryWrite(p, mark)
	}},
	{"appended to", func(m *mount, p, old, mark string) (string, error) {
		return old + mark, m.writeInto(p, int64(len(old)), mark)
	}},
	{"changed in place", func(m *mount, p, old, mark string) (string, error) {
		return mark + old[len(mark):], m.writeInto(p, 0, mark)
	}},
	{"replaced by rename", func(m *mount, p, old, mark string) (string, error) {
		if err := m.tryWrite("."+mark, mark); err != nil {
			return "", err
		}
		return mark, m.engine.Rename(m.ctx, tree.DriveIno, "."+mark, tree.DriveIno, p, false)
	}},
}

// writeInto changes a part of a file.
func (m *mount) writeInto(p string, off int64, text string) error {
	ino, err := m.engine.Tree().Resolve(p)
	if err != nil {
		return err
	}
	f, err := m.engine.Open(m.ctx, ino, true, false)
	if err != nil {
		return err
	}
	defer f.Release()
	if _, err := f.WriteAt(m.ctx, []byte(text), off); err != nil {
		return err
	}
	return f.Flush(m.ctx)
}

// TestTwoMountsEditAtOnce: both edits of a file that two mounts make at the same moment stay, as the file, an older
// version of it, or a conflict copy, whatever the server does with the second one. The long form has 1,000 rounds of each.
func TestTwoMountsEditAtOnce(t *testing.T) {
	rounds := 2 * len(edits)
	if os.Getenv("MEGADISK_LONG") != "" {
		rounds = 1000
	}
	for how, name := range map[megatest.Superseded]string{megatest.SupersededInsert: "insert", megatest.SupersededRefuse: "refuse", megatest.SupersededBeside: "beside"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRigFor(t, time.Hour, nil, megatest.WithSuperseded(how))
			other := newMount(t, r.ctx, r.server, nil)
			other.start()
			require.NoError(t, other.engine.Ready(r.ctx))
			for n := range rounds {
				r.editAtOnce(other, n)
			}
		})
	}
}

func (r *rig) editAtOnce(other *mount, n int) {
	p, old := fmt.Sprintf("f%d", n), fmt.Sprintf("%032d", n)
	r.write(p, old)
	r.flush()
	other.caughtUp()
	mounts := [2]*mount{r.mount, other}
	var saved [2]string
	var errs [2]error
	var both sync.WaitGroup
	for i, m := range mounts {
		edit := edits[(n+i*(n/len(edits)))%len(edits)]
		both.Go(func() {
			if saved[i], errs[i] = edit.do(m, p, old, fmt.Sprintf("mark-%d-%d", i, n)); n%3 > 0 {
				_ = m.engine.Flush(m.ctx, 0) // refused at first, perhaps
			}
		})
	}
	both.Wait()
	here, there := r.settled(other)
	kept := (&convergence{rig: r}).kept()
	for i := range mounts {
		require.NoError(r, errs[i], "round %d", n)
		require.NotZero(r, kept[saved[i]], "round %d: %q of mount %d is gone; there is %v", n, saved[i], i, kept)
	}
	require.True(r, maps.Equal(here, there), "round %d: here %v, there %v, the cloud %v\n%s\n%s", n, here, there, r.cloud(), r.dump(), other.dump())
	require.Equal(r, values(here), values(r.cloud()), "round %d", n)
	for _, e := range r.account.Tree() {
		r.account.Remove(e.Handle)
	}
}

package writeback

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/staging"
)

// manySteps gives each region row a transaction of its own: a file of a few
// regions is a very large one.
func manySteps(t *testing.T) {
	lower(t, &regionBytes, 1)
	lower(t, &turnStep, 1)
	lower(t, &inlineRegion, 40) // and that of a region with more than a few extents has parts
}

// restored is longer than a region.
var restored = strings.Repeat("restored", staging.RegionSize/8+1)

// sparse writes something into each of so many regions of a new file, and gives its content.
func (r *rig) sparse(p string, n int) []byte {
	f := r.create(p)
	defer f.Release()
	content := make([]byte, (n-1)*staging.RegionSize+100)
	for i := range n {
		text := fmt.Appendf(nil, "in region %d", i)
		_, err := f.WriteAt(r.ctx, text, int64(i)*staging.RegionSize)
		require.NoError(r, err)
		copy(content[i*staging.RegionSize:], text)
	}
	_, err := f.WriteAt(r.ctx, []byte{'.'}, int64(len(content))-1)
	require.NoError(r, err)
	content[len(content)-1] = '.'
	require.NoError(r, f.Flush(r.ctx))
	return content
}

// bigChange is a change of a file that takes more rows than a transaction.
type bigChange struct {
	do   func(ctx context.Context, m *mount, f *File) error
	want func(old string) string
}

var bigChanges = map[string]bigChange{
	"restored as a whole": {
		func(ctx context.Context, m *mount, f *File) error {
			content := strings.NewReader(restored)
			return m.engine.ReplaceContent(ctx, f.Ino(), content.Size(), content.ReadAt)
		},
		func(string) string { return restored },
	},
	"cut off": {
		func(ctx context.Context, m *mount, f *File) error {
			size := int64(10)
			_, err := m.engine.SetAttr(ctx, f.Ino(), Attr{Size: &size})
			return err
		},
		func(old string) string { return old[:10] },
	},
	"zeroed to its end": {
		func(ctx context.Context, _ *mount, f *File) error {
			return f.Zero(ctx, 100, 3*staging.RegionSize, false)
		},
		func(old string) string { return old[:100] + strings.Repeat("\x00", len(old)-100) },
	},
	"written all over": {
		func(ctx context.Context, _ *mount, f *File) error {
			for i := range int64(3) {
				if _, err := f.WriteAt(context.Background(), []byte("written"), i*staging.RegionSize+5); err != nil {
					return err
				}
			}
			return f.Flush(ctx)
		},
		func(old string) string {
			b := []byte(old)
			for i := range 3 {
				copy(b[i*staging.RegionSize+5:], "written")
			}
			return string(b)
		},
	},
}

// A process that dies between any two transactions of such a change leaves what was there before, or all of the change; one
// that goes on makes it all the same. The file has a version in the cloud, other bytes of its own over that, and regions with
// many extents.
func TestBigChangesAreMadeInOneStep(t *testing.T) {
	manySteps(t)
	for name, change := range bigChanges {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { settleNever(o); o.Timings.Commit = never })
			old := r.sparse("f", 3)
			r.flush()
			f := r.edit("f")
			edit := func() {
				for off := 0; off+50 < len(old); off += staging.RegionSize / 5 {
					_, err := f.WriteAt(r.ctx, []byte("an edit"), int64(off))
					require.NoError(t, err)
					copy(old[off:], "an edit")
				}
				require.NoError(t, f.Flush(r.ctx))
			}
			edit()
			parts := r.regionRows(rowPart)
			require.Positive(t, parts)
			want := change.want(string(old))
			reached := map[bool]int{}
			for deaths := 0; ; deaths++ {
				require.Less(t, deaths, 100)
				err := change.do(&dying{r.ctx, deaths}, r.mount, f)
				if err == nil {
					break
				}
				require.ErrorIs(t, err, context.Canceled)
				r.crash()
				r.start()
				require.Zero(t, r.regionRows(rowNext))
				got := r.read("f")
				made := got == want
				require.True(t, made || got == string(old), "after %d transactions it is neither what it was nor what it was to be", deaths)
				reached[made]++
				f = r.edit("f")
				if made {
					_, err := f.WriteAt(r.ctx, old, 0)
					require.NoError(t, err)
					edit()
				}
			}
			require.Greater(t, reached[false], 1, "the change was meant to take some transactions")
			require.True(t, want == r.read("f"))
			r.crash()
			r.start()
			require.True(t, want == r.read("f"))
			r.flush()
			require.True(t, want == r.cloud()["f"])
			r.requireNothingStaged()
		})
	}
}

// What an attempt that came to nothing left is not mixed with the next one.
func TestABigChangeIsTriedAgain(t *testing.T) {
	manySteps(t)
	r := newRig(t, func(o *Options) { settleNever(o); o.Timings.Commit = never })
	content := r.sparse("f", 3)
	f := r.edit("f")
	write := func(p string, off int64) {
		_, err := f.WriteAt(r.ctx, []byte(p), off)
		require.NoError(t, err)
		copy(content[off:], p)
	}
	for deaths := range 6 {
		for i := range int64(3) {
			write(fmt.Sprint("try ", deaths), i*staging.RegionSize+int64(deaths))
		}
		require.ErrorIs(t, f.Flush(&dying{r.ctx, deaths}), context.Canceled)
	}
	require.Positive(t, r.regionRows(rowNext))
	write("one region is less than a big change", 77)
	require.NoError(t, f.Flush(r.ctx))
	require.Zero(t, r.regionRows(rowNext))
	requireSame(t, content, r.read("f"))
	r.crash()
	r.start()
	requireSame(t, content, r.read("f"))
}

// A start goes on with next rows that count, through deaths of its own.
func TestNextRowsTakeTheirPlaces(t *testing.T) {
	manySteps(t)
	r := newRig(t, func(o *Options) { settleNever(o); o.Timings.Commit = never })
	content := r.sparse("f", 5)
	ino := r.ino("f")
	rows := r.regionRows(rowExtents)
	require.NoError(t, r.engine.update(r.ctx, func(c *change) error {
		for id := range uint64(rows) {
			raw, err := rawRow(c.b, regionKey(rowExtents, ino, id))
			require.NoError(t, err)
			require.NoError(t, c.b.Set(regionKey(rowNext, ino, id), raw))
			none := append([]byte{rowVersion, regionInline}, staging.EncodeExtents(nil)...)
			require.NoError(t, c.b.Set(regionKey(rowExtents, ino, id), none))
		}
		return c.countNext(ino)
	}))
	r.crash()
	for deaths := 0; ; deaths++ {
		require.Less(t, deaths, 20)
		r.openClient()
		var err error
		r.engine, err = Open(&dying{r.ctx, 1 + deaths/2}, r.engineOptions())
		if err == nil {
			require.Greater(t, deaths, 1)
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		r.closeRest()
	}
	require.Zero(t, r.regionRows(rowNext))
	require.Equal(t, rows, r.regionRows(rowExtents))
	requireSame(t, content, r.read("f"))
}

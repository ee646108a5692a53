package staging

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// storeModel is a store with files over it, as the engine uses it, and what
// they must hold. rows is the database: what a crash falls back to.
type storeModel struct {
	s       *Store
	files   [3]modelFile
	frozen  []modelFile
	garbage []Extent // dropped by maps, still in rows
}

type modelFile struct {
	m    *Map
	rows map[uint64][]Extent
	want map[int64]byte // as of now
	kept map[int64]byte // as of the last commit
}

func newModelFile() modelFile {
	return modelFile{m: &Map{}, rows: map[uint64][]Extent{}, want: map[int64]byte{}, kept: map[int64]byte{}}
}

func cloneBytes(m map[int64]byte) map[int64]byte {
	c := make(map[int64]byte, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// commit stores the maps' dirty regions and then releases what they dropped.
func (sm *storeModel) commit() {
	for i := range sm.files {
		f := &sm.files[i]
		for _, id := range f.m.DirtyRegions() {
			f.rows[id] = f.m.Region(id)
		}
		f.m.ClearDirty()
		f.kept = cloneBytes(f.want)
	}
	sm.s.Release(sm.garbage...)
	sm.garbage = nil
}

// reopen ends the store, with or without a crash, and begins with the rows.
func (sm *storeModel) reopen(t *rapid.T) {
	require.NoError(t, sm.s.Close())
	sm.open(t, sm.s.dir)
	for i := range sm.files {
		f := &sm.files[i]
		f.m, f.want = &Map{}, cloneBytes(f.kept)
		for id, es := range f.rows {
			require.NoError(t, f.m.SetRegion(id, es))
		}
		sm.s.Retain(f.m.Extents()...)
	}
	for _, f := range sm.frozen {
		sm.s.Retain(f.m.Extents()...)
	}
	sm.garbage = nil
	sm.s.Started()
}

func (sm *storeModel) open(t *rapid.T, dir string) {
	s, err := Open(Options{Dir: dir, Key: testKey, SegmentSize: 4096})
	require.NoError(t, err)
	sm.s = s
}

func (sm *storeModel) check(t *rapid.T) {
	held := map[cell]int64{}
	hold := func(es []Extent) {
		for _, e := range es {
			held[cell{e.Seg, e.Pos, 0}] += e.Len
		}
	}
	hold(sm.garbage)
	for _, f := range append(sm.files[:len(sm.files):len(sm.files)], sm.frozen...) {
		f.m.checkInvariants(t)
		require.EqualValues(t, len(f.want), f.m.Bytes())
		for _, e := range f.m.Extents() {
			p := make([]byte, e.Len)
			require.NoError(t, sm.s.ReadAt(e, p, 0))
			for i, b := range p {
				require.Equal(t, f.want[e.Off+int64(i)], b)
			}
		}
		hold(f.m.Extents())
	}
	sm.s.tasks.Wait()
	got := map[cell]int64{}
	for id, seg := range sm.s.segments {
		require.True(t, seg.current || len(seg.refs) > 0, "a dead segment is still there")
		var live int64
		for pos, r := range seg.refs {
			got[cell{id, pos, 0}] = r.bytes
			live += r.liveBytes()
		}
		require.Equal(t, live, seg.live)
		require.Zero(t, seg.users)
	}
	require.Equal(t, held, got)
}

// move stores anew what a file has in a segment, as the engine's compaction
// does: half of it may be cut off between the copying and the swap.
func (sm *storeModel) move(t *rapid.T, f *modelFile, seg uint64, cut bool) {
	m := sm.s.NewMover()
	defer m.Close()
	var old, moved []Extent
	for _, e := range f.m.Extents() {
		if e.Seg == seg {
			to, err := m.Move(e)
			require.NoError(t, err)
			old, moved = append(old, e), append(moved, to)
		}
	}
	if cut {
		size := old[len(old)/2].Off + old[len(old)/2].Len/2
		sm.garbage = append(sm.garbage, f.m.Truncate(size)...)
		for off := range f.want {
			if off >= size {
				delete(f.want, off)
			}
		}
	}
	for i, e := range old {
		unused := moved[i]
		for _, d := range f.m.Swap(e, moved[i]) {
			sm.garbage = append(sm.garbage, d)
			unused.Len -= d.Len
		}
		sm.s.Release(unused)
	}
	for _, e := range f.m.Extents() {
		for _, o := range old {
			require.NotEqual(t, cell{o.Seg, o.Pos, 0}, cell{e.Seg, e.Pos, 0}, "it was moved")
		}
	}
}

func TestStoreModel(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		require.NoError(t, err)
		sm := &storeModel{}
		sm.open(t, dir)
		defer func() { sm.s.Close() }()
		for i := range sm.files {
			sm.files[i] = newModelFile()
		}
		sm.s.Started()
		pick := func(t *rapid.T) *modelFile { return &sm.files[rapid.IntRange(0, 2).Draw(t, "file")] }
		n := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"": sm.check,
			"write": func(t *rapid.T) {
				f := pick(t)
				off := drawOffset(t, "at")
				p := make([]byte, rapid.IntRange(1, 900).Draw(t, "length"))
				for i := range p {
					n++
					p[i] = n
					f.want[off+int64(i)] = n
				}
				es, err := sm.s.Append(Owner{Ino: 1, Path: "/p"}, off, p)
				require.NoError(t, err)
				sm.garbage = append(sm.garbage, f.m.Insert(es...)...)
				dropped, err := sm.s.Tidy(Owner{Ino: 1}, f.m, off, int64(len(p)))
				require.NoError(t, err)
				sm.garbage = append(sm.garbage, dropped...)
			},
			"truncate": func(t *rapid.T) {
				f := pick(t)
				size := drawOffset(t, "size")
				sm.garbage = append(sm.garbage, f.m.Truncate(size)...)
				for off := range f.want {
					if off >= size {
						delete(f.want, off)
					}
				}
			},
			"freeze": func(t *rapid.T) {
				f := pick(t)
				sm.commit()
				g := modelFile{m: f.m.Clone(), want: cloneBytes(f.want)}
				sm.s.Retain(g.m.Extents()...)
				sm.frozen = append(sm.frozen, g)
			},
			"uploaded": func(t *rapid.T) {
				if len(sm.frozen) == 0 {
					t.Skip()
				}
				g := sm.frozen[0]
				sm.frozen = sm.frozen[1:]
				f := pick(t) // perhaps the wrong file: then nothing is taken out of it
				for _, e := range f.m.Remove(g.m.Extents()) {
					sm.garbage = append(sm.garbage, e)
					for i := range e.Len {
						delete(f.want, e.Off+i)
					}
				}
				sm.s.Release(g.m.Extents()...)
			},
			"move": func(t *rapid.T) {
				f := pick(t)
				es := f.m.Extents()
				if len(es) == 0 {
					t.Skip()
				}
				sm.move(t, f, es[rapid.IntRange(0, len(es)-1).Draw(t, "out of the segment of")].Seg, rapid.Bool().Draw(t, "written meanwhile"))
			},
			"share": func(t *rapid.T) {
				from, to := pick(t), pick(t)
				for _, e := range from.m.Extents() {
					sm.s.Retain(e)
					sm.garbage = append(sm.garbage, to.m.Insert(e)...)
					for off := e.Off; off < e.End(); off++ {
						to.want[off] = from.want[off]
					}
				}
			},
			"commit": func(*rapid.T) { sm.commit() },
			"sync":   func(t *rapid.T) { require.NoError(t, sm.s.Sync(context.Background())) },
			"reopen": sm.reopen,
		})
	})
}

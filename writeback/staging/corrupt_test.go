package staging

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// staged is one append of a test's segment.
type staged struct {
	owner Owner
	p     []byte
	es    []Extent
}

// smallSegment makes a store with one small segment and gives its bytes.
func smallSegment(t testing.TB) (seg uint64, b []byte, all []staged) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir, Key: testKey})
	require.NoError(t, err)
	for i, size := range []int{1, 200, 63} {
		st := staged{owner: Owner{Ino: uint64(i + 1), Path: "/f" + string(rune('0'+i)), Base: "b"}, p: content(uint64(i), size)}
		st.es, err = s.Append(st.owner, int64(i*1000), st.p)
		require.NoError(t, err)
		all = append(all, st)
	}
	require.NoError(t, s.Close())
	seg = all[0].es[0].Seg
	b, err = os.ReadFile(filepath.Join(dir, segmentName(seg)))
	require.NoError(t, err)
	return seg, b, all
}

// withSegment runs fn on a store that holds these bytes as its only segment.
func withSegment(t testing.TB, dir string, seg uint64, b []byte, fn func(*Store)) error {
	require.NoError(t, os.WriteFile(filepath.Join(dir, segmentName(seg)), b, 0o600))
	s, err := Open(Options{Dir: dir, Key: testKey})
	if err != nil {
		return err
	}
	fn(s)
	require.NoError(t, s.Close())
	return nil
}

// Whatever single byte is damaged: it is noticed, wrong bytes are never
// given out, and what is whole can be read.
func TestEveryByteIsChecked(t *testing.T) {
	seg, good, all := smallSegment(t)
	dir := t.TempDir()
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 0x40
		verified, read := 0, 0
		err := withSegment(t, dir, seg, b, func(s *Store) {
			for _, st := range all {
				err := s.Verify(context.Background(), st.es...)
				var corrupt *CorruptError
				if err == nil {
					verified++
				} else {
					require.ErrorAs(t, err, &corrupt)
					require.Equal(t, seg, corrupt.Seg)
					require.Equal(t, st.es[0].Pos, corrupt.Pos)
				}
				p := make([]byte, len(st.p))
				if err = s.ReadAt(st.es[0], p, 0); err == nil {
					require.Equal(t, st.p, p, "byte %d", i)
					read++
				} else {
					require.ErrorAs(t, err, &corrupt)
				}
			}
		})
		var newer *NewerError
		if err != nil {
			require.ErrorAs(t, err, &newer)
			require.Less(t, i, headerSize)
		}
		require.Less(t, verified, len(all), "byte %d is not covered", i)
		if i >= headerSize {
			require.Equal(t, 2, verified, "byte %d: only its own record is lost", i)
			require.GreaterOrEqual(t, read, 2)
		}
		requireSalvage(t, dir, i, all)
	}
}

// requireSalvage checks that Salvage reports damage and gives the whole rest.
func requireSalvage(t *testing.T, dir string, i int, all []staged) {
	whole := 0
	err := Salvage(dir, testKey, func(o Owner, off int64, data []byte) error {
		for k, st := range all {
			if st.es[0].Off == off {
				require.Equal(t, st.p, data)
				require.Equal(t, st.owner.Ino, o.Ino)
				if o == all[k].owner {
					whole++
				}
			}
		}
		return nil
	})
	require.Error(t, err, "Salvage says nothing of byte %d", i)
	if i >= headerSize {
		require.Equal(t, 2, whole, "byte %d", i)
	}
}

// A power loss leaves the file cut anywhere, or zeros where bytes should be.
func TestTornTails(t *testing.T) {
	seg, good, all := smallSegment(t)
	dir := t.TempDir()
	tear := map[string]func(n int) []byte{
		"cut":    func(n int) []byte { return good[:n] },
		"zeroed": func(n int) []byte { return append(bytes.Clone(good[:n]), make([]byte, len(good)-n)...) },
	}
	for name, torn := range tear {
		for n := range good {
			left := torn(n)
			require.NoError(t, withSegment(t, dir, seg, left, func(s *Store) {
				for k, st := range all {
					end := len(good)
					if k+1 < len(all) {
						end = int(all[k+1].es[0].Pos)
					}
					p := make([]byte, len(st.p))
					err := s.ReadAt(st.es[0], p, 0)
					if bytes.HasPrefix(left, good[:end]) { // a byte that was zero already may be zeroed
						require.NoError(t, err, "%s at %d", name, n)
						require.Equal(t, st.p, p)
						continue
					}
					var corrupt *CorruptError
					require.ErrorAs(t, err, &corrupt, "%s at %d", name, n)
				}
			}))
		}
	}
}

// A hole in the middle, as two writers and a crash leave it, hides nothing
// behind it and is no damage.
func TestHolesAreSkipped(t *testing.T) {
	seg, b, all := smallSegment(t)
	clear(b[all[1].es[0].Pos:all[2].es[0].Pos])
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, segmentName(seg)), b, 0o600))
	var got []uint64
	require.NoError(t, Salvage(dir, testKey, func(o Owner, off int64, data []byte) error {
		got = append(got, o.Ino)
		return nil
	}))
	require.Equal(t, []uint64{1, 3}, got)
}

func TestWrongKeyAndWrongName(t *testing.T) {
	seg, b, all := smallSegment(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, segmentName(seg)), b, 0o600))
	err := Salvage(dir, [32]byte{9}, func(Owner, int64, []byte) error { return errors.New("not called") })
	require.ErrorIs(t, err, ErrKey)
	s, err := Open(Options{Dir: dir, Key: [32]byte{9}})
	require.NoError(t, err)
	require.ErrorIs(t, s.ReadAt(all[1].es[0], make([]byte, 1), 0), ErrKey)
	require.NoError(t, s.Close())

	// A segment under another one's name, or a record at another's place.
	require.NoError(t, os.Rename(filepath.Join(dir, segmentName(seg)), filepath.Join(dir, segmentName(seg+1))))
	require.ErrorIs(t, Salvage(dir, testKey, nil), ErrHeader)
	moved := bytes.Clone(b)
	span := all[1].es[0].Pos - all[0].es[0].Pos
	copy(moved[all[1].es[0].Pos:], b[headerSize:headerSize+span])
	require.NoError(t, withSegment(t, t.TempDir(), seg, moved, func(s *Store) {
		require.ErrorIs(t, s.ReadAt(all[1].es[0], make([]byte, 1), 0), ErrSeal)
		beyond := all[0].es[0]
		beyond.Skip = 1
		require.ErrorIs(t, s.ReadAt(beyond, make([]byte, 1), 0), ErrBounds)
	}))
}

func TestNewerVersionIsRefused(t *testing.T) {
	seg, b, _ := smallSegment(t)
	b[9] = formatVersion + 1
	err := withSegment(t, t.TempDir(), seg, b, func(*Store) {})
	var newer *NewerError
	require.ErrorAs(t, err, &newer)
	require.Equal(t, NewerError{Seg: seg, Version: 2}, *newer)
	require.Contains(t, newer.Error(), "version 2")
}

// Salvage gives what was written, in the order in which it was.
func TestSalvage(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, SegmentSize: 300 << 10})
	want := map[uint64][]byte{}
	for i := range uint64(40) {
		o := Owner{Ino: i % 5, Path: "/salvage", Base: "x"}
		off := int(i * 7919 % 100000)
		p := content(i, int(1+i*104729%200000))
		mustAppend(t, s, o, int64(off), p)
		if grow := off + len(p) - len(want[o.Ino]); grow > 0 {
			want[o.Ino] = append(want[o.Ino], make([]byte, grow)...)
		}
		copy(want[o.Ino][off:], p)
	}
	require.Greater(t, len(segmentFiles(t, dir)), 5)
	got := map[uint64][]byte{}
	for _, data := range want {
		got[uint64(len(got))] = make([]byte, len(data))
	}
	for ino := range got {
		got[ino] = make([]byte, len(want[ino]))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), []byte("not a segment"), 0o600))
	require.NoError(t, Salvage(dir, testKey, func(o Owner, off int64, data []byte) error {
		require.Equal(t, "/salvage", o.Path)
		copy(got[o.Ino][off:], data)
		return nil
	}))
	for ino := range want {
		requireContent(t, want[ino], got[ino])
	}
	stop := errors.New("enough")
	require.Equal(t, stop, Salvage(dir, testKey, func(Owner, int64, []byte) error { return stop }))
	require.Error(t, Salvage(filepath.Join(dir, "none"), testKey, nil))
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(Options{Dir: file})
	require.Error(t, err)
}

// FuzzScan: no bytes make the parser fail badly, and nothing comes out but
// what was put in.
func FuzzScan(f *testing.F) {
	seg, good, all := smallSegment(f)
	f.Add(0, good)
	f.Add(len(good), good[headerSize:])
	f.Add(200, []byte("damage"))
	f.Fuzz(func(t *testing.T, at int, patch []byte) {
		b := bytes.Clone(good)
		if at < 0 || at > len(b) || len(patch) > 1<<16 {
			return
		}
		b = append(b[:at], append(patch, b[min(at+len(patch), len(b)):]...)...)
		gcm, err := scan(bytes.NewReader(b), seg, newWrapper(testKey), func(pos int64, h head) {
			i := int(h.ino) - 1
			require.Equal(t, all[i].es[0].Pos, pos)
			require.Equal(t, len(all[i].p), h.length)
		})
		require.True(t, gcm != nil || err != nil)
	})
}

// FuzzRecord: the parts that only the owner of the key can reach.
func FuzzRecord(f *testing.F) {
	var b [headSize]byte
	head{owner: 48, length: 100, ino: 1}.encode(b[:])
	f.Add(b[:])
	f.Add([]byte{0, 1, 'a', 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHead(b); err == nil {
			require.Zero(t, h.span()%alignment)
			require.LessOrEqual(t, h.span(), maxSpan+1<<16)
			again := make([]byte, headSize)
			h.encode(again)
			require.Equal(t, b, again)
		}
		if o, err := decodeOwner(b); err == nil {
			again := make([]byte, len(b))
			o.encode(again)
			require.Equal(t, b, again)
		}
	})
}

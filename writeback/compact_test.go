package writeback

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

const testSegment = 64 << 10

// smallSegments makes waste show soon. It is looked for when a segment is full,
// and when a test says so.
func smallSegments(o *Options) {
	settleNever(o)
	o.SegmentSize = testSegment
	o.Timings.Compact = never
}

// compactNow empties what is wasteful now.
func (m *mount) compactNow() {
	m.t.Helper()
	require.NoError(m.t, m.engine.compact(m.ctx, map[uint64]time.Time{}))
}

// staged says what the disk holds of it.
func (m *mount) staged() (disk int64) {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.dir, stagingDir, "*.seg"))
	require.NoError(m.t, err)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			disk += info.Size()
		}
	}
	return disk
}

// overwriteRandomly writes n times 4 KiB somewhere in a file of so many blocks,
// and into want.
func (m *mount) overwriteRandomly(f *File, want []byte, rnd *rand.Rand, n int) {
	m.t.Helper()
	for range n {
		off := rnd.IntN(len(want)>>12) << 12
		block := bytes.Repeat([]byte{byte(rnd.Uint32())}, 4<<10)
		_, err := f.WriteAt(m.ctx, block, int64(off))
		require.NoError(m.t, err)
		copy(want[off:], block)
	}
}

// A file that is kept open and overwritten at random takes less than twice its
// size on the disk, and the segment that is written and one that is emptied.
func TestDiskUseStaysBelowTwiceTheLiveBytes(t *testing.T) {
	r := newRig(t, func(o *Options) {
		smallSegments(o)
		o.Timings.Compact = 10 * time.Millisecond
	})
	rnd := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 1<<20)
	f := r.create("database")
	_, err := f.WriteAt(r.ctx, want, 0)
	require.NoError(t, err)
	bound := 2*int64(len(want)+256*len(want)>>12) + 2*testSegment
	most := int64(0)
	for range 20 {
		r.overwriteRandomly(f, want, rnd, 250)
		require.NoError(t, f.Flush(r.ctx))
		most = max(most, r.staged())
		r.eventually(func() bool { return r.staged() <= bound })
	}
	t.Logf("%d bytes of the disk at most, for %d", most, len(want))
	got, err := readAll(r.ctx, f)
	require.NoError(t, err)
	require.True(t, string(want) == got, "it reads what was written last")
	f.Release()

	r.crash()
	r.open()
	require.True(t, string(want) == r.read("database"), "also after a crash")
	require.LessOrEqual(t, r.staged(), bound+testSegment)
	r.run()
	r.flush()
	require.True(t, string(want) == r.cloud()["database"], "and in the cloud")
	r.eventually(func() bool { return r.staged() <= 2*testSegment })
}

// Many small files of which most were removed since don't keep their segments.
func TestRemovedFilesDoNotKeepSegments(t *testing.T) {
	r := newRig(t, smallSegments)
	left := map[string]string{}
	for i := range 300 {
		name := fmt.Sprint("f", i)
		left[name] = strings.Repeat(fmt.Sprintln(name), 200)
		r.write(name, left[name])
	}
	for i := range 300 {
		if name := fmt.Sprint("f", i); i%8 != 0 {
			r.unlink(name)
			delete(left, name)
		}
	}
	r.compactNow()
	r.eventually(func() bool { return r.staged() < 4*testSegment })
	for name, text := range left {
		require.Equal(t, text, r.read(name))
	}
	r.flush()
	require.Equal(t, left, r.cloud())
}

// What is frozen for an upload is read from where it was, whatever is written
// and moved meanwhile; then what was written since goes up.
func TestFrozenContentIsNotMoved(t *testing.T) {
	r := newRig(t, smallSegments)
	rnd := rand.New(rand.NewPCG(3, 4))
	want := make([]byte, 1<<20)
	f := r.create("database")
	defer f.Release()
	_, err := f.WriteAt(r.ctx, want, 0)
	require.NoError(t, err)
	r.overwriteRandomly(f, want, rnd, 300)
	frozen := string(want)

	release := r.server.Faults().Hold("p")
	flushed := make(chan error, 1)
	go func() { flushed <- r.engine.Flush(r.ctx, 0) }()
	ino := r.ino("database")
	r.eventually(func() bool { return r.engine.queue.generation(ino) != nil })
	for range 10 {
		r.overwriteRandomly(f, want, rnd, 100)
		require.NoError(t, f.Flush(r.ctx))
		r.compactNow()
	}
	release()
	require.NoError(t, <-flushed)
	h := r.account.Tree()["database"].Handle
	versions := []string{string(r.account.ReadFile(h))}
	require.Contains(t, []string{frozen, string(want)}, versions[0])
	r.eventually(func() bool { return r.engine.queue.generation(ino) == nil })
	r.compactNow()
	got, err := readAll(r.ctx, f)
	require.NoError(t, err)
	require.True(t, string(want) == got)
	r.flush()
	require.True(t, string(want) == r.cloud()["database"])
	require.Empty(t, r.engine.Status().Pending)
}

// Copies that share staged bytes are moved without becoming more.
func TestCopiesStayOneOnTheDisk(t *testing.T) {
	r := newRig(t, smallSegments)
	text := strings.Repeat("0123456789abcdef", 1<<11)
	r.write("original", text)
	src := r.edit("original")
	for i := range 40 {
		dst := r.create(fmt.Sprint("copy", i))
		n, err := dst.CopyFrom(r.ctx, src, 0, 0, int64(len(text)))
		require.NoError(t, err)
		require.EqualValues(t, len(text), n)
		dst.Release()
	}
	src.Release()
	junk := r.create("junk")
	for i := range 40 { // so that there is waste, also beside the copies
		_, err := junk.WriteAt(r.ctx, bytes.Repeat([]byte{byte(i)}, testSegment/4), 0)
		require.NoError(t, err)
		require.NoError(t, junk.Flush(r.ctx))
	}
	junk.Release()
	r.compactNow()
	r.eventually(func() bool { return r.staged() <= 2*int64(len(text)+testSegment/4)+2*testSegment })
	for i := range 40 {
		require.Equal(t, text, r.read(fmt.Sprint("copy", i)))
	}
}

// A record that can't be read doesn't keep the others from being moved, and
// stays what it is.
func TestDamageDoesNotStopCompaction(t *testing.T) {
	r := newRig(t, smallSegments)
	rnd := rand.New(rand.NewPCG(5, 6))
	want := make([]byte, 256<<10)
	f := r.create("database")
	defer f.Release()
	_, err := f.WriteAt(r.ctx, want, 0)
	require.NoError(t, err)
	require.NoError(t, f.Flush(r.ctx))
	files, err := filepath.Glob(filepath.Join(r.dir, stagingDir, "*.seg"))
	require.NoError(t, err)
	raw, err := os.ReadFile(files[0])
	require.NoError(t, err)
	raw[len(raw)-100] ^= 1
	require.NoError(t, os.WriteFile(files[0], raw, 0o600))
	for range 10 {
		r.overwriteRandomly(f, want[:64<<10], rnd, 100)
		require.NoError(t, f.Flush(r.ctx))
		r.compactNow()
	}
	buf := make([]byte, 64<<10)
	_, err = f.ReadAt(r.ctx, buf, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want[:64<<10], buf))
	require.FileExists(t, files[0])
}

// blockSize and blocks are of the files of overwriteForever.
const (
	blockSize = 1 << 10
	blocks    = 64
)

// overwriteForever overwrites blocks of two files that are kept open, and says
// what was acknowledged: file, block, and the number that the block is full of.
func overwriteForever(ctx context.Context, e *Engine, seed uint64) error {
	failed := make(chan error)
	for i := range 2 {
		go func() { failed <- overwriteFile(ctx, e, fmt.Sprint("file", i), seed) }()
	}
	return <-failed
}

func overwriteFile(ctx context.Context, e *Engine, name string, seed uint64) error {
	l := &appendLog{name: name}
	f, err := l.open(ctx, e)
	if err != nil {
		return err
	}
	defer f.Release()
	rnd := rand.New(rand.NewPCG(seed, 9))
	for n := seed << 32; ; {
		said := map[int]uint64{}
		for range 1 + rnd.IntN(8) {
			n++
			block := rnd.IntN(blocks)
			if _, err := f.WriteAt(ctx, bytes.Repeat([]byte(fmt.Sprintf("%016x", n)), blockSize/16), int64(block*blockSize)); err != nil {
				return err
			}
			said[block] = n
		}
		if err := f.Flush(ctx); err != nil {
			return err
		}
		for block, n := range said {
			fmt.Println(name, block, n)
		}
	}
}

// Killed in the middle of moving staged bytes, and at any moment while it goes
// on all the time: each block holds what was acknowledged, or what came after.
func TestKilledWhileCompacting(t *testing.T) {
	kills := killsOr(200)
	points := []string{"compact-copied", "compact-swapped", "committed", ""}
	r := newRigFor(t, time.Hour, smallSegments)
	r.stop()
	rnd := testRandom()
	acknowledged := map[string][]uint64{"file0": make([]uint64, blocks), "file1": make([]uint64, blocks)}
	all := 0
	for i := range kills {
		failpoint, after := points[i%len(points)], time.Duration(0)
		if failpoint == "" {
			after = time.Duration(100+rnd.IntN(300)) * time.Millisecond
		} else {
			failpoint = fmt.Sprintf("%s:%d", failpoint, 1+rnd.IntN(20))
		}
		err := r.killChild(crashJob{Seed: uint64(i + 1), Overwrite: true}, failpoint, after, func(line []byte) {
			var name string
			var block int
			var n uint64
			if k, err := fmt.Sscan(string(line), &name, &block, &n); err == nil && k == 3 && acknowledged[name] != nil {
				acknowledged[name][block] = max(n, acknowledged[name][block])
				all++
			}
		})
		require.ErrorContains(t, err, "killed", failpoint)
		r.open()
		for name := range acknowledged {
			r.checkBlocks(name, acknowledged[name])
		}
		r.crash()
	}
	t.Logf("%d blocks acknowledged in %d kills", all, kills)
	require.NotZero(t, all)
	r.start()
	r.flush()
	for name := range acknowledged {
		require.True(t, r.read(name) == r.cloud()[name], name)
	}
}

func (r *rig) checkBlocks(name string, acknowledged []uint64) {
	r.Helper()
	if _, err := r.engine.Tree().Lookup(tree.DriveIno, name); err != nil {
		require.Zero(r, acknowledged[0])
		return
	}
	text := r.read(name)
	for block, least := range acknowledged {
		if least == 0 {
			continue
		}
		part := text[block*blockSize:][:blockSize]
		var n uint64
		_, err := fmt.Sscanf(part[:16], "%x", &n)
		require.NoError(r, err)
		require.GreaterOrEqual(r, n, least, "%s, block %d: what was acknowledged is gone", name, block)
		require.Equal(r, strings.Repeat(part[:16], blockSize/16), part, "%s, block %d", name, block)
	}
}

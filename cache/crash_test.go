package cache

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crashDirVar makes the test program a process that fills a cache until it is killed.
const crashDirVar = "MEGADISK_CACHE_CRASH_DIR"

func crashFiles() []*cloudFile {
	return []*cloudFile{seededFile(6<<20, 1), seededFile(900_000, 2), seededFile(3<<20+5, 3)}
}

// crashChild reads all files again and again, through a limit that evicts all the time, and drops some.
func crashChild(dir string) {
	files := map[[8]byte]*cloudFile{}
	for _, f := range crashFiles() {
		files[f.Key.Nonce] = f
	}
	c, err := Open(Options{
		Dir: dir, DiskFloor: -1, DiskLimit: 9 << 20, MemoryUnits: minUnits, Fetch: manyFetch(files, new(int64)),
	})
	if err != nil {
		panic(err)
	}
	if off := c.Stats().DiskOff; off != "" {
		panic(off)
	}
	for i := 0; ; i++ {
		for _, f := range crashFiles() {
			r := c.NewReader(f.File)
			p := make([]byte, UnitSize)
			for off := int64(0); off < f.Size; off += UnitSize {
				if _, err := r.ReadAt(bg, p[:unitLen(unitOf(off), f.Size)], off); err != nil {
					panic(err)
				}
			}
			r.Close()
			fmt.Println(i)
		}
		if i%3 == 2 {
			_ = c.Drop(crashFiles()[i%2].File)
		}
	}
}

func TestKillMinus9(t *testing.T) {
	dir := t.TempDir()
	kept := int64(0)
	for round := range 6 {
		killOne(t, dir, round)
		files := map[[8]byte]*cloudFile{}
		for _, f := range crashFiles() {
			files[f.Key.Nonce] = f
		}
		c, _ := openMany(t, files, onDisk(dir), inMemory(minUnits))
		for _, f := range crashFiles() {
			kept += c.State(f.File).Cached
			readAll(t, c, f)
			c.awaitVerified(t, f.File)
		}
		require.Zero(t, c.Stats().Mismatches)
		require.Zero(t, c.Stats().Corrupt, "the index is written after the data")
		require.NoError(t, c.Close())
	}
	require.Positive(t, kept, "and what was there is used")
}

// killOne runs a child on the folder and kills it, in each round at another moment.
func killOne(t *testing.T, dir string, round int) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashDirVar+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range 1 + round {
		require.True(t, lines.Scan(), "the child ended by itself")
	}
	timer := time.NewTimer(time.Duration(round) * 3 * time.Millisecond)
	<-timer.C // no event marks the middle of a write
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
}

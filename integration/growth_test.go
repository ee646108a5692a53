package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// footprint is what a process takes. The cache's own descriptors are apart: it keeps files open up to a limit of its own.
type footprint struct{ resident, private, heap, goroutines, descriptors, cacheFiles int64 }

// footprintOf asks the kernel and the process's own metrics about a mount of p. The heap is what the last collection
// found in use.
func footprintOf(t *testing.T, p *program.Program, socket string) footprint {
	pid, text := p.Statuses()[0].PID, scrape(t, socket)
	cacheFiles, others := descriptorsOf(t, pid, filepath.Join(p.Dir, "cache"))
	return footprint{
		memoryOf(t, pid, "VmRSS"), memoryOf(t, pid, "RssAnon"),
		gaugeOf(t, text, "go_gc_heap_live_bytes"), gaugeOf(t, text, "go_goroutines"), others, cacheFiles,
	}
}

// descriptorsOf counts what a process has open below a folder, and elsewhere.
func descriptorsOf(t *testing.T, pid int, dir string) (below, elsewhere int64) {
	t.Helper()
	fds := fmt.Sprintf("/proc/%d/fd", pid)
	list, err := os.ReadDir(fds)
	require.NoError(t, err)
	for _, fd := range list {
		target, err := os.Readlink(filepath.Join(fds, fd.Name()))
		switch {
		case err != nil: // closed meanwhile
		case strings.HasPrefix(target, dir+"/"):
			below++
		default:
			elsewhere++
		}
	}
	return below, elsewhere
}

func (f footprint) plus(g footprint) footprint {
	return footprint{f.resident + g.resident, f.private + g.private, f.heap + g.heap, f.goroutines + g.goroutines,
		f.descriptors + g.descriptors, f.cacheFiles + g.cacheFiles}
}

func (f footprint) through(n int64) footprint {
	return footprint{f.resident / n, f.private / n, f.heap / n, f.goroutines / n, f.descriptors / n, f.cacheFiles / n}
}

// Reading here and there for long takes no more and more memory, goroutines or descriptors, while the cache on disk, smaller
// than what is read, changes all the time. MEGADISK_LONG=1 makes it an hour, or what MEGADISK_LONG_TIME says.
func TestRandomReadingForLong(t *testing.T) {
	if os.Getenv("MEGADISK_LONG") != "1" {
		t.Skip("SKIPPED, NOT RUN: it takes an hour; MEGADISK_LONG=1 runs it, MEGADISK_LONG_TIME=15m for so long")
	}
	long := time.Hour
	if text := os.Getenv("MEGADISK_LONG_TIME"); text != "" {
		var err error
		long, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	const files, size = 40, 64 << 20
	p, account := program.WithAccount(t)
	needs.FUSE(t)
	putSynthetic(account, files, size)
	p.Login()
	socket := filepath.Join(p.Dir, "metrics")
	p.Run("mount", p.Point, "-o", "cache_size=512M,metrics=unix:"+socket)
	p.Server.Faults().SetLatency(10 * time.Millisecond)
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	var mean [4]footprint // of each quarter
	begun, reads := time.Now(), 0
	for quarter := range mean {
		samples := int64(0)
		for last := begun; time.Since(begun) < long*time.Duration(quarter+1)/4; {
			f, err := os.Open(filepath.Join(p.Point, fmt.Sprint(random.IntN(files))))
			require.NoError(t, err)
			require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)) // or the kernel would soon have all of it
			reads += readStretches(t, random, f, size)
			require.NoError(t, f.Close())
			if time.Since(last) >= time.Second {
				mean[quarter] = mean[quarter].plus(footprintOf(t, p, socket))
				samples++
				last = time.Now()
			}
		}
		mean[quarter] = mean[quarter].through(max(samples, 1))
		m := mean[quarter]
		t.Logf("quarter %d: MiB: %.1f resident, %.1f private, %.1f heap in use; %d goroutines, %d descriptors and %d of cache files; %d reads so far", quarter+1,
			mib(m.resident), mib(m.private), mib(m.heap), m.goroutines, m.descriptors, m.cacheFiles, reads)
	}
	third, last := mean[2], mean[3]
	require.Less(t, last.resident, third.resident*21/20, "the last quarter against the third")
	require.Less(t, last.private, third.private*21/20)
	require.Less(t, last.heap, third.heap*21/20)
	require.Less(t, last.goroutines, third.goroutines*11/10+5)
	require.Less(t, last.descriptors, third.descriptors*11/10+5)
	require.Less(t, last.cacheFiles, third.cacheFiles*11/10+5)
	require.Less(t, last.resident, int64(300<<20))
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// readStretches reads some stretches of a synthetic file and compares them; it tells how many.
func readStretches(t *testing.T, random *rand.Rand, f *os.File, size int64) int {
	t.Helper()
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	times := 1 + random.IntN(20)
	for range times {
		n := 1 + random.IntN(len(got))
		off := random.Int64N(size - int64(n))
		_, err := f.ReadAt(got[:n], off)
		require.NoError(t, err)
		megatest.SyntheticAt(want[:n], off)
		require.True(t, string(got[:n]) == string(want[:n]), "%d bytes at %d", n, off)
	}
	return times
}

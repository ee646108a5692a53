package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// The figures of issue 8, "how each cost grows": each cost at several sizes, and the exponent e of cost = a * size^e
// fitted to them: 0 stays as it is, 1 grows in proportion. Where it can be, the cost is the processor's time of the mount's
// process, user and kernel, which depends least on what else the machine does.

var (
	growthNodes  = []int{10_000, 30_000, 100_000, 300_000, 1_000_000} // as far as -nodes
	growthDirty  = []int{100, 300, 1000, 3000, 10_000}                // small files that wait to be sent
	growthMiB    = []int{16, 64, 256, 1024}                           // size of a file
	growthLooked = 2000                                               // names that are looked up
)

// growth collects the costs by what they are of.
type growth struct {
	c     config
	names []string
	costs map[string][]cost
}

type cost struct{ size, value float64 }

func (g *growth) add(name string, size int, value float64) {
	if g.costs[name] == nil {
		g.names = append(g.names, name)
	}
	g.costs[name] = append(g.costs[name], cost{float64(size), value})
	fmt.Printf("%s, %d: %.4g\n", name, size, value)
}

// exponent fits a line through the logarithms.
func exponent(costs []cost) float64 {
	var x, y, xx, xy float64
	for _, c := range costs {
		lx, ly := math.Log(c.size), math.Log(max(c.value, 1e-9))
		x, y, xx, xy = x+lx, y+ly, xx+lx*lx, xy+lx*ly
	}
	n := float64(len(costs))
	return (n*xy - x*y) / (n*xx - x*x)
}

func benchGrowth(c config, work string) error {
	g := &growth{c: c, costs: map[string][]cost{}}
	for _, part := range []struct {
		name string
		do   func(work string) error
	}{{"nodes", g.nodes}, {"dirty files", g.dirty}, {"file size", g.fileSize}} {
		if !strings.Contains("growth: "+part.name, c.only) {
			continue
		}
		if err := part.do(work); err != nil {
			return fmt.Errorf("growth: %s: %w", part.name, err)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\ncost\tat each size\texponent")
	for _, name := range g.names {
		var at []string
		for _, c := range g.costs[name] {
			at = append(at, fmt.Sprintf("%.0f: %.3g", c.size, c.value))
		}
		e := exponent(g.costs[name])
		fmt.Fprintf(table, "%s\t%s\t%.2f\n", name, strings.Join(at, "; "), e)
		record.add(name, e, true)
	}
	return table.Flush()
}

// account makes an account of so many nodes in a folder of its own.
func (g *growth) account(work string, nodes int) (*scale, func(), error) {
	dir, err := os.MkdirTemp(work, "growth-")
	if err != nil {
		return nil, nil, err
	}
	c := g.c
	c.nodes = nodes
	s, err := openScale(c, dir)
	if err != nil {
		return nil, nil, err
	}
	return s, func() { s.close(); _ = os.RemoveAll(dir) }, nil
}

// processor gives the seconds that the mount's process worked while something was done.
func (s *scale) processor(do func() error) (float64, error) {
	pid, err := s.pid()
	if err != nil {
		return 0, err
	}
	before, err := usageOf(pid)
	if err == nil {
		err = do()
	}
	if err != nil {
		return 0, err
	}
	after, err := usageOf(pid)
	return after.user + after.system - before.user - before.system, err
}

func (g *growth) nodes(work string) error {
	for _, n := range growthNodes {
		if n <= g.c.nodes {
			if err := g.nodesOnce(work, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *growth) nodesOnce(work string, n int) error {
	s, end, err := g.account(work, n)
	if err != nil {
		return err
	}
	defer end()
	if _, err := s.mount(); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(s.point, "absent")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a name that is absent: %v", err)
	}
	pid, err := s.pid()
	if err != nil {
		return err
	}
	u, err := usageOf(pid)
	if err != nil {
		return err
	}
	g.add("nodes: first fetch, processor, s", n, u.user+u.system)
	g.add("nodes: first fetch, resident at most, MB", n, u.peak/1e6)
	if err := s.unmount(); err != nil {
		return err
	}
	g.add("nodes: state on the disk, MB", n, float64(bytesBelow(filepath.Join(s.work, "state")))/1e6)
	listed, err := s.mount()
	if err != nil {
		return err
	}
	g.add("nodes: later mount until listed, s", n, listed)
	took, err := s.processor(func() error { return s.lookUp() })
	if err != nil {
		return err
	}
	g.add(fmt.Sprintf("nodes: %d look-ups in a folder of a tenth of them, processor, s", growthLooked), n, took)
	took, err = s.processor(func() error {
		return filepath.WalkDir(s.point, func(_ string, _ fs.DirEntry, err error) error { return err })
	})
	if err != nil {
		return err
	}
	g.add("nodes: going through all names, processor, s", n, took)
	return nil
}

// lookUp looks up names of the wide folder.
func (s *scale) lookUp() error {
	rng := rand.New(rand.NewPCG(3, 3))
	for range growthLooked {
		var st unix.Stat_t
		p := filepath.Join(s.point, s.shape.dirs[0], s.shape.files[0][rng.IntN(len(s.shape.files[0]))])
		if err := unix.Lstat(p, &st); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

// bytesBelow adds up the blocks of files.
func bytesBelow(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum
}

// dirty writes files while nothing is sent, mounts anew with that journal, and lets it be sent.
func (g *growth) dirty(work string) error {
	for _, n := range growthDirty {
		if err := g.dirtyOnce(work, n); err != nil {
			return err
		}
	}
	return nil
}

func (g *growth) dirtyOnce(work string, n int) error {
	s, end, err := g.account(work, 1000)
	if err != nil {
		return err
	}
	defer end()
	if _, err := s.mount(); err != nil {
		return err
	}
	if _, err := s.run("", "pause"); err != nil {
		return err
	}
	took, err := s.processor(func() error {
		for i := range n {
			if err := os.WriteFile(filepath.Join(s.point, fmt.Sprint("dirty", i)), []byte(fmt.Sprint(i)), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	g.add("dirty files: writing them, processor, s", n, took)
	var status []float64
	for range 5 {
		began := time.Now()
		if _, err := s.run("", "status"); err != nil {
			return err
		}
		status = append(status, time.Since(began).Seconds()*1000)
	}
	g.add("dirty files: status, fastest of 5, ms", n, slices.Min(status))
	if _, err := s.run("", "unmount", "--no-wait", s.point); err != nil {
		return err
	}
	listed, err := s.mount()
	if err != nil {
		return err
	}
	g.add("dirty files: mounting with their journal until listed, s", n, listed)
	took, err = s.processor(func() error { _, err := s.run("", "flush"); return err })
	if err != nil {
		return err
	}
	g.add("dirty files: sending them, processor, s", n, took)
	return nil
}

func (g *growth) fileSize(work string) error {
	s, end, err := g.account(work, 1000)
	if err != nil {
		return err
	}
	defer end()
	if _, err := s.mount(); err != nil {
		return err
	}
	for _, mib := range growthMiB {
		path := filepath.Join(s.point, fmt.Sprint("file", mib))
		took, err := s.processor(func() error {
			if err := writeRandom(path, mib); err != nil {
				return err
			}
			_, err := s.run("", "flush")
			return err
		})
		if err != nil {
			return err
		}
		g.add("file size (MiB): written and sent, processor, s", mib, took)
		if err := s.unmount(); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(s.work, "cache")); err != nil {
			return err
		}
		if _, err := s.mount(); err != nil {
			return err
		}
		began := time.Now()
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if _, err = io.ReadFull(f, make([]byte, 1)); err == nil {
			g.add("file size (MiB): opened, first byte, ms", mib, time.Since(began).Seconds()*1000)
			took, err = s.processor(func() error { _, err := io.Copy(io.Discard, f); return err })
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		g.add("file size (MiB): read from the server, processor, s", mib, took)
	}
	return nil
}

// writeRandom writes a file that nothing can compress.
func writeRandom(path string, mib int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{byte(mib)})
	for range mib {
		_, _ = rng.Read(block)
		if _, err = f.Write(block); err != nil {
			break
		}
	}
	return errors.Join(err, f.Close())
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"megadisk/megaclient/megatest"
)

// The figures of issue 8, "Scale": an account of very many nodes. The server is this process and the mount another, so
// that what is resident is the mount's own.

const (
	wideFiles   = 100_000 // in one folder
	narrowFiles = 100     // in each of the others
	looked      = 2_000   // names that are looked up
	packets     = 10_000  // that are received
	residentMax = 250e6
)

// scale is the account and its mount.
type scale struct {
	c       config
	work    string
	point   string
	run     func(stdin string, args ...string) ([]byte, error)
	server  *megatest.Server
	account *megatest.Account
	shape   shape
	table   *tabwriter.Writer
	show    reading // for its way to show a figure
}

// shape is what the account holds, the same wherever it is made: top folders, folders in them, files in those; and one
// folder of very many.
type shape struct {
	nodes   int
	tops    []string
	dirs    []string   // paths, the wide one first
	files   [][]string // names, by folder
	handles [][]string // on the server, by folder
	topsAt  []string   // handles of the tops
}

func newShape(nodes int) *shape {
	s := &shape{nodes: nodes}
	wide := min(wideFiles, nodes/10)
	folders := max(nodes/narrowFiles, 2)
	rng := rand.New(rand.NewPCG(1, uint64(nodes)))
	for i := range max(folders/100, 1) {
		s.tops = append(s.tops, name(rng, fmt.Sprint("top", i)))
	}
	s.dirs = append(s.dirs, "wide")
	for i := range folders - len(s.tops) - 1 {
		s.dirs = append(s.dirs, s.tops[i%len(s.tops)]+"/"+name(rng, fmt.Sprint("dir", i)))
	}
	left := nodes - wide - len(s.tops) - len(s.dirs)
	for i := range s.dirs {
		n := wide
		if i > 0 {
			n = left/(len(s.dirs)-1) + min(1, max(0, left%(len(s.dirs)-1)-i+1))
		}
		names := make([]string, n)
		for k := range names {
			names[k] = name(rng, fmt.Sprint(k))
		}
		s.files = append(s.files, names)
	}
	return s
}

// name makes a name of 10 to 60 characters that ends in what makes it unique.
func name(rng *rand.Rand, unique string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	b := make([]byte, 10+rng.IntN(51))
	for i := range b {
		b[i] = letters[rng.IntN(len(letters))]
	}
	b[0] = 'a'
	copy(b[max(len(b)-len(unique)-1, 0):], "."+unique)
	return string(b)
}

func (s *shape) fill(a *megatest.Account) {
	a.Seed(func(seed *megatest.Seeder) {
		tops := map[string]string{}
		for _, t := range s.tops {
			tops[t] = seed.Mkdir(a.Root(), t)
			s.topsAt = append(s.topsAt, tops[t])
		}
		now := time.Now()
		for i, d := range s.dirs {
			parent, base := a.Root(), d
			if top, below, ok := strings.Cut(d, "/"); ok {
				parent, base = tops[top], below
			}
			dir := seed.Mkdir(parent, base)
			at := make([]string, len(s.files[i]))
			for k, n := range s.files[i] {
				at[k] = seed.File(dir, n, int64(k%200), now)
			}
			s.handles = append(s.handles, at)
		}
	})
}

// openScale makes the account, and logs in; nothing is mounted yet.
func openScale(c config, work string, opts ...megatest.Option) (*scale, error) {
	s := &scale{c: c, work: work, point: filepath.Join(work, "megadisk"), shape: *newShape(c.nodes)}
	s.table = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	s.show = reading{table: s.table}
	s.server = megatest.NewServer(append(opts, megatest.WithPacketLog(4*packets))...)
	s.account = s.server.AddAccount(email, password, megatest.Quota(1<<50))
	err := os.Mkdir(s.point, 0o755)
	if err == nil {
		s.run, err = programFor(c, work, s.server)
	}
	if err == nil {
		s.shape.fill(s.account)
		runtime.GC() // the server's, now and not while it answers
		_, err = s.run(password+"\n", "login", email, "--password-file", "-")
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the mount, if there is one, and the server.
func (s *scale) close() {
	if s.run != nil {
		_, _ = s.run("", "unmount", "--no-wait", s.point)
	}
	s.server.Close()
}

func benchScale(c config, work string) error {
	began := time.Now()
	s, err := openScale(c, work)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Printf("\nScale: %d nodes, made in %.1f s.\n\n", c.nodes, time.Since(began).Seconds())
	fmt.Fprintln(s.table, "figure\tmeasured\tunit\ttarget\tmet\tagainst")
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"first mount", s.firstMount}, {"find", s.find}, {"later mount", s.laterMount}, {"lookup", s.lookup},
		{"rename", s.rename}, {"packets", s.packets},
	} {
		if part.name != "first mount" && !strings.Contains("scale: "+part.name, c.only) {
			continue
		}
		if err := part.do(); err != nil {
			return fmt.Errorf("scale: %s: %w", part.name, err)
		}
		_ = s.table.Flush()
	}
	return nil
}

// phase does something and shows, under that name, what was resident meanwhile.
func (s *scale) phase(name string, do func() error) error {
	pid, err := s.pid()
	if err != nil {
		return err
	}
	if err := resetPeak(pid); err != nil {
		return err
	}
	before, err := usageOf(pid)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	now, err := s.pid() // what was done may have mounted anew
	if err != nil {
		return err
	}
	if now != pid {
		before = usage{}
	}
	return s.showUsage(name, now, before)
}

// sinceStart shows what was resident since the mount's process began.
func (s *scale) sinceStart(name string) error {
	pid, err := s.pid()
	if err != nil {
		return err
	}
	return s.showUsage(name, pid, usage{})
}

func (s *scale) showUsage(name string, pid int, before usage) error {
	u, err := usageOf(pid)
	if err != nil {
		return err
	}
	s.show.show(figure{name: name, unit: "MB", atMost: true, target: residentMax / 1e6}, []float64{u.peak / 1e6},
		fmt.Sprintf("(private at its end %.0f MB; processor %.1f s + %.1f s in the kernel)", u.private/1e6, u.user-before.user, u.system-before.system))
	return nil
}

func (s *scale) pid() (int, error) {
	out, err := s.run("", "status", "--json")
	if err != nil {
		return 0, err
	}
	return pidOf(out)
}

// mount mounts and says after how long the drive's folder was listed.
func (s *scale) mount(options ...string) (listed float64, err error) {
	began := time.Now()
	if _, err := s.run("", append([]string{"mount", s.point}, options...)...); err != nil {
		return 0, err
	}
	for {
		list, err := os.ReadDir(s.point)
		if err != nil {
			return 0, err
		}
		if len(list) > 0 {
			return time.Since(began).Seconds(), nil
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *scale) firstMount() error {
	began := time.Now()
	listed, err := s.mount()
	if err != nil {
		return err
	}
	s.show.show(figure{name: "first mount: the drive's folder is listed", unit: "s", atMost: true, target: 2}, []float64{listed}, "(while the fetch streams in)")
	// What isn't there is only known when everything has come.
	if _, err := os.Lstat(filepath.Join(s.point, "absent")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a name that is absent: %v", err)
	}
	s.show.show(figure{name: "first mount: taken in", unit: "nodes/s", target: 40_000}, []float64{float64(s.c.nodes) / time.Since(began).Seconds()}, "")
	if err := s.sinceStart("resident at most: first fetch"); err != nil {
		return err
	}
	return s.phase("resident at most: the minute after it", func() error { // the database's tables are merged
		time.Sleep(time.Minute)
		return nil
	})
}

func (s *scale) unmount() error {
	_, err := s.run("", "unmount", s.point)
	return errors.Join(err, dropCaches(s.work))
}

func (s *scale) laterMount() error {
	var took []float64
	for range s.c.runs {
		if err := s.unmount(); err != nil {
			return err
		}
		v, err := s.mount()
		if err != nil {
			return err
		}
		took = append(took, v)
	}
	s.show.show(figure{name: "later mount: the drive's folder is listed", unit: "s", atMost: true, target: 0.5}, took, "(from the command, page cache dropped)")
	return s.sinceStart("resident at most: later mount")
}

// lookup looks up names that the kernel doesn't know, in the wide folder and in narrow ones, in turns.
func (s *scale) lookup() error {
	var wide, narrow []float64
	for run := range s.c.runs {
		if err := s.unmount(); err != nil {
			return err
		}
		if _, err := s.mount(); err != nil {
			return err
		}
		rng := rand.New(rand.NewPCG(2, uint64(run)))
		var far, near []string
		for range looked {
			far = append(far, filepath.Join(s.point, s.shape.dirs[0], s.shape.files[0][rng.IntN(len(s.shape.files[0]))]))
		}
		for len(near) < looked {
			d := 1 + rng.IntN(len(s.shape.dirs)-1)
			for _, n := range s.shape.files[d] {
				near = append(near, filepath.Join(s.point, s.shape.dirs[d], n))
			}
		}
		for _, half := range []struct {
			paths []string
			into  *[]float64
		}{{near, &narrow}, {far, &wide}} {
			began := time.Now()
			for _, p := range half.paths {
				var st unix.Stat_t
				if err := unix.Lstat(p, &st); err != nil {
					return fmt.Errorf("%s: %w", p, err)
				}
			}
			*half.into = append(*half.into, float64(time.Since(began).Microseconds())/float64(len(half.paths)))
		}
	}
	s.show.show(figure{name: fmt.Sprintf("lookup in a folder of %d", len(s.shape.files[0])), unit: "µs", atMost: true, target: 1.5 * median(narrow), against: "1.5 × of"},
		wide, fmt.Sprintf("one in folders of %d: %.0f µs", len(s.shape.files[1]), median(narrow)))
	return nil
}

func (s *scale) rename() error {
	return s.phase("resident at most: renaming a top folder", func() error {
		top := filepath.Join(s.point, s.shape.tops[0])
		began := time.Now()
		if err := os.Rename(top, top+"-renamed"); err != nil {
			return err
		}
		done := time.Since(began)
		if _, err := s.run("", "flush"); err != nil {
			return err
		}
		s.show.show(figure{name: "renaming a top folder", unit: "ms"}, []float64{float64(done.Microseconds()) / 1000},
			fmt.Sprintf("(in the cloud after %.2f s)", time.Since(began).Seconds()))
		return os.Rename(top+"-renamed", top)
	})
}

// packets lets somebody else rename files while nothing is mounted here; then it mounts and waits until the last name is
// seen.
func (s *scale) packets() error {
	if err := s.unmount(); err != nil {
		return err
	}
	last, sent := "", 0
	for d := 1; sent < packets; d++ {
		for k, h := range s.shape.handles[d][:min(len(s.shape.handles[d]), packets-sent)] {
			s.account.Rename(h, "renamed "+s.shape.files[d][k])
			last = filepath.Join(s.point, s.shape.dirs[d], "renamed "+s.shape.files[d][k])
			sent++
		}
	}
	began := time.Now()
	if _, err := s.mount(); err != nil {
		return err
	}
	return s.phase(fmt.Sprintf("resident at most: receiving %d packets", packets), func() error {
		for _, err := os.Lstat(last); err != nil; _, err = os.Lstat(last) {
			if time.Since(began) > 2*time.Minute {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		s.show.show(figure{name: "receiving packets", unit: "packets/s"}, []float64{packets / time.Since(began).Seconds()}, "(from the mounting command on)")
		return nil
	})
}

package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// The figures of writing, each beside what it is held against: the same work on go-fuse's loopback and on gocryptfs, in
// turns, under the same fsync rule, and an aim.

const (
	randomWrites    = 20000 // of 4 KiB
	treeFiles       = 5000
	treeDirs        = 250
	drainRTT        = 50 * time.Millisecond
	gocryptPassword = "bench"
)

// writing is what the figures of writing are taken on.
type writing struct {
	c      config
	mount  *place
	peers  []*place // loopback, gocryptfs: those that are there
	source string   // a folder of a local disk: what is unpacked, cloned and built
	table  *tabwriter.Writer
}

func benchWriting(c config, places []*place, work string) error {
	w := &writing{c: c, source: filepath.Join(work, "source"), table: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	for _, p := range places {
		switch p.name {
		case "megadisk":
			w.mount = p
		case "loopback":
			w.peers = append(w.peers, p)
		}
	}
	if err := os.Mkdir(w.source, 0o755); err != nil {
		return err
	}
	crypt, err := openGocryptfs(work)
	if err != nil {
		fmt.Println("no gocryptfs beside:", err)
	} else {
		defer crypt.close()
		w.peers = append(w.peers, crypt)
	}
	fmt.Printf("\nWriting. Medians of %d; ratios are of each turn.\n\n", c.runs)
	fmt.Fprintln(w.table, "figure\tmeasured\tunit\taim\tmet\tbeside")
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"sequential", w.sequential}, {"random", w.random}, {"tar", w.tar}, {"drain", w.drain},
		{"git clone", w.clone}, {"go build", w.build}, {"upload", w.upload},
	} {
		if !strings.Contains("writing: "+part.name, c.only) {
			continue
		}
		if err := part.do(); err != nil {
			return fmt.Errorf("writing: %s: %w", part.name, err)
		}
		_ = w.table.Flush()
	}
	return nil
}

// show prints one figure; without an aim it is only shown.
func (w *writing) show(name string, values []float64, unit, sign string, aim float64, beside string) {
	v, met, bound := median(values), "", ""
	if sign != "" {
		ok := v >= aim
		if sign == "≤" {
			ok = v <= aim
		}
		met, bound = map[bool]string{true: "yes", false: "NO"}[ok], fmt.Sprintf("%s %.4g", sign, aim)
	}
	fmt.Fprintf(w.table, "%s\t%.4g\t%s\t%s\t%s\t%s\n", name, v, unit, bound, met, beside)
	record.add(name, v, sign == "≤")
}

// turns does the same on the mount and on each peer, in turns, and shows the medians and the ratios. aims are by the
// name of the peer; do gives a rate.
func (w *writing) turns(name, unit string, aims map[string]float64, do func(dir string) (float64, error)) error {
	ours, theirs, ratios := []float64{}, map[string][]float64{}, map[string][]float64{}
	for run := range w.c.runs {
		rate := func(p *place) (float64, error) {
			dir := filepath.Join(p.dir, fmt.Sprint("turn", run))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return 0, err
			}
			v, err := do(dir)
			if err == nil && p.drain != nil {
				err = p.drain() // not timed: the next turn begins with nothing under way
			}
			if err == nil {
				err = os.RemoveAll(dir)
			}
			if err == nil && p.drain != nil {
				err = p.drain()
			}
			if err != nil {
				return 0, fmt.Errorf("on %s: %w", p.name, err)
			}
			return v, nil
		}
		v, err := rate(w.mount)
		if err != nil {
			return err
		}
		ours = append(ours, v)
		for _, p := range w.peers {
			t, err := rate(p)
			if err != nil {
				return err
			}
			theirs[p.name], ratios[p.name] = append(theirs[p.name], t), append(ratios[p.name], v/t)
		}
	}
	w.show(name, ours, unit, "", 0, "")
	for _, p := range w.peers {
		sign, aim := "", aims[p.name]
		if aim > 0 {
			sign = "≥"
		}
		w.show("  through "+p.name+"'s", ratios[p.name], "×", sign, aim, fmt.Sprintf("%s: %.4g %s", p.name, median(theirs[p.name]), unit))
	}
	return nil
}

// sequential writes one large file and fsyncs it.
func (w *writing) sequential() error {
	return w.turns("sequential write, fsync at the end", "MB/s", map[string]float64{"loopback": 0.4, "gocryptfs": 1.5}, func(dir string) (float64, error) {
		return timed(float64(w.c.written)/1e6, func() error { return writeFile(filepath.Join(dir, "big"), w.c.written) })
	})
}

// writeFile writes size bytes, no two blocks alike, and fsyncs them.
func writeFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, block)
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for left := size; left > 0; left -= block {
		for i := 0; i < block; i += 512 {
			buf[i] = byte(rng.Uint32())
		}
		if _, err := f.Write(buf[:min(left, block)]); err != nil {
			return err
		}
	}
	return f.Sync()
}

// random writes 4 KiB here and there in a file of a quarter of the large one's size, and fsyncs it.
func (w *writing) random() error {
	size := w.c.written / 4
	return w.turns("4 KiB random writes, fsync at the end", "writes/s", map[string]float64{"loopback": 0.5}, func(dir string) (float64, error) {
		path := filepath.Join(dir, "random")
		if err := writeFile(path, size); err != nil {
			return 0, err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		buf, rng := make([]byte, 4096), rand.New(rand.NewPCG(3, 4))
		return timed(randomWrites, func() error {
			for range randomWrites {
				if _, err := f.WriteAt(buf, rng.Int64N(size/4096)*4096); err != nil {
					return err
				}
			}
			return f.Sync()
		})
	})
}

// tree makes something like a source tree on a local disk, once: sizes as source files have them, most below 8 KiB.
func (w *writing) tree() (string, error) {
	dir := filepath.Join(w.source, "tree")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range treeFiles {
		d := filepath.Join(dir, fmt.Sprintf("package%03d", i%treeDirs))
		if i < treeDirs {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return "", err
			}
		}
		text := make([]byte, min(int(4000*math.Exp(rng.NormFloat64())), 200_000))
		for j := range text {
			text[j] = "abcdefgh ijk\n"[rng.IntN(13)]
		}
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("file%04d.go", i)), text, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (w *writing) archive() (string, error) {
	dir, err := w.tree()
	if err != nil {
		return "", err
	}
	tar := filepath.Join(w.source, "tree.tar")
	return tar, command(w.source, "tar", "cf", tar, "-C", dir, ".")
}

// command runs a program in a folder.
func command(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// tar unpacks a source tree.
func (w *writing) tar() error {
	archive, err := w.archive()
	if err != nil {
		return err
	}
	return w.turns("tar x of 5,000 small files", "files/s", map[string]float64{"loopback": 0.7}, func(dir string) (float64, error) {
		return timed(treeFiles, func() error { return command(dir, "tar", "xf", archive) })
	})
}

// drain unpacks the tree and waits until all of it is in a cloud that is 50 ms away.
func (w *writing) drain() error {
	archive, err := w.archive()
	if err != nil {
		return err
	}
	server := w.mount.server
	server.Faults().SetLatency(drainRTT)
	defer server.Faults().SetLatency(w.c.rtt)
	var rates, requests []float64
	for run := range w.c.runs {
		dir := filepath.Join(w.mount.dir, fmt.Sprint("drain", run))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		before := server.Stats().Batches
		v, err := timed(treeFiles, func() error {
			return errors.Join(command(dir, "tar", "xf", archive), w.mount.drain())
		})
		if err != nil {
			return err
		}
		rates, requests = append(rates, v), append(requests, float64(server.Stats().Batches-before)/treeFiles)
		if err := errors.Join(os.RemoveAll(dir), w.mount.drain()); err != nil {
			return err
		}
	}
	w.show("the same, to a cloud 50 ms away (tar x and drain)", rates, "files/s", "≥", 100, "")
	w.show("  API requests a file", requests, "", "≤", 0.2, "")
	return nil
}

// clone clones a repository of 50 MB.
func (w *writing) clone() error {
	repo := filepath.Join(w.source, "repo")
	if err := w.repository(repo); err != nil {
		return err
	}
	return w.turns("git clone of 50 MB", "clones/min", map[string]float64{"loopback": 0.5}, func(dir string) (float64, error) {
		return timed(60, func() error { return command(dir, "git", "clone", "-q", "file://"+repo, "clone") })
	})
}

// repository makes one with 20 commits on the tree and some large files that don't compress.
func (w *writing) repository(repo string) error {
	dir, err := w.tree()
	if err != nil {
		return err
	}
	git := func(args ...string) error {
		return command(repo, "git", append([]string{"-c", "user.name=bench", "-c", "user.email=" + email, "-c", "gc.auto=0"}, args...)...)
	}
	if err := errors.Join(command(w.source, "cp", "-r", dir, repo), git("init", "-q"), git("add", "."), git("commit", "-qm", "tree")); err != nil {
		return err
	}
	rng := rand.NewChaCha8([32]byte{9})
	for i := range 20 {
		data := make([]byte, 2_000_000)
		_, _ = rng.Read(data)
		if err := errors.Join(os.WriteFile(filepath.Join(repo, fmt.Sprint("blob", i%10)), data, 0o644), git("add", "."), git("commit", "-qm", fmt.Sprint(i))); err != nil {
			return err
		}
	}
	return nil
}

// build builds a Go program whose source, cache and result lie in the folder.
func (w *writing) build() error {
	const program = "package main\n\nimport (\n\t\"encoding/json\"\n\t\"os\"\n)\n\nfunc main() { _ = json.NewEncoder(os.Stdout).Encode(os.Args) }\n"
	return w.turns("go build, its cache in the folder, too", "builds/min", map[string]float64{"loopback": 1 / 1.5}, func(dir string) (float64, error) {
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644),
			os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module program\n\ngo 1.26\n"), 0o644)); err != nil {
			return 0, err
		}
		return timed(60, func() error {
			return command(dir, "env", "GOCACHE="+filepath.Join(dir, "cache"), "GOFLAGS=-buildvcs=false", "go", "build", "-o", "program", ".")
		})
	})
}

// upload sends the large file over a shaped link; the clock runs from its last write.
func (w *writing) upload() error {
	f := w.mount.server.Faults()
	f.SetLatency(shapedRTT)
	f.SetBandwidth(shapedConn, shapedTotal)
	defer func() {
		f.SetLatency(w.c.rtt)
		f.SetBandwidth(w.c.conn, w.c.total)
	}()
	path := filepath.Join(w.mount.dir, "upload")
	var rates []float64
	for range w.c.runs {
		if err := writeFile(path, w.c.written); err != nil {
			return err
		}
		v, err := timed(float64(w.c.written)/1e6, w.mount.drain)
		if err != nil {
			return err
		}
		rates = append(rates, v)
		if err := errors.Join(os.Remove(path), w.mount.drain()); err != nil {
			return err
		}
	}
	w.show("upload, shaped, from the last write to the cloud", rates, "MB/s", "≥", 80, fmt.Sprintf("%d MiB", w.c.written>>20))
	return nil
}

// openGocryptfs mounts gocryptfs on a folder of the same disk.
func openGocryptfs(work string) (*place, error) {
	below, point, pass := filepath.Join(work, "cipher"), filepath.Join(work, "gocryptfs"), filepath.Join(work, "gocryptfs-password")
	if err := errors.Join(os.Mkdir(below, 0o755), os.Mkdir(point, 0o755), os.WriteFile(pass, []byte(gocryptPassword), 0o600)); err != nil {
		return nil, err
	}
	if err := errors.Join(command(work, "gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", pass, below),
		command(work, "gocryptfs", "-q", "-passfile", pass, below, point)); err != nil {
		return nil, err
	}
	return &place{name: "gocryptfs", dir: point, close: func() { _ = command(work, "fusermount3", "-u", point) }}, nil
}

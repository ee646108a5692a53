package main

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// The figures of issue 4, "it is done when": reading. Each is shown beside what it is held against, which is
// measured in the same run wherever that is possible.

// The link that the shaped figures are measured on.
const (
	shapedRTT   = 50 * time.Millisecond
	shapedConn  = 12e6
	shapedTotal = 100e6
)

// What rclone mount gave on the unshaped server when the issue was written (MB/s); it is not part of this run.
const rcloneUnshaped = 95

const (
	hugeSize   = 5_000_000_000
	copied     = 2000 // files that are copied …
	copiedLen  = 8 << 10
	streams    = 20 // read at once
	streamLen  = 64 << 20
	probes     = 5
	randomSize = 4096
)

// reading is the account that the figures are taken on, beside the mount that shows it.
type reading struct {
	c      config
	mount  *place
	loop   *place // nil: none
	client *megaclient.Client
	big    *megaclient.Node
	table  *tabwriter.Writer
}

// figure is one line: how it is measured, and what it must be.
type figure struct {
	name, unit string
	atMost     bool    // the target is a limit from above
	target     float64 // 0: shown only
	against    string  // what the target is made of
}

func benchReading(c config, places []*place) error {
	r := &reading{c: c}
	for _, p := range places {
		switch p.name {
		case "megadisk":
			r.mount = p
		case "loopback":
			r.loop = p
		}
	}
	if err := r.fill(); err != nil {
		return err
	}
	defer r.client.Close()
	fmt.Printf("\nReading (issue 4). Medians of %d. Shaped: %v, %g MB/s a connection, %g MB/s in all.\n\n",
		c.runs, shapedRTT, shapedConn/1e6, shapedTotal/1e6)
	r.table = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(r.table, "figure\tmeasured\tunit\ttarget\tmet\tagainst")
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"unshaped", r.unshaped}, {"warm", r.warm}, {"disk", r.disk}, {"shaped", r.shaped}, {"random", r.random},
		{"first byte", r.firstByte}, {"small files", r.copySmall}, {"streams", r.manyStreams}, {"cryptography", r.cryptography},
	} {
		if !strings.Contains("reading: "+part.name, c.only) {
			continue
		}
		if err := part.do(); err != nil {
			return fmt.Errorf("reading: %s: %w", part.name, err)
		}
		_ = r.table.Flush()
	}
	return nil
}

// show prints a figure's median.
func (r *reading) show(f figure, values []float64, note string) {
	v := median(values)
	met, sign := "", ""
	if f.target > 0 {
		ok := v >= f.target
		sign = "≥"
		if f.atMost {
			ok, sign = v <= f.target, "≤"
		}
		met = map[bool]string{true: "yes", false: "NO"}[ok]
		sign = fmt.Sprintf("%s %.4g", sign, f.target)
	}
	fmt.Fprintf(r.table, "%s\t%.4g\t%s\t%s\t%s\t%s\n", f.name, v, f.unit, sign, met, strings.TrimSpace(f.against+" "+note))
	_ = r.table.Flush()
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// fill puts the files in, as another client would, and waits until the mount shows them.
func (r *reading) fill() error {
	a := r.mount.account
	root := a.Root()
	content := make([]byte, r.c.size)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(content)
	h := a.PutFile(root, "read-big", content, time.Now())
	small := a.Mkdir(root, "read-small")
	for i := range copied {
		data := make([]byte, copiedLen)
		_, _ = rng.Read(data)
		a.PutFile(small, fmt.Sprintf("file%04d", i), data, time.Now())
	}
	if r.wants("first byte") {
		a.Put(megatest.PutSpec{Parent: root, Name: "read-huge", Size: hugeSize, Mtime: time.Now()})
	}
	a.PutFile(root, "read-warm", content[:64<<10], time.Now())
	many := a.Mkdir(root, "read-many")
	if r.wants("streams") {
		for i := range streams {
			a.Put(megatest.PutSpec{Parent: many, Name: fmt.Sprint(i), Size: streamLen, Mtime: time.Now()})
		}
	}
	var err error
	r.client, err = megaclient.Login(context.Background(), megaclient.Config{APIURL: r.mount.server.URL()}, email, password, "")
	if err != nil {
		return err
	}
	if r.big, err = findNode(r.client, megaclient.Handle(h)); err != nil {
		return err
	}
	return r.await("read-many")
}

func (r *reading) wants(part string) bool { return strings.Contains("reading: "+part, r.c.only) }

func findNode(c *megaclient.Client, h megaclient.Handle) (found *megaclient.Node, err error) {
	_, err = c.FetchNodes(context.Background(), false, func(n *megaclient.Node) error {
		if n.Handle == h {
			found = n
		}
		return nil
	})
	if err == nil && found == nil {
		err = errors.New("the file is not in the account")
	}
	return found, err
}

// await waits until the mount shows a name.
func (r *reading) await(name string) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(r.path(name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s does not appear in the mount", name)
}

func (r *reading) path(name string) string { return filepath.Join(r.mount.dir, name) }

// onShapedLink does something while the server is shaped.
func (r *reading) onShapedLink(do func() error) error {
	f := r.mount.server.Faults()
	f.SetLatency(shapedRTT)
	f.SetBandwidth(shapedConn, shapedTotal)
	defer func() {
		f.SetLatency(r.c.rtt)
		f.SetBandwidth(r.c.conn, r.c.total)
	}()
	return do()
}

// sequential reads a file to its end and gives MB/s, and those of the fourth second.
func sequential(path string) (rate, later float64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	buf := make([]byte, block)
	start := time.Now()
	var total, third, fourth int64
	for {
		n, err := f.Read(buf)
		total += int64(n)
		switch age := time.Since(start); {
		case age < 3*time.Second:
			third = total
		case age < 4*time.Second:
			fourth = total
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return float64(total) / 1e6 / time.Since(start).Seconds(), float64(fourth-third) / 1e6, nil
}

// unshaped is the cold read against Client.Get to nowhere, and the CPU that each takes.
func (r *reading) unshaped() error {
	var mount, get, ratio, user, system []float64
	for range r.c.runs {
		if err := r.mount.cold(); err != nil {
			return err
		}
		before, err := r.mount.usage()
		if err != nil {
			return err
		}
		v, _, err := sequential(r.path("read-big"))
		if err != nil {
			return err
		}
		after, err := r.mount.usage()
		if err != nil {
			return err
		}
		g, err := timed(float64(r.c.size)/1e6, func() error { return r.client.Get(context.Background(), r.big, io.Discard) })
		if err != nil {
			return err
		}
		gib := float64(r.c.size) / (1 << 30)
		mount, get, ratio = append(mount, v), append(get, g), append(ratio, v/g)
		user, system = append(user, (after.user-before.user)/gib), append(system, (after.system-before.system)/gib)
	}
	r.show(figure{name: "cold sequential read, unshaped", unit: "MB/s", target: 3 * rcloneUnshaped, against: "3 × rclone mount (95 MB/s, measured for the issue)"}, mount, "")
	r.show(figure{name: "  Client.Get of the same file to nowhere", unit: "MB/s"}, get, "")
	r.show(figure{name: "  the one through the other", unit: "×", target: 0.7, against: "Client.Get, in turns"}, ratio, "")
	pass := ctrSeconds()
	r.show(figure{name: "  CPU in user space", unit: "s/GiB", atMost: true, target: 8 * pass, against: "8 passes of the library's CTR"}, user, fmt.Sprintf("(%.3f s)", pass))
	r.show(figure{name: "  CPU in the kernel (FUSE, TCP, disk)", unit: "s/GiB"}, system, "")
	return nil
}

// ctrSeconds is what one pass of the standard library's CTR over a GiB takes.
func ctrSeconds() float64 {
	b, _ := aes.NewCipher(make([]byte, 16))
	buf := make([]byte, 128<<10)
	best := time.Hour
	for range 5 {
		ctr := cipher.NewCTR(b, make([]byte, 16))
		start := time.Now()
		for range 1 << 30 / len(buf) / 8 {
			ctr.XORKeyStream(buf, buf)
		}
		best = min(best, time.Since(start)*8)
	}
	return best.Seconds()
}

// alternate measures the mount and loopback in turns and shows their ratio.
func (r *reading) alternate(f figure, turns int, do func(p *place, path string) (float64, error)) error {
	if r.loop == nil {
		fmt.Fprintf(r.table, "%s\t-\t\t\t\tno loopback here\n", f.name)
		return nil
	}
	below := filepath.Join(r.loop.dir, "read-big")
	if _, err := os.Stat(below); err != nil {
		if err := copyFile(r.path("read-big"), below); err != nil {
			return err
		}
	}
	var ours, theirs, ratio []float64
	for range turns {
		t, err := do(r.loop, below)
		if err != nil {
			return err
		}
		o, err := do(r.mount, r.path("read-big"))
		if err != nil {
			return err
		}
		ours, theirs, ratio = append(ours, o), append(theirs, t), append(ratio, o/t)
	}
	r.show(figure{name: f.name, unit: "MB/s"}, ours, fmt.Sprintf("loopback: %.4g MB/s", median(theirs)))
	r.show(figure{name: "  through loopback's", unit: "×", target: f.target, against: f.against}, ratio, "")
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// warm reads what the kernel's page cache has.
func (r *reading) warm() error {
	return r.alternate(figure{name: "warm read (page cache)", target: 0.9, against: "loopback, alternating"}, 5,
		func(_ *place, path string) (float64, error) {
			if _, _, err := sequential(path); err != nil {
				return 0, err
			}
			v, _, err := sequential(path)
			return v, err
		})
}

// disk reads what megadisk's disk cache has, all page caches dropped. The memory level holds less than the file.
func (r *reading) disk() error {
	if _, _, err := sequential(r.path("read-big")); err != nil {
		return err
	}
	return r.alternate(figure{name: "read from the disk cache", target: 0.6, against: "loopback, page caches dropped"}, max(3, r.c.runs),
		func(p *place, path string) (float64, error) {
			if err := p.drop(); err != nil {
				return 0, err
			}
			v, _, err := sequential(path)
			return v, err
		})
}

// shaped reads a large file over the shaped link.
func (r *reading) shaped() error {
	var rate, later []float64
	err := r.onShapedLink(func() error {
		for range r.c.runs {
			if err := r.mount.cold(); err != nil {
				return err
			}
			v, l, err := sequential(r.path("read-big"))
			if err != nil {
				return err
			}
			rate, later = append(rate, v), append(later, l)
		}
		return nil
	})
	r.show(figure{name: "sequential read, shaped, in the fourth second", unit: "MB/s", target: 85}, later, "")
	r.show(figure{name: "  over the whole file", unit: "MB/s", target: 85}, rate, fmt.Sprintf("%d MiB", r.c.size>>20))
	return err
}

// random reads 4 KiB here and there.
func (r *reading) random() error {
	var trips, moved []float64
	err := r.onShapedLink(func() error {
		for run := range r.c.runs {
			if err := r.mount.cold(); err != nil {
				return err
			}
			f, err := os.Open(r.path("read-big"))
			if err != nil {
				return err
			}
			buf, rng := make([]byte, randomSize), rand.New(rand.NewPCG(7, uint64(run)))
			if _, err := f.ReadAt(buf, 0); err != nil { // the URL and a connection
				return err
			}
			before := r.mount.server.Stats().BytesDown
			start := time.Now()
			for range randoms {
				if _, err := f.ReadAt(buf, rng.Int64N(r.c.size/randomSize)*randomSize); err != nil {
					return err
				}
			}
			each := time.Since(start) / randoms
			_ = f.Close()
			time.Sleep(200 * time.Millisecond) // what is still under way counts, too
			trips = append(trips, float64(each)/float64(shapedRTT))
			moved = append(moved, float64(r.mount.server.Stats().BytesDown-before)/1024/randoms)
		}
		return nil
	})
	r.show(figure{name: "random read of 4 KiB, shaped", unit: "round trips", atMost: true, target: 1.3}, trips, "")
	r.show(figure{name: "  moved for each", unit: "KiB", atMost: true, target: 160}, moved, "")
	return err
}

// firstByte reads one byte somewhere in a large file whose URL isn't known; connections are warm.
func (r *reading) firstByte() error {
	var trips, moved []float64
	if err := r.await("read-huge"); err != nil {
		return err
	}
	err := r.onShapedLink(func() error {
		for probe := range probes {
			if err := r.mount.cold(); err != nil {
				return err
			}
			if _, err := os.ReadFile(r.path("read-warm")); err != nil { // connections
				return err
			}
			before := r.mount.server.Stats()
			f, err := os.Open(r.path("read-huge"))
			if err != nil {
				return err
			}
			start := time.Now()
			if _, err := f.ReadAt(make([]byte, 1), int64(probe)*(hugeSize/probes)+12345); err != nil {
				return err
			}
			took := time.Since(start)
			time.Sleep(200 * time.Millisecond)
			_ = f.Close()
			after := r.mount.server.Stats()
			trips = append(trips, float64(took)/float64(shapedRTT))
			moved = append(moved, float64(after.BytesDown-before.BytesDown)/1024)
		}
		return nil
	})
	r.show(figure{name: "first byte at any offset of 5 GB, shaped", unit: "round trips", atMost: true, target: 2.5, against: "2 round trips, and what sending takes"}, trips, "")
	r.show(figure{name: "  moved for it", unit: "KiB", atMost: true, target: 256}, moved, "")
	return err
}

// copySmall copies a folder of small files.
func (r *reading) copySmall() error {
	var seconds, requests []float64
	err := r.onShapedLink(func() error {
		for run := range r.c.runs {
			if err := r.mount.cold(); err != nil {
				return err
			}
			to := filepath.Join(r.mount.work, fmt.Sprint("copied", run))
			before := r.mount.server.Stats()
			start := time.Now()
			if out, err := exec.Command("cp", "-r", r.path("read-small"), to).CombinedOutput(); err != nil {
				return fmt.Errorf("cp: %w: %s", err, out)
			}
			seconds = append(seconds, time.Since(start).Seconds())
			after := r.mount.server.Stats()
			requests = append(requests, float64(after.Batches-before.Batches)/copied)
			if err := os.RemoveAll(to); err != nil {
				return err
			}
		}
		return nil
	})
	r.show(figure{name: "cp -r of 2,000 files of 8 KiB, shaped", unit: "s", atMost: true, target: 18}, seconds, "")
	r.show(figure{name: "  API requests for each file", unit: "", atMost: true, target: 0.1}, requests, "")
	return err
}

// manyStreams reads many large files at once.
func (r *reading) manyStreams() error {
	if err := r.mount.cold(); err != nil {
		return err
	}
	var group sync.WaitGroup
	errs := make([]error, streams)
	rate, _ := timed(streams*streamLen/1e6, func() error {
		for i := range streams {
			group.Go(func() { _, _, errs[i] = sequential(r.path(filepath.Join("read-many", fmt.Sprint(i)))) })
		}
		group.Wait()
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	use, err := r.mount.usage()
	if err != nil {
		return err
	}
	r.show(figure{name: "most memory with 20 streams at once", unit: "MB", atMost: true, target: 300, against: "VmHWM"}, []float64{use.peak / 1e6}, fmt.Sprintf("(together %.0f MB/s)", rate))
	return nil
}

// cryptography is chunk MACs against the standard library's CBC, on one core.
func (r *reading) cryptography() error {
	key := megacrypto.NewFileKey()
	c := megacrypto.NewCipher(key)
	chunks := make([][]byte, 8)
	for i := range chunks {
		chunks[i] = make([]byte, 1<<20)
	}
	var ours, library []float64
	b, _ := aes.NewCipher(key.Key[:])
	for range max(5, r.c.runs) {
		v, _ := timed(float64(len(chunks)<<20)*8/1e6, func() error {
			for range 8 {
				c.ChunkMACs(nil, chunks)
			}
			return nil
		})
		l, _ := timed(float64(len(chunks)<<20)/1e6, func() error {
			for _, chunk := range chunks {
				cipher.NewCBCEncrypter(b, make([]byte, 16)).CryptBlocks(chunk, chunk)
			}
			return nil
		})
		ours, library = append(ours, v), append(library, l)
	}
	r.show(figure{name: "chunk MACs, one core", unit: "MB/s", target: 4 * median(library), against: "4 × the library's CBC"}, ours, "")
	return nil
}

// usage is what a process has used.
type usage struct {
	user, system float64 // seconds
	peak         float64 // bytes resident, at most
}

// usageOf reads /proc.
func usageOf(pid int) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const tick = 100 // a second, on every Linux that there is
	var ut, st float64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &ut, &st); err != nil {
		return u, err
	}
	u.user, u.system = ut/tick, st/tick
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib float64
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				return u, err
			}
			u.peak = kib * 1024
		}
	}
	return u, nil
}

// pidOf reads what `megadisk status --json` says.
func pidOf(status []byte) (int, error) {
	var all []struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(status, &all); err != nil {
		return 0, err
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("%d processes in place of one", cmp.Or(len(all), 0))
	}
	return all[0].PID, nil
}

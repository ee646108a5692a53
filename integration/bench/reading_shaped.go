package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The link that the shaped figures are measured on.
const (
	shapedRTT   = 50 * time.Millisecond
	shapedConn  = 12e6
	shapedTotal = 100e6
)

const (
	probes     = 5 // first bytes
	randomSize = 4096
)

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

// shaped reads a large file over the shaped link, for more than four seconds.
func (r *reading) shaped() error {
	if least := int64(5 * shapedTotal); r.c.size < least {
		fmt.Fprintf(r.table, "sequential read, shaped: NOT MEASURED, since it needs -mib %d\n", least>>20+1)
		return nil
	}
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

// firstByte reads one byte somewhere in a large file whose URL isn't known; connections are warm. Where in a unit of 128 KiB it
// lies must make no difference: its beginning is shown besides.
func (r *reading) firstByte() error {
	if err := r.await("read-huge"); err != nil {
		return err
	}
	var begin, anywhere, moved []float64
	err := r.onShapedLink(func() error {
		for probe := range int64(probes) {
			at := probe * (hugeSize / probes)
			trips, _, err := r.probe(at &^ (128<<10 - 1))
			if err != nil {
				return err
			}
			begin = append(begin, trips)
			trips, kib, err := r.probe(at + 12345)
			if err != nil {
				return err
			}
			anywhere, moved = append(anywhere, trips), append(moved, kib)
		}
		return nil
	})
	r.show(figure{name: "first byte at any offset of 5 GB, shaped", unit: "round trips", atMost: true, target: 2.2, against: "2 round trips, and what 4 KiB take"}, anywhere, "")
	r.show(figure{name: "  at the beginning of a unit of 128 KiB", unit: "round trips", atMost: true, target: 2.2, against: "the same"}, begin, "")
	r.show(figure{name: "  moved for it", unit: "KiB", atMost: true, target: 256}, moved, "")
	return err
}

// probe reads a byte of the huge file, with all caches cold, and tells in how many round trips and with how much moved.
func (r *reading) probe(at int64) (trips, kib float64, err error) {
	if err := r.mount.cold(); err != nil {
		return 0, 0, err
	}
	if _, err := os.ReadFile(r.path("read-warm")); err != nil { // connections
		return 0, 0, err
	}
	before := r.mount.server.Stats()
	f, err := os.Open(r.path("read-huge"))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	start := time.Now()
	if _, err := f.ReadAt(make([]byte, 1), at); err != nil {
		return 0, 0, err
	}
	took := time.Since(start)
	time.Sleep(200 * time.Millisecond)
	after := r.mount.server.Stats()
	return float64(took) / float64(shapedRTT), float64(after.BytesDown-before.BytesDown) / 1024, nil
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

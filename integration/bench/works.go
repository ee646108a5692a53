package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// measure is one figure: what is done, and in which unit it is told. do returns the figure for one run.
type measure struct {
	name, unit string
	cloudOnly  bool // makes no sense on a local folder
	do         func(c config, p *place) (float64, error)
}

func (m measure) wanted(only string) bool { return strings.Contains(m.name, only) }

func measures(config) []measure {
	return []measure{
		{"sequential write, fsync at the end", "MB/s", false, seqWrite},
		{"the same, to the server (write+drain)", "MB/s", true, seqWriteDrained},
		{"cold sequential read", "MB/s", false, coldRead},
		{"warm sequential read", "MB/s", false, warmRead},
		{"cold 4 KiB random read", "ms each", false, randomRead},
		{"small files created (4 KiB)", "files/s", false, smallFiles},
		{"small files, to the server (create+drain)", "files/s", true, smallFilesDrained},
		{"ls -lR", "files/s", false, listAll},
		{"stat, one by one", "files/s", false, statAll},
	}
}

const (
	block    = 1 << 20
	smallLen = 4096
	randoms  = 64
)

func timed(amount float64, do func() error) (float64, error) {
	start := time.Now()
	err := do()
	return amount / time.Since(start).Seconds(), err
}

func big(p *place) string { return filepath.Join(p.dir, "big") }

func writeBig(c config, p *place) error {
	_ = os.Remove(big(p))
	f, err := os.Create(big(p))
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, block)
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for off := int64(0); off < c.size; off += block {
		for i := 0; i < block; i += 512 { // no two blocks alike, at no cost
			buf[i] = byte(rng.Uint32())
		}
		if _, err := f.Write(buf); err != nil {
			return err
		}
	}
	return f.Sync()
}

func seqWrite(c config, p *place) (float64, error) {
	v, err := timed(float64(c.size)/1e6, func() error { return writeBig(c, p) })
	if err == nil && p.drain != nil {
		err = p.drain() // not timed: the next run begins with nothing under way
	}
	return v, err
}

func seqWriteDrained(c config, p *place) (float64, error) {
	return timed(float64(c.size)/1e6, func() error {
		if err := writeBig(c, p); err != nil {
			return err
		}
		return p.drain()
	})
}

func readBig(c config, p *place) (float64, error) {
	return timed(float64(c.size)/1e6, func() error {
		f, err := os.Open(big(p))
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, block))
		if err == nil && n != c.size {
			return fmt.Errorf("read %d of %d bytes", n, c.size)
		}
		return err
	})
}

func ensureBig(c config, p *place) error {
	if info, err := os.Stat(big(p)); err == nil && info.Size() == c.size {
		return nil
	}
	if err := writeBig(c, p); err != nil || p.drain == nil {
		return err
	}
	return p.drain()
}

func coldRead(c config, p *place) (float64, error) {
	if err := ensureBig(c, p); err != nil {
		return 0, err
	}
	if err := p.cold(); err != nil {
		return 0, err
	}
	return readBig(c, p)
}

func warmRead(c config, p *place) (float64, error) {
	if err := ensureBig(c, p); err != nil {
		return 0, err
	}
	if _, err := readBig(c, p); err != nil {
		return 0, err
	}
	return readBig(c, p)
}

func randomRead(c config, p *place) (float64, error) {
	if err := ensureBig(c, p); err != nil {
		return 0, err
	}
	if err := p.cold(); err != nil {
		return 0, err
	}
	f, err := os.Open(big(p))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf, rng := make([]byte, 4096), rand.New(rand.NewPCG(7, 7))
	start := time.Now()
	for range randoms {
		if _, err := f.ReadAt(buf, rng.Int64N(c.size/4096)*4096); err != nil {
			return 0, err
		}
	}
	return time.Since(start).Seconds() * 1000 / randoms, nil
}

func makeSmall(c config, dir string) error {
	data := make([]byte, smallLen)
	for i := range c.files {
		if i%100 == 0 {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(i/100)), 0o755); err != nil {
				return err
			}
		}
		data[0], data[1] = byte(i), byte(i>>8)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i/100), fmt.Sprint("file", i)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func smallFiles(c config, p *place) (float64, error) {
	dir := filepath.Join(p.dir, fmt.Sprint("small", time.Now().UnixNano()))
	v, err := timed(float64(c.files), func() error { return makeSmall(c, dir) })
	if err == nil && p.drain != nil {
		err = p.drain()
	}
	_ = os.RemoveAll(dir)
	return v, err
}

func smallFilesDrained(c config, p *place) (float64, error) {
	dir := filepath.Join(p.dir, fmt.Sprint("small", time.Now().UnixNano()))
	v, err := timed(float64(c.files), func() error {
		if err := makeSmall(c, dir); err != nil {
			return err
		}
		return p.drain()
	})
	_ = os.RemoveAll(dir)
	return v, err
}

func ensureSmall(c config, p *place) (string, error) {
	dir := filepath.Join(p.dir, "small")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := makeSmall(c, dir); err != nil || p.drain == nil {
		return dir, err
	}
	return dir, p.drain()
}

func listAll(c config, p *place) (float64, error) {
	dir, err := ensureSmall(c, p)
	if err != nil {
		return 0, err
	}
	return timed(float64(c.files), func() error { return exec.Command("ls", "-lR", dir).Run() })
}

func statAll(c config, p *place) (float64, error) {
	dir, err := ensureSmall(c, p)
	if err != nil {
		return 0, err
	}
	return timed(float64(c.files), func() error {
		for i := range c.files {
			if _, err := os.Lstat(filepath.Join(dir, fmt.Sprint(i/100), fmt.Sprint("file", i))); err != nil {
				return err
			}
		}
		return nil
	})
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// alternate measures the mount and loopback in turns and shows their ratio.
func (r *reading) alternate(f figure, loop *place, turns int, do func(p *place, path string) (float64, error)) error {
	if loop == nil {
		fmt.Fprintf(r.table, "%s\t-\t\t\t\tno loopback here\n", f.name)
		return nil
	}
	below := filepath.Join(loop.dir, "read-big")
	if _, err := os.Stat(below); err != nil {
		if err := copyFile(r.path("read-big"), below); err != nil {
			return err
		}
	}
	var ours, theirs, ratio []float64
	for range turns {
		t, err := do(loop, below)
		if err != nil {
			return err
		}
		o, err := do(r.mount, r.path("read-big"))
		if err != nil {
			return err
		}
		ours, theirs, ratio = append(ours, o), append(theirs, t), append(ratio, o/t)
	}
	r.show(figure{name: f.name, unit: "MB/s"}, ours, fmt.Sprintf("%s: %.4g MB/s", loop.name, median(theirs)))
	r.show(figure{name: "  through that of " + loop.name, unit: "×", target: f.target, against: f.against}, ratio, "")
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

// warm reads what the kernel's page cache has: against loopback as it is, and, where that hands its files to the kernel so
// that it has no pages of its own, against mounts that have: one of a block that repeats, and a loopback that may not do so. That one drops
// its pages at each open, so both read twice within one.
func (r *reading) warm() error {
	again := func(_ *place, path string) (float64, error) {
		if _, _, err := sequential(path); err != nil {
			return 0, err
		}
		v, _, err := sequential(path)
		return v, err
	}
	f := figure{name: "warm read (page cache)", target: 0.9, against: "in turns"}
	if err := r.alternate(f, r.loop, 5, again); err != nil || r.loop == nil {
		return err
	}
	noise, err := openNoise(r.mount.work, r.c.size)
	if err != nil || noise == nil {
		return err
	}
	err = r.alternate(f, noise, 5, again)
	noise.close()
	if err != nil {
		return err
	}
	plain, err := openUnprivilegedLoopback(r.mount.work)
	if err != nil || plain == nil {
		return err
	}
	defer plain.close()
	f.name = "warm read within one open"
	return r.alternate(f, plain, 5, twice)
}

// twice reads a file two times within one open, and tells how fast the second was.
func twice(_ *place, path string) (float64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if _, _, err := sequentialOf(file); err != nil {
		return 0, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	v, _, err := sequentialOf(file)
	return v, err
}

// disk reads what megadisk's disk cache has, all page caches dropped: against loopback, and against a mount that reads no
// disk, only hands one block of memory to the kernel. The memory level holds less than the file.
func (r *reading) disk() error {
	if _, _, err := sequential(r.path("read-big")); err != nil {
		return err
	}
	dropped := func(p *place, path string) (float64, error) {
		if err := p.drop(); err != nil {
			return 0, err
		}
		v, _, err := sequential(path)
		return v, err
	}
	turns := max(3, r.c.runs)
	f := figure{name: "read from the disk cache", target: 0.6, against: "page caches dropped"}
	if err := r.alternate(f, r.loop, turns, dropped); err != nil || r.loop == nil {
		return err
	}
	noise, err := openNoise(r.mount.work, r.c.size)
	if err != nil || noise == nil {
		return err
	}
	defer noise.close()
	return r.alternate(figure{name: "the same, beside what FUSE allows", against: "page caches dropped"}, noise, turns, dropped)
}

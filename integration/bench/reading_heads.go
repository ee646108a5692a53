package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	videos   = 200 // large files whose kind is to be told
	videoLen = 50_000_000
	sniffed  = 4 << 10 // that file managers read of each
	filed    = 20      // that file(1) is asked about: it reads up to 7 MiB of each
)

// heads has the kind of files in a folder of large ones told: by their first KiB, as file managers do, and by file(1).
func (r *reading) heads() error {
	for _, way := range []struct {
		name  string
		files float64
		do    func(folder string) error
	}{{"first 4 KiB of 200", videos, sniffAll}, {"file(1) of 20", filed, fileAll}} {
		var seconds, requests, moved []float64
		err := r.onShapedLink(func() error {
			for range r.c.runs {
				if err := r.mount.cold(); err != nil {
					return err
				}
				before := r.mount.server.Stats()
				start := time.Now()
				if err := way.do(r.path("read-videos")); err != nil {
					return err
				}
				seconds = append(seconds, time.Since(start).Seconds())
				after := r.mount.server.Stats()
				requests = append(requests, float64(after.Batches-before.Batches)/way.files)
				moved = append(moved, float64(after.BytesDown-before.BytesDown)/1e6)
			}
			return nil
		})
		r.show(figure{name: way.name + " files of 50 MB, shaped", unit: "s"}, seconds, "")
		r.show(figure{name: "  API requests for each file", unit: ""}, requests, "")
		r.show(figure{name: "  moved for it", unit: "MB"}, moved, "")
		if err != nil {
			return err
		}
	}
	return nil
}

func sniffAll(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	buf := make([]byte, sniffed)
	for _, e := range entries {
		f, err := os.Open(filepath.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		_, err = io.ReadFull(f, buf)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func fileAll(folder string) error {
	all, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return err
	}
	if out, err := exec.Command("file", append([]string{"-b"}, all[:filed]...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("file: %w: %s", err, out)
	}
	return nil
}

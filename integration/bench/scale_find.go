package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// finder is a place where `find` runs over the same tree.
type finder struct {
	name string
	dir  string
	cold func() error // forget what is cached
}

// The works of find: names only, and so that each file's attributes are asked; at first, and again.
var (
	findKinds = []string{"names", "-size"}
	findTurns = []string{"first", "second"}
)

// findFigures are the works of find by the figures that show them, and what rclone mount's rate is to be multiplied by.
var findFigures = []struct {
	name, work string
	ofRclone   float64
}{
	{"find over all, names, first time", "names, first time", 1.2},
	{"find over all, names, second time", "names, second time", 2},
	{"find over all, -size, first time", "-size, first time", 1.2},
	{"find over all, -size, second time", "-size, second time", 2},
}

// find runs `find` over all, here and on the peers.
func (s *scale) find() error {
	var ours map[string]float64
	err := s.phase("resident at most: find", func() (err error) {
		ours, err = s.finds(finder{"megadisk", s.point, func() error {
			if err := s.unmount(); err != nil {
				return err
			}
			_, err := s.mount()
			return err
		}})
		return err
	})
	if err != nil {
		return err
	}
	peers := map[string]map[string]float64{}
	for name, rates := range map[string]func() (map[string]float64, error){"loopback": s.findLoopback, "rclone mount": s.findRclone} {
		if peers[name], err = rates(); err != nil {
			fmt.Printf("no %s beside: %v\n", name, err)
		}
	}
	for _, f := range findFigures {
		for _, against := range []struct {
			peer   string
			factor float64
		}{{"loopback", 1}, {"rclone mount", f.ofRclone}} {
			rate := peers[against.peer][f.work]
			s.show.show(figure{name: f.name, unit: "entries/s", target: against.factor * rate},
				[]float64{ours[f.work]}, fmt.Sprintf("%.3g × %s (%.0f)", against.factor, against.peer, rate))
		}
	}
	return nil
}

// finds gives entries a second, by what is done.
func (s *scale) finds(f finder) (map[string]float64, error) {
	rates := map[string]float64{}
	for _, kind := range findKinds {
		if err := f.cold(); err != nil {
			return nil, err
		}
		args := []string{f.dir}
		if kind == "-size" {
			args = append(args, "-size", "+100c")
		}
		for _, turn := range findTurns {
			began := time.Now()
			cmd := exec.Command("find", args...)
			cmd.Stderr = os.Stderr
			if err := cmd.Run(); err != nil {
				return nil, fmt.Errorf("find in %s: %w", f.name, err)
			}
			rates[kind+", "+turn+" time"] = float64(s.c.nodes) / time.Since(began).Seconds()
		}
	}
	return rates, nil
}

func (s *scale) findRclone() (map[string]float64, error) {
	binary := os.Getenv("MEGADISK_RCLONE")
	if binary == "" {
		return nil, errors.New("MEGADISK_RCLONE names none")
	}
	r := reading{c: s.c, mount: &place{work: s.work, server: s.server}}
	end := func() {}
	defer func() { end() }()
	return s.finds(finder{"rclone mount", filepath.Join(s.work, "rclone"), func() error {
		end()
		end = func() {}
		_, unmount, err := r.mountRclone(binary)
		if err == nil {
			end = unmount
		}
		return err
	}})
}

func (s *scale) findLoopback() (map[string]float64, error) {
	p, err := openLoopback(s.work)
	if err != nil {
		return nil, err
	}
	defer p.close()
	below := filepath.Join(s.work, "below")
	if err := s.shape.copyTo(below); err != nil {
		return nil, err
	}
	return s.finds(finder{"loopback", p.dir, p.cold})
}

// copyTo makes the same tree in a folder; the files have their sizes and no blocks.
func (s *shape) copyTo(dir string) error {
	for i, d := range s.dirs {
		at := filepath.Join(dir, d)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		for k, n := range s.files[i] {
			f, err := os.Create(filepath.Join(at, n))
			if err == nil {
				err = errors.Join(f.Truncate(int64(k%200)), f.Close())
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"megadisk/megaclient/megatest"
)

// The figures of issue 8, "64 GB written through the mount as 64 files with 2 GB of staging limit". The server keeps a
// checksum of each chunk and no content; what was written can be made again, and is compared with these and with the MACs.

const (
	stagedFile  = 1 << 30 // bytes of each file
	stagedLimit = 2 << 30 // that may wait to be sent
	stagedCache = 1 << 30 // of what was sent, on this disk
)

// synthetic is what SyntheticAt gives from there on.
type synthetic int64

func (s synthetic) ReadAt(p []byte, off int64) (int, error) {
	megatest.SyntheticAt(p, int64(s)+off)
	return len(p), nil
}

// benchStaged writes files one after the other, as cp would, and waits until all are in the cloud.
func benchStaged(c config, work string) error {
	c.nodes = 1000
	s, err := openScale(c, work, megatest.WithoutContent())
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.mount("--staging-size", fmt.Sprint(stagedLimit), "--cache-size", fmt.Sprint(stagedCache)); err != nil {
		return err
	}
	fmt.Printf("\nStaged: %d files of 1 GiB, of which 2 GiB may wait.\n\n", c.gib)
	fmt.Fprintln(s.table, "figure\tmeasured\tunit\ttarget\tmet\tagainst")
	watch := s.watchStaging()
	var slowest time.Duration
	err = s.phase("staged: resident at most", func() error {
		began := time.Now()
		for i := range c.gib {
			longest, err := writeSynthetic(filepath.Join(s.point, stagedName(i)), synthetic(i)*stagedFile)
			if err != nil {
				return fmt.Errorf("a program that writes was refused: %w", err)
			}
			slowest = max(slowest, longest)
		}
		written := time.Since(began).Seconds()
		if _, err := s.run("", "flush"); err != nil {
			return err
		}
		megabytes := float64(c.gib) * stagedFile / 1e6
		s.show.show(figure{name: "staged: written", unit: "MB/s"}, []float64{megabytes / written}, "")
		s.show.show(figure{name: "staged: written and in the cloud", unit: "MB/s"}, []float64{megabytes / time.Since(began).Seconds()}, "")
		return nil
	})
	seen := watch()
	if err != nil {
		return err
	}
	s.show.show(figure{name: "staged: slowest write of 1 MiB", unit: "s"}, []float64{slowest.Seconds()}, "(it waits for room, and isn't refused)")
	s.show.show(figure{name: "staged: at most waiting", unit: "MB", atMost: true, target: stagedLimit / 1e6}, []float64{float64(seen.bytes) / 1e6}, "(status, each half second)")
	s.show.show(figure{name: "staged: staging on the disk at most", unit: "MB", atMost: true, target: stagedLimit * 1.1 / 1e6}, []float64{float64(seen.disk) / 1e6}, "(with what is sealed beside, and dead)")
	s.show.show(figure{name: "staged: journal at most", unit: "changes"}, []float64{float64(seen.changes)}, "(status, each half second)")
	_ = s.table.Flush()
	return s.checkStaged()
}

func stagedName(i int) string { return fmt.Sprintf("staged%02d", i) }

// checkStaged compares what has arrived with what was written.
func (s *scale) checkStaged() error {
	for i := range s.c.gib {
		h := s.account.Find(stagedName(i))
		if h == "" {
			return fmt.Errorf("%s isn't in the cloud", stagedName(i))
		}
		if err := s.account.CheckForgotten(h, synthetic(i)*stagedFile, stagedFile); err != nil {
			return fmt.Errorf("%s: %w", stagedName(i), err)
		}
	}
	fmt.Printf("All %d files arrived as they were written: sizes, chunks, MACs.\n", s.c.gib)
	return nil
}

// writeSynthetic writes a file, and says how long the slowest of its writes took.
func writeSynthetic(path string, content io.ReaderAt) (slowest time.Duration, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	block := make([]byte, 1<<20)
	for off := int64(0); off < stagedFile && err == nil; off += int64(len(block)) {
		_, _ = content.ReadAt(block, off)
		began := time.Now()
		_, err = f.Write(block)
		slowest = max(slowest, time.Since(began))
	}
	return slowest, errors.Join(err, f.Close())
}

// staging is the most that was seen.
type staging struct {
	bytes   int64 // that wait
	disk    int64 // of blocks
	changes int   // in the journal
}

// watchStaging looks at what waits until stop is called, which says the most that was seen.
func (s *scale) watchStaging() (stop func() staging) {
	var seen staging
	var watching sync.WaitGroup
	ended := make(chan struct{})
	watching.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			s.lookAtStaging(&seen)
		}
	})
	return func() staging {
		close(ended)
		watching.Wait()
		return seen
	}
}

func (s *scale) lookAtStaging(seen *staging) {
	folders, _ := filepath.Glob(filepath.Join(s.work, "state", "*", "*", "staging"))
	for _, f := range folders {
		seen.disk = max(seen.disk, bytesBelow(f))
	}
	out, err := s.run("", "status", "--json")
	var all []struct {
		Pending struct {
			Changes int
			Bytes   int64
		}
	}
	if err != nil || json.Unmarshal(out, &all) != nil {
		return
	}
	for _, p := range all {
		seen.bytes, seen.changes = max(seen.bytes, p.Pending.Bytes), max(seen.changes, p.Pending.Changes)
	}
}

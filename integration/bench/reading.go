package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
)

// The figures of issue 4, "it is done when": reading. Each is shown beside what it is held against, which is
// measured in the same run wherever that is possible.

const (
	hugeSize  = 5_000_000_000
	copied    = 2000 // files that are copied …
	copiedLen = 8 << 10
	streams   = 20 // read at once
	streamLen = 64 << 20
	spreadLen = 256 << 20 // of a file that is spread over six URLs
)

// reading is the account that the figures are taken on, beside the mount that shows it.
type reading struct {
	c      config
	mount  *place
	loop   *place // nil: none
	client *megaclient.Client
	big    *megaclient.Node
	table  *tabwriter.Writer
	cold   []float64 // MB/s of the cold sequential reads of this run
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
	fmt.Printf("\nReading. Medians of %d. Shaped: %v, %g MB/s a connection, %g MB/s in all.\n\n",
		c.runs, shapedRTT, shapedConn/1e6, shapedTotal/1e6)
	r.table = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(r.table, "figure\tmeasured\tunit\ttarget\tmet\tagainst")
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"unshaped", r.unshaped}, {"spread", r.spread}, {"rclone", r.rclone}, {"warm", r.warm}, {"disk", r.disk}, {"shaped", r.shaped}, {"random", r.random},
		{"first byte", r.firstByte}, {"small files", r.copySmall}, {"heads", r.heads}, {"streams", r.manyStreams}, {"cryptography", r.cryptography},
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
	record.add(f.name, v, f.atMost)
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
	if r.wants("spread") {
		a.Put(megatest.PutSpec{Parent: root, Name: "read-spread", Content: content[:min(r.c.size, spreadLen)], Mtime: time.Now(), RAID: true})
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
	if r.wants("heads") {
		folder := a.Mkdir(root, "read-videos")
		for i := range videos {
			a.Put(megatest.PutSpec{Parent: folder, Name: fmt.Sprintf("video%03d", i), Size: videoLen, Mtime: time.Now()})
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

// sequential reads a file to its end and gives MB/s, and those of the fourth second.
func sequential(path string) (rate, later float64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	return sequentialOf(f)
}

// sequentialOf is sequential of a file that is open, from where it stands.
func sequentialOf(f *os.File) (rate, later float64, err error) {
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

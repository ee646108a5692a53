// Command bench measures megadisk's mount beside the same work on a plain folder and on go-fuse's loopback, in
// one run on one machine, so that the ratios mean something where the figures alone don't.
//
// The server is embedded and unshaped unless -rtt, -conn and -total say otherwise. Each figure is the median of
// -runs. "Cold" means: page cache dropped, and for megadisk its own cache removed, too.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

type config struct {
	size  int64
	files int
	runs  int
	rtt   time.Duration
	conn  int64
	total int64
	bin   string
	only  string

	written int64 // size of the large file that is written
	nodes   int   // of the account of the figures of scale
	gib     int   // files of 1 GiB that are written through a small staging
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == noiseCommand {
		if err := serveNoise(os.Args[2], os.Args[3]); err != nil {
			log.Fatal("bench: ", err)
		}
		return
	}
	var c config
	mib := flag.Int64("mib", 256, "size of the large file, MiB")
	writeMib := flag.Int64("write-mib", 1024, "size of the large file of the figures of writing, MiB")
	flag.IntVar(&c.files, "files", 10000, "number of small files")
	flag.IntVar(&c.nodes, "nodes", 1_000_000, "nodes of the account of the figures of scale")
	flag.IntVar(&c.gib, "gib", 8, "files of 1 GiB of the figures of staged")
	flag.IntVar(&c.runs, "runs", 3, "runs of each figure; the median is shown")
	flag.DurationVar(&c.rtt, "rtt", 0, "round trip of the server")
	connMB := flag.Int64("conn", 0, "MB/s of each connection (0: unshaped)")
	totalMB := flag.Int64("total", 0, "MB/s in all (0: unshaped)")
	flag.StringVar(&c.bin, "bin", "bin/megadisk", "the program to measure")
	flag.StringVar(&c.only, "only", "", "only figures whose name contains this (\"reading: \", \"writing: \", \"scale: \", \"staged: \", \"growth: \" for those; the last three only if asked for)")
	flag.StringVar(&record.path, "json", "", "append each figure of reading, writing, scale and staged, and each exponent of growth, to this file, a JSON object a line")
	flag.Parse()
	c.written = *writeMib << 20
	c.size, c.conn, c.total = *mib<<20, *connMB*1e6, *totalMB*1e6
	if err := run(c); err != nil {
		log.Fatal("bench: ", err)
	}
}

// run prints everything. What -only leaves out isn't even prepared.
func run(c config) error {
	work, err := os.MkdirTemp("", "megadisk-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o711); err != nil { // for the loopback without privileges
		return err
	}
	if strings.HasPrefix(c.only, "scale: ") {
		return benchScale(c, work)
	}
	if strings.HasPrefix(c.only, "staged: ") {
		return benchStaged(c, work)
	}
	if strings.HasPrefix(c.only, "growth: ") {
		return benchGrowth(c, work)
	}
	places, err := openPlaces(c, work)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range places {
			p.close()
		}
	}()
	fmt.Printf("%d MiB file, %d small files, median of %d; server: rtt %v, %d MB/s a connection, %d MB/s in all (0: unshaped)\n\n",
		c.size>>20, c.files, c.runs, c.rtt, c.conn/1e6, c.total/1e6)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "figure\tunit\tplain\tloopback\tmegadisk\tmegadisk/plain\tmegadisk/loopback\t")
	for _, m := range measures(c) {
		if !m.wanted(c.only) {
			continue
		}
		values, err := m.measure(c, places)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		row(table, m, values)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := benchWriting(c, places, work); err != nil || strings.HasPrefix(c.only, "writing: ") {
		return err
	}
	return benchReading(c, places)
}

// measure runs m on every place it applies to, the places in turn, and returns the medians by place name.
func (m measure) measure(c config, places []*place) (map[string]float64, error) {
	all := map[string][]float64{}
	for range c.runs {
		for _, p := range places {
			if m.cloudOnly && p.name != "megadisk" {
				continue
			}
			v, err := m.do(c, p)
			if err != nil {
				return nil, fmt.Errorf("on %s: %w", p.name, err)
			}
			all[p.name] = append(all[p.name], v)
		}
	}
	medians := map[string]float64{}
	for name, vs := range all {
		slices.Sort(vs)
		medians[name] = vs[len(vs)/2]
	}
	return medians, nil
}

func row(w *tabwriter.Writer, m measure, v map[string]float64) {
	cell := func(name string) string {
		if x, ok := v[name]; ok {
			return fmt.Sprintf("%.4g", x)
		}
		return "-"
	}
	ratio := func(of string) string {
		if base, ok := v[of]; ok && base > 0 {
			return fmt.Sprintf("%.2f", v["megadisk"]/base)
		}
		return "-"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", m.name, m.unit, cell("plain"), cell("loopback"), cell("megadisk"), ratio("plain"), ratio("loopback"))
}

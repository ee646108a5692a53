// Command docscheck repeats the figures that docs/PERFORMANCE.md marks (package figures), in the bench's quick form, and
// compares. It fails when one is worse than the document says by more than the tolerance that stands there, or isn't
// measured any more. Absolute figures are those of a machine, so their tolerance is wide; ratios are narrow. A single run
// of a second or two can be far off on either side of a ratio, so what doesn't hold is measured again, in three.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"megadisk/integration/figures"
)

// nodes of the account that stands for one of a million, which takes minutes a part.
const nodes = "200000"

// parts of the bench that have marked figures.
var parts = []string{
	"reading: unshaped", "reading: warm", "reading: disk", "reading: shaped", "reading: random", "reading: first byte",
	"reading: small files", "reading: streams", "reading: cryptography",
	"writing: sequential", "writing: random", "writing: tar", "writing: drain", "writing: git clone", "writing: go build", "writing: upload",
	"scale: ", "staged: ", "growth: nodes", "growth: dirty files",
}

func main() {
	page := flag.String("page", "docs/PERFORMANCE.md", "the document")
	mib := flag.String("mib", "512", "size of the large file, MiB: a read of it over the shaped link must last for more than four seconds")
	only := flag.String("only", "", "measure only parts whose name contains this (\"reading: \", \"writing: tar\"); figures of others are left out")
	flag.Parse()
	if err := check(*page, *mib, *only); err != nil {
		log.Fatal("docscheck: ", err)
	}
}

func check(page, mib, only string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	marks, err := figures.Marks(string(text))
	if err != nil {
		return err
	}
	all := map[string]figures.Measured{}
	for _, part := range parts {
		if !strings.Contains(part, only) {
			continue
		}
		found, err := measure(part, mib, 1)
		if err == nil && !hold(marks, found) {
			fmt.Printf("\nNot all of that holds: three times more, %s\n", part)
			found, err = measure(part, mib, 3)
		}
		if err != nil {
			return fmt.Errorf("the bench, %s: %w", part, err)
		}
		maps.Copy(all, found)
	}
	return compare(marks, all, only != "")
}

// hold tells whether all of those marked figures hold that were measured.
func hold(marks []figures.Mark, measured map[string]figures.Measured) bool {
	for _, m := range marks {
		if got, found := measured[m.Name]; found && !m.Holds(got) {
			return false
		}
	}
	return true
}

// measure runs a part of the bench and gives what it found, by the figures' names.
func measure(part, mib string, runs int) (map[string]figures.Measured, error) {
	dir, err := os.MkdirTemp("", "docscheck-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "figures")
	cmd := exec.Command("go", "run", "./integration/bench", "-only", part, "-mib", mib, "-write-mib", mib, "-runs", fmt.Sprint(runs), "-nodes", nodes, "-json", path)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found := map[string]figures.Measured{}
	for lines := json.NewDecoder(f); ; {
		var m figures.Measured
		if err := lines.Decode(&m); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		found[m.Name] = m
	}
}

// compare prints a row for each figure that is claimed; some: others than those measured are left out.
func compare(marks []figures.Mark, measured map[string]figures.Measured, some bool) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nfigure\tin the document\ttolerance\tmeasured\tholds")
	worse, compared := 0, 0
	for _, m := range marks {
		got, found := measured[m.Name]
		if !found && some {
			continue
		}
		value, holds := "-", "NOT MEASURED"
		if found {
			value, holds = fmt.Sprintf("%.4g", got.Value), "yes"
			if !m.Holds(got) {
				holds = "NO"
			}
		}
		if holds != "yes" {
			worse++
		}
		compared++
		fmt.Fprintf(table, "%s\t%.4g\t%.0f %%\t%s\t%s\n", m.Name, m.Value, 100*m.Tolerance, value, holds)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case worse > 0:
		return fmt.Errorf("%d of %d figures don't hold", worse, compared)
	case compared == 0:
		return errors.New("no marked figure was measured")
	}
	return nil
}

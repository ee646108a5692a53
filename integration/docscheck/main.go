// Command docscheck repeats the figures that docs/PERFORMANCE.md marks (package figures), in the bench's quick form, and
// compares. It fails when one is worse than the document says by more than the tolerance that stands there, or isn't
// measured any more. Absolute figures are those of a machine, so their tolerance is wide; ratios are narrow.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"megadisk/integration/figures"
)

func main() {
	page := flag.String("page", "docs/PERFORMANCE.md", "the document")
	mib := flag.String("mib", "256", "size of the large file, MiB")
	runs := flag.String("runs", "1", "runs of each figure")
	only := flag.String("only", "reading: ,writing: ", "parts of the bench, as its -only; figures of others are left out")
	flag.Parse()
	if err := check(*page, *mib, *runs, strings.Split(*only, ",")); err != nil {
		log.Fatal("docscheck: ", err)
	}
}

func check(page, mib, runs string, parts []string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	marks, err := figures.Marks(string(text))
	if err != nil {
		return err
	}
	measured := map[string]figures.Measured{}
	for _, part := range parts {
		if err := measure(part, mib, runs, measured); err != nil {
			return fmt.Errorf("the bench, %s: %w", part, err)
		}
	}
	return compare(marks, measured)
}

// measure runs a part of the bench and adds what it found.
func measure(part, mib, runs string, to map[string]figures.Measured) error {
	dir, err := os.MkdirTemp("", "docscheck-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "figures")
	cmd := exec.Command("go", "run", "./integration/bench", "-only", part, "-mib", mib, "-write-mib", mib, "-runs", runs, "-json", path)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := json.NewDecoder(f); ; {
		var m figures.Measured
		if err := lines.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		to[m.Name] = m
	}
}

// compare prints a row for each figure that is claimed.
func compare(marks []figures.Mark, measured map[string]figures.Measured) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nfigure\tin the document\ttolerance\tmeasured\tholds")
	worse := 0
	for _, m := range marks {
		got, found := measured[m.Name]
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
		fmt.Fprintf(table, "%s\t%.4g\t%.0f %%\t%s\t%s\n", m.Name, m.Value, 100*m.Tolerance, value, holds)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if worse > 0 {
		return fmt.Errorf("%d of %d figures don't hold", worse, len(marks))
	}
	return nil
}

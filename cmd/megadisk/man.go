package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan writes the manual, from the same texts as --help. It is for the build of packages.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man FOLDER",
		Short:  "Write the manual pages into a folder",
		Hidden: true,
		Args:   exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeManual(cmd.Root(), args[0])
		},
	}
}

// helperPages are the names under which mount(8) and umount(8) call the program.
var helperPages = map[string]string{"mount.megadisk": "megadisk-mount", "umount.fuse.megadisk": "megadisk-unmount"}

func writeManual(root *cobra.Command, dir string) error {
	root.DisableAutoGenTag = true // the same texts make the same pages
	for _, section := range []string{"man1", "man8"} {
		if err := os.MkdirAll(filepath.Join(dir, section), 0o755); err != nil {
			return fmt.Errorf("writing the manual: %w", err)
		}
	}
	header := &doc.GenManHeader{Section: "1", Source: "megadisk " + strings.TrimSpace(version), Manual: "megadisk"}
	if err := doc.GenManTree(root, header, filepath.Join(dir, "man1")); err != nil {
		return fmt.Errorf("writing the manual: %w", err)
	}
	if err := allowBreaks(filepath.Join(dir, "man1")); err != nil {
		return fmt.Errorf("writing the manual: %w", err)
	}
	if err := addExitStatus(filepath.Join(dir, "man1")); err != nil {
		return fmt.Errorf("writing the manual: %w", err)
	}
	for name, page := range helperPages {
		text := fmt.Sprintf(".so man1/%s.1\n", page)
		if err := os.WriteFile(filepath.Join(dir, "man8", name+".8"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing the manual: %w", err)
		}
	}
	return nil
}

// allowBreaks lets a long list that is an option's default go on in the next line, behind each of its colons; lines are
// then of different lengths.
func allowBreaks(dir string) error {
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	for _, page := range pages {
		text, readErr := os.ReadFile(page)
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			switch {
			case line == ".nh":
				lines[i] += "\n.ad l"
			case strings.HasPrefix(line, `\fB--`):
				lines[i] = strings.ReplaceAll(line, ":", `:\:`)
			}
		}
		err = errors.Join(err, readErr, os.WriteFile(page, []byte(strings.Join(lines, "\n")), 0o644))
	}
	return err
}

// addExitStatus gives each page its section on exit statuses.
func addExitStatus(dir string) error {
	table := ".SH EXIT STATUS\n"
	for _, e := range exitMeanings {
		table += fmt.Sprintf(".TP\n.B %d\n%s\n", e.status, strings.NewReplacer("`", "", `\`, `\\`).Replace(e.meaning))
	}
	helper := ".PP\nCalled by mount(8) or umount(8): 0 done, 1 mistake in the call, 8 interrupted, 32 failed.\n"
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	for _, page := range pages {
		text, readErr := os.ReadFile(page)
		section := table
		for _, name := range helperPages {
			if filepath.Base(page) == name+".1" {
				section += helper
			}
		}
		before, after, found := strings.Cut(string(text), ".SH SEE ALSO")
		if found {
			after = "\n.SH SEE ALSO" + after
		}
		err = errors.Join(err, readErr, os.WriteFile(page, []byte(strings.TrimRight(before, "\n")+"\n"+section+after), 0o644))
	}
	return err
}

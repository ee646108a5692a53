package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"megadisk/cmd/megadisk/internal/control"
)

// eachFound calls fn with all at or below a path in a mount, folders before what is in them.
func (c *common) eachFound(ctx context.Context, where string, fn func(control.Found) error) error {
	process, abs, err := c.holderOf(ctx, where)
	if err != nil {
		return err
	}
	for ask := (control.FindRequest{Path: abs}); ; {
		page, err := process.Find(ctx, ask)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		if ask.After = page.Next; ask.After == nil {
			return nil
		}
	}
}

// findFlags say what is to be found.
type findFlags struct {
	name, kind, newer, larger string
	away                      bool
}

func newFind(c *common) *cobra.Command {
	var f findFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "find PATH",
		Short: "List what lies below PATH, out of the tree and not through the mount",
		Long: `Lists all files and folders at or below a path in a mount, by the tree that is kept here: nothing is downloaded, and no
program that watches the mount notices. On a terminal, what isn't printable in a name is shown as ?. --json prints an
object a line.`,
		Example: "  megadisk find ~/mega --name '*.jpg' --larger 10M\n  megadisk find ~/mega --away --newer 30d",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			return c.eachFound(cmd.Context(), args[0], func(e control.Found) error {
				switch {
				case !wanted(e):
					return nil
				case asJSON:
					return json.NewEncoder(os.Stdout).Encode(e)
				}
				found := path.Join(args[0], e.Path)
				if term.IsTerminal(int(os.Stdout.Fd())) {
					found = shown(found)
				}
				_, err := fmt.Println(found)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&f.name, "name", "", "only what has such a name (*, ? and [] as in a shell)")
	cmd.Flags().StringVar(&f.kind, "type", "", "only files (f) or folders (d)")
	cmd.Flags().StringVar(&f.newer, "newer", "", "only what was changed within such a time, like 30d or 12h")
	cmd.Flags().StringVar(&f.larger, "larger", "", "only files of more than so many bytes, like 10M")
	cmd.Flags().BoolVar(&f.away, "away", false, "only files that are not wholly here")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs: an object a line")
	return cmd
}

// filter tells what is wanted.
func (f findFlags) filter(now time.Time) (func(control.Found) bool, error) {
	if _, err := path.Match(f.name, ""); err != nil {
		return nil, usage("--name is a pattern like *.jpg, not %q", f.name)
	}
	if f.kind != "" && f.kind != "f" && f.kind != "d" {
		return nil, usage("--type is f or d, not %q", f.kind)
	}
	age, err := parseAge(f.newer)
	if err != nil {
		return nil, usage("--newer is a time like 30d or 12h, not %q", f.newer)
	}
	size, err := bytesOf("larger", f.larger)
	if err != nil {
		return nil, err
	}
	return func(e control.Found) bool {
		matches := true
		if f.name != "" {
			matches, _ = path.Match(f.name, path.Base(e.Path))
		}
		return matches && (f.kind == "" || e.Folder == (f.kind == "d")) && (age == 0 || e.Mtime.After(now.Add(-age))) &&
			(f.larger == "" || !e.Folder && e.Size > size) && (!f.away || !e.Folder && e.Here < e.Size)
	}, nil
}

// usageOf is a line of du: what `megadisk du --json` prints.
type usageOf struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	Here  int64  `json:"here"` // of them, bytes that can be read without the network
}

func newDu(c *common) *cobra.Command {
	var asJSON bool
	var depth int
	cmd := &cobra.Command{
		Use:   "du PATH",
		Short: "How much lies below PATH, and how much of it is here",
		Long:  "Adds up the files at or below a path in a mount, out of the tree and not through the mount: nothing is downloaded.",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if depth < 0 {
				return usage("--depth is a number of folders, not %d", depth)
			}
			sums := map[string]*usageOf{}
			err := c.eachFound(cmd.Context(), args[0], func(e control.Found) error { add(sums, e, depth); return nil })
			if err != nil {
				return err
			}
			list := make([]usageOf, 0, len(sums))
			for at, u := range sums {
				u.Path = path.Join(args[0], at)
				list = append(list, *u)
			}
			slices.SortFunc(list, func(a, b usageOf) int { return strings.Compare(a.Path, b.Path) })
			if asJSON {
				return printJSON(os.Stdout, list)
			}
			for _, u := range list {
				fmt.Printf("%10s  %10s here  %8d files  %s\n", humanize.IBytes(uint64(u.Bytes)), humanize.IBytes(uint64(u.Here)), u.Files, shown(u.Path))
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&depth, "depth", "d", 1, "tell also folders, down to so many below PATH")
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

// add counts an entry for every folder above it that is told.
func add(sums map[string]*usageOf, e control.Found, depth int) {
	folder := e.Path
	if !e.Folder {
		folder = path.Dir(e.Path)
	}
	names := strings.Split(folder, "/")
	if folder == "." {
		names = nil
	}
	for n := 0; n <= min(depth, len(names)); n++ {
		at := path.Join(append([]string{"."}, names[:n]...)...)
		if sums[at] == nil {
			sums[at] = &usageOf{}
		}
		if !e.Folder {
			sums[at].Files++
			sums[at].Bytes += e.Size
			sums[at].Here += e.Here
		}
	}
}

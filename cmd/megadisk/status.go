package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
)

func newStatus(c *common) *cobra.Command {
	var asJSON, live bool
	cmd := &cobra.Command{
		Use:   "status [MOUNTPOINT]",
		Short: "Connection, quota, transfers, what is pending and why, cache use",
		Long: `Tells what each process that holds mounts is doing. --watch stays, with bars for what is on its way and whether it is
safe to power off; without a terminal it prints a line when something has changed. docs/STATUS.md describes --json.`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask := func() ([]control.Status, error) { return c.statuses(cmd.Context(), args) }
			if live {
				return watch(cmd.Context(), os.Stdout, asJSON, ask)
			}
			return status(ask, args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs: an array, one object a process")
	cmd.Flags().BoolVarP(&live, "watch", "w", false, "show it live, until Ctrl-C")
	return cmd
}

// statuses asks all processes, or those that show the folder in args.
func (c *common) statuses(ctx context.Context, args []string) ([]control.Status, error) {
	all := []control.Status{}
	for _, process := range c.processes() {
		st, err := process.Status(ctx)
		if err != nil && !control.Alive(process.Path) {
			continue // it died meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("asking for the status: %w", err)
		}
		if len(args) == 1 {
			abs, err := paths.Real(args[0])
			if err != nil {
				return nil, err
			}
			if mountOf(st, abs) == "" {
				continue
			}
		}
		all = append(all, st)
	}
	return all, nil
}

func status(ask func() ([]control.Status, error), args []string, asJSON bool) error {
	all, err := ask()
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	if len(all) == 0 {
		if len(args) == 1 {
			return fmt.Errorf("%s is not a folder that megadisk shows", args[0])
		}
		fmt.Println("Nothing is mounted.")
		for _, point := range serve.DeadMounts() {
			fmt.Printf("! The process that showed %s has died: mounting there again shows it, with all that isn't in the cloud yet.\n", shown(point))
		}
	}
	for _, st := range all {
		printStatus(os.Stdout, st)
	}
	return nil
}

func printStatus(w io.Writer, st control.Status) {
	fmt.Fprintf(w, "%s", st.Account)
	if st.Quota.Total > 0 {
		fmt.Fprintf(w, "  %s of %s used", humanize.IBytes(uint64(st.Quota.Used)), humanize.IBytes(uint64(st.Quota.Total)))
	}
	fmt.Fprintln(w)
	for _, m := range st.Mounts {
		fmt.Fprintf(w, "  %s\n", mountLine(m))
	}
	switch {
	case st.Problem != "":
		fmt.Fprintf(w, "  ! %s\n", st.Problem)
	case st.Offline != nil:
		fmt.Fprintf(w, "  offline since %s\n", st.Offline.Local().Format(time.DateTime))
	case st.Online:
		fmt.Fprintln(w, "  online")
	}
	for _, n := range st.Notices {
		fmt.Fprintf(w, "  ! %s\n", shown(n))
	}
	printPending(w, st)
	printHereOnly(w, st.HereOnly)
	for _, f := range st.Interrupted {
		fmt.Fprintf(w, "  ! was being written when the last run was killed, and may be incomplete: %s\n", shown(f.Path))
	}
	fmt.Fprintf(w, "  cache: %s", humanize.IBytes(uint64(st.Cache.Bytes)))
	if st.Cache.Limit > 0 {
		fmt.Fprintf(w, " of %s", humanize.IBytes(uint64(st.Cache.Limit)))
	}
	if st.Cache.Degraded != "" {
		fmt.Fprintf(w, " (%s)", st.Cache.Degraded)
	}
	fmt.Fprintln(w)
	printReading(w, st)
}

func printPending(w io.Writer, st control.Status) {
	if st.Pending.Changes == 0 {
		fmt.Fprintln(w, "  everything is in the cloud")
		return
	}
	fmt.Fprintf(w, "  pending: %d changes, %s\n", st.Pending.Changes, humanize.IBytes(uint64(st.Pending.Bytes)))
	for _, t := range st.Transfer {
		percent := 0
		if t.Size > 0 {
			percent = int(t.Done * 100 / t.Size)
		}
		fmt.Fprintf(w, "    up %3d%%  %s  %s/s\n", percent, shown(t.Path), humanize.IBytes(uint64(t.Rate)))
	}
	for _, ch := range st.Pending.Items {
		if ch.Reason != "" {
			fmt.Fprintf(w, "    held: %s  %s: %s\n", ch.What, shown(ch.Path), shown(ch.Reason))
		}
	}
}

// printHereOnly names what stays on this machine because of its name.
func printHereOnly(w io.Writer, here control.HereOnly) {
	if here.Files == 0 {
		return
	}
	fmt.Fprintf(w, "  on this machine only, because of their names: %d files\n", here.Files)
	for _, f := range here.Items {
		fmt.Fprintf(w, "    %s\n", shown(f.Path))
	}
	if n := here.Files - len(here.Items); n > 0 {
		fmt.Fprintf(w, "    and %d more\n", n)
	}
}

// printReading tells what was fetched, what of it for nothing, and what is kept.
func printReading(w io.Writer, st control.Status) {
	if st.Cache.Fetched > 0 {
		fmt.Fprintf(w, "  downloaded: %s, of which %s ahead of need and not read\n",
			humanize.IBytes(uint64(st.Cache.Fetched)), humanize.IBytes(uint64(st.Cache.Unasked)))
	}
	if st.NoTransfer != nil {
		fmt.Fprintf(w, "  ! no transfer quota for %s: what is not cached can't be read until then\n",
			time.Until(*st.NoTransfer).Round(time.Second))
	}
	if st.LittleTransfer > 0 {
		fmt.Fprintf(w, "  ! little transfer quota is left (%s): nothing is fetched ahead of need\n", humanize.IBytes(uint64(st.LittleTransfer)))
	}
	for _, p := range st.Pinned {
		if p.Counting {
			fmt.Fprintf(w, "  pinned:       %s  (being counted)\n", shown(p.Path))
			continue
		}
		percent := int64(100)
		if p.Bytes > 0 {
			percent = p.Here * 100 / p.Bytes
		}
		fmt.Fprintf(w, "  pinned: %3d%%  %s  (%d files, %s)", percent, shown(p.Path), p.Files, humanize.IBytes(uint64(p.Bytes)))
		if p.Problem != "" {
			fmt.Fprintf(w, ": %s", p.Problem)
		}
		fmt.Fprintln(w)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newLog(c *common) *cobra.Command {
	var account string
	var live, asJSON bool
	var last int
	cmd := &cobra.Command{
		Use:   "log",
		Short: "What happened to files: uploaded, moved, in conflict, restored, refused",
		Long: `Tells what happened to files and folders, the last of it last: what went to the cloud, what the cloud refused and why,
what was changed here and elsewhere at once, what others deleted or replaced of what is here. The last 10,000 are kept,
encrypted, in the state. --json prints an object a line.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if last < 0 {
				return usage("--number is how many to show, not %d", last)
			}
			process, err := c.processOf(cmd.Context(), account)
			if err != nil {
				return err
			}
			return showLog(cmd.Context(), os.Stdout, process, last, live, asJSON)
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "e-mail address of the account (needed if several are mounted)")
	cmd.Flags().BoolVarP(&live, "follow", "f", false, "go on with what happens from now on, until Ctrl-C")
	cmd.Flags().IntVarP(&last, "number", "n", 20, "how many to show (0: all)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs: an object a line")
	return cmd
}

// showLog prints the last of what happened and, live, what happens then.
func showLog(ctx context.Context, out io.Writer, process *control.Client, last int, live, asJSON bool) error {
	ask := control.LogRequest{Last: last}
	for {
		list, err := process.Log(ctx, ask)
		var refusal *control.Error
		ended := errors.As(err, &refusal) && refusal.Ending || err != nil && !control.Alive(process.Path)
		if live && (ended || ctx.Err() != nil) {
			return nil // the last folder was unmounted, or Ctrl-C
		}
		if err != nil {
			return err
		}
		for _, h := range list {
			if err := printHappening(out, h, asJSON); err != nil {
				return err
			}
			ask.After = h.Number
		}
		if len(list) == 0 && !live {
			return nil
		}
		ask.Last, ask.Wait = 0, live
	}
}

func printHappening(out io.Writer, h control.Happening, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(h)
	}
	line := fmt.Sprintf("%s  %-17s  %s", h.Time.Local().Format(time.DateTime), h.What, shown(h.Path))
	if h.More != "" {
		line += "  (" + shown(h.More) + ")"
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/paths"
)

func newFlush(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "flush [PATH]",
		Short: "Return when everything, or PATH, is in the cloud",
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return flushPath(cmd.Context(), c, args[0])
			}
			return flushAll(cmd.Context(), c)
		},
	}
}

func flushPath(ctx context.Context, c *common, path string) error {
	abs, err := paths.Real(path)
	if err != nil {
		return err
	}
	process, _, err := c.holder(ctx, abs)
	if err != nil {
		return err
	}
	if process == nil {
		return fmt.Errorf("%s is not in a folder that megadisk shows: `megadisk status` lists them", path)
	}
	return withProgress(ctx, process, func() error { return process.Flush(ctx, abs) })
}

func flushAll(ctx context.Context, c *common) error {
	all := c.processes()
	if len(all) == 0 {
		return fmt.Errorf("nothing is mounted: what is pending goes up with the next `megadisk mount`")
	}
	for _, process := range all {
		if err := withProgress(ctx, process, func() error { return process.Flush(ctx, "") }); err != nil {
			return err
		}
	}
	return nil
}

// processes are all that answer.
func (c *common) processes() []*control.Client {
	var all []*control.Client
	for _, socket := range c.dirs().Sockets() {
		if process, ok := control.Dial(socket); ok {
			all = append(all, process)
		}
	}
	return all
}

// withProgress runs do, showing on a terminal how much is still pending, and anywhere why it takes so long when the
// server can't be reached.
func withProgress(ctx context.Context, process *control.Client, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	out := io.Discard
	if term.IsTerminal(int(os.Stderr.Fd())) {
		out = os.Stderr
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("uploading"), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	var most int64
	warned := false
	for {
		select {
		case err := <-done:
			_ = bar.Finish()
			return err
		case <-tick.C:
			st, err := process.Status(ctx)
			if err != nil {
				continue // do() will say what is wrong
			}
			if st.Offline != nil && !warned {
				warned = true
				_ = bar.Clear()
				fmt.Fprintln(os.Stderr, "megadisk: the server can't be reached: waiting for it (Ctrl-C stops waiting; what is pending stays on this disk)")
			}
			left := st.Pending.Bytes
			for _, t := range st.Transfer {
				left -= t.Done
			}
			most = max(most, left)
			bar.ChangeMax64(max(most, 1))
			_ = bar.Set64(most - left)
			bar.Describe(fmt.Sprintf("uploading, %d changes left", st.Pending.Changes))
		}
	}
}

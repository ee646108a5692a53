package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/paths"
)

func newFlush(c *common) *cobra.Command {
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "flush [PATH]",
		Short: "Return when everything, or PATH, is in the cloud",
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return flushPath(cmd.Context(), c, args[0], patience)
			}
			return flushAll(cmd.Context(), c, patience)
		},
	}
	addTimeout(cmd.Flags(), &patience)
	return cmd
}

// addTimeout adds the flag that says how long to wait for the cloud.
func addTimeout(f *pflag.FlagSet, patience *time.Duration) {
	f.DurationVar(patience, "timeout", 0, "wait no longer than that, like 90s or 10m (default: without limit)")
}

func flushPath(ctx context.Context, c *common, path string, patience time.Duration) error {
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
	return withProgress(ctx, patience, process, func(ctx context.Context) error { return process.Flush(ctx, abs) })
}

func flushAll(ctx context.Context, c *common, patience time.Duration) error {
	all := c.processes()
	if len(all) == 0 {
		return fmt.Errorf("nothing is mounted: what is pending goes up with the next `megadisk mount`")
	}
	for _, process := range all {
		err := withProgress(ctx, patience, process, func(ctx context.Context) error { return process.Flush(ctx, "") })
		if err != nil {
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

// withProgress runs do, for at most so long (0: without limit), showing on a terminal how much is still pending, and
// anywhere why it takes so long.
func withProgress(ctx context.Context, patience time.Duration, process *control.Client, do func(context.Context) error) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if patience > 0 {
		limited, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(limited) }()
	p := newProgress()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			_ = p.bar.Finish()
			if err != nil && limited.Err() != nil && ctx.Err() == nil {
				return outOfPatience(ctx, process, patience)
			}
			return err
		case <-tick.C:
			if st, err := process.Status(ctx); err == nil { // else do() will say what is wrong
				p.show(st)
			}
		}
	}
}

// outOfPatience says what is left when the time is over, and why as far as it is known.
func outOfPatience(ctx context.Context, process *control.Client, patience time.Duration) error {
	st, err := process.Status(ctx)
	if err != nil {
		return fmt.Errorf("asking for the status: %w", err)
	}
	why := ""
	if reason := whyWaiting(st); reason != "" {
		why = ": " + reason
	}
	return &control.Error{Exit: exitPending, Message: fmt.Sprintf(
		"after %v %d changes are not in the cloud yet%s (they stay on this disk, and go on)", patience, st.Pending.Changes, why)}
}

// whyWaiting is what keeps changes from going up, "" if nothing is known to.
func whyWaiting(st control.Status) string {
	switch {
	case st.Problem != "" && st.Braked == 0: // nobody waits for the brake
		return st.Problem
	case st.Offline != nil:
		return "the server can't be reached"
	}
	return ""
}

// progress shows how far an upload is.
type progress struct {
	bar  *progressbar.ProgressBar
	most int64
	said string // the last reason given
}

func newProgress() *progress {
	out := io.Discard
	if term.IsTerminal(int(os.Stderr.Fd())) {
		out = os.Stderr
	}
	return &progress{bar: progressbar.NewOptions64(-1, progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("uploading"), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))}
}

func (p *progress) show(st control.Status) {
	if why := whyWaiting(st); why != "" && why != p.said {
		_ = p.bar.Clear()
		fmt.Fprintf(os.Stderr, "megadisk: %s: waiting for it (Ctrl-C stops waiting; what is pending stays on this disk)\n", why)
		p.said = why
	}
	left := st.Pending.Bytes
	for _, t := range st.Transfer {
		left -= t.Done
	}
	p.most = max(p.most, left)
	p.bar.ChangeMax64(max(p.most, 1))
	_ = p.bar.Set64(p.most - left)
	p.bar.Describe(fmt.Sprintf("uploading, %d changes left", st.Pending.Changes))
}

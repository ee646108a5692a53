package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/paths"
)

func newVerify(c *common) *cobra.Command {
	var accept, asJSON bool
	cmd := &cobra.Command{
		Use:   "verify PATH",
		Short: "Compare all of PATH with what its keys say, and read what never was",
		Long: `Reads a file, or everything below a folder, and tells what is not what it should be.
What was found right before, when it was read or verified, or was sent from here, is not read again until it changes; the
report counts it. To have all of it read from the cloud, unmount, remove the cache's folder, and mount again.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			process, abs, err := c.holderOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if accept {
				return acceptPath(cmd.Context(), process, abs)
			}
			return verifyPath(cmd.Context(), process, abs, asJSON)
		},
	}
	cmd.Flags().BoolVar(&accept, "accept", false, "let files be read all the same that were found wrong")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs: one object")
	return cmd
}

// holderOf finds the process that shows a path.
func (c *common) holderOf(ctx context.Context, path string) (*control.Client, string, error) {
	abs, err := paths.Real(path)
	if err != nil {
		return nil, "", err
	}
	process, _, err := c.holder(ctx, abs)
	if err != nil {
		return nil, "", err
	}
	if process == nil {
		return nil, "", fmt.Errorf("%s is not in a folder that megadisk shows: `megadisk status` lists them", path)
	}
	return process, abs, nil
}

func acceptPath(ctx context.Context, process *control.Client, path string) error {
	n, err := process.Accept(ctx, path)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("nothing there was found wrong: run `megadisk verify` first")
	}
	fmt.Printf("%d files that do not match their keys can be read now.\n", n)
	return nil
}

func verifyPath(ctx context.Context, process *control.Client, path string, asJSON bool) error {
	tell := func(control.VerifyProgress) {}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionSetDescription("verifying"), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
		defer func() { _ = bar.Finish() }()
		tell = func(p control.VerifyProgress) {
			bar.ChangeMax64(max(p.AllBytes, 1))
			_ = bar.Set64(p.Bytes)
			bar.Describe(fmt.Sprintf("verifying, %d of %d files", p.Files, p.AllFiles))
		}
	}
	report, err := process.Verify(ctx, path, tell)
	if err != nil {
		return err
	}
	if asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			return err
		}
	} else {
		printReport(report)
	}
	if len(report.Wrong) > 0 {
		return fmt.Errorf("%d files are not what their keys say: `megadisk verify --accept PATH` lets them be read all the same", len(report.Wrong))
	}
	if len(report.Unreadable) > 0 {
		return fmt.Errorf("%d files could not be read: try again later", len(report.Unreadable))
	}
	return nil
}

func printReport(r control.VerifyReport) {
	fmt.Printf("verified: %d files, %s\n", r.Verified, humanize.IBytes(uint64(r.Bytes)))
	if r.Before > 0 {
		fmt.Printf("of these found right before, or sent from here, and not read again: %d files\n", r.Before)
	}
	if r.Accepted > 0 {
		fmt.Printf("accepted although they do not match: %d files\n", r.Accepted)
	}
	if r.Pending > 0 {
		fmt.Printf("not in the cloud yet: %d files\n", r.Pending)
	}
	for _, path := range r.Wrong {
		fmt.Printf("WRONG: %s\n", shown(path))
	}
	for _, u := range r.Unreadable {
		fmt.Printf("unreadable: %s: %s\n", shown(u.Path), shown(u.Reason))
	}
}

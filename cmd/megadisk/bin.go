package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newBin(c *common) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "bin",
		Short: "The Rubbish Bin: list it, take something out of it, empty it",
		Args:  onlyCommands,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&account, "account", "", "e-mail address of the account (needed if several are mounted)")
	cmd.AddCommand(newBinList(c, &account), newBinRestore(c, &account), newBinEmpty(c, &account))
	return cmd
}

// processOf is the process of an account, or the only one.
func (c *common) processOf(ctx context.Context, account string) (*control.Client, error) {
	var found []*control.Client
	for _, process := range c.processes() {
		st, err := process.Status(ctx)
		if err != nil && control.Alive(process.Path) { // it may be the one that is meant
			return nil, fmt.Errorf("asking for the status: %w", err)
		}
		if err == nil && (st.Account == account || account == "" && !strings.Contains(st.Account, "://")) { // a link is no account
			found = append(found, process)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, usage("several accounts are mounted: say which with --account")
	case account != "":
		return nil, fmt.Errorf("nothing of %s is mounted: `megadisk mount` first", account)
	}
	return nil, fmt.Errorf("nothing is mounted: `megadisk mount` first")
}

func newBinList(c *common, account *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what lies in the bin",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			process, err := c.processOf(cmd.Context(), *account)
			if err != nil {
				return err
			}
			list, err := process.Bin(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(os.Stdout, list)
			}
			if len(list) == 0 {
				fmt.Println("The bin is empty.")
			}
			for _, e := range list {
				size, from := "folder", ""
				if !e.Folder {
					size = humanize.IBytes(uint64(max(e.Size, 0)))
				}
				if e.From != "" {
					from = "  (from " + shown(e.From) + ")"
				}
				fmt.Printf("%s  %10s  %s%s\n", e.Since.Local().Format(time.DateTime), size, shown(e.Name), from)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

func newBinRestore(c *common, account *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore NAME",
		Short: "Move something from the bin back to where it was",
		Long: `Moves what "megadisk bin list" shows under NAME back to the folder that it was in,
or to the top of the drive if that is gone.`,
	}
	return restores(c, account, cmd, func(ctx context.Context, process *control.Client, name, to string) (string, error) {
		return process.RestoreFromBin(ctx, control.BinRestore{Name: name, To: to})
	})
}

// restores makes a command of one that brings something back, to where it was or with --to elsewhere, and tells its path.
func restores(c *common, account *string, cmd *cobra.Command,
	do func(ctx context.Context, process *control.Client, what, to string) (path string, err error)) *cobra.Command {
	var asJSON bool
	var to string
	cmd.Args = exactly(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		process, err := c.processOf(cmd.Context(), *account)
		if err != nil {
			return err
		}
		folder := ""
		if to != "" {
			var holder *control.Client
			if holder, folder, err = c.holderOf(cmd.Context(), to); err != nil {
				return err
			}
			if holder.Path != process.Path { // what has that name there is something else
				return usage("--to names a folder of another account")
			}
		}
		path, err := do(cmd.Context(), process, args[0], folder)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(os.Stdout, map[string]string{"path": path})
		}
		fmt.Println("Restored:", shown(path))
		return nil
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	cmd.Flags().StringVar(&to, "to", "", "into this folder of a mount")
	return cmd
}

func newBinEmpty(c *common, account *string) *cobra.Command {
	var asJSON bool
	var older string
	cmd := &cobra.Command{
		Use:   "empty",
		Short: "Remove for good what lies in the bin",
		Long: `Removes for good what lies in the bin, or only what has been there for so long. MEGA doesn't say when something
came into the bin: counted is from when this computer heard of it. What holds something that was changed here, or taken
out of it, stays until the cloud knows of that.`,
		Example: "  megadisk bin empty --older-than 30d",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			atLeast, err := parseAge(older)
			if err != nil {
				return usage("--older-than is a time like 30d or 12h, not %q", older)
			}
			process, err := c.processOf(cmd.Context(), *account)
			if err != nil {
				return err
			}
			n, err := process.EmptyBin(cmd.Context(), atLeast)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(os.Stdout, map[string]int{"removed": n})
			}
			fmt.Printf("Removed for good: %d.\n", n)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	cmd.Flags().StringVar(&older, "older-than", "", "only what has been there for so long, like 30d or 12h")
	return cmd
}

// parseAge reads a length of time, in days too; "" is none.
func parseAge(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = strconv.ErrRange
	}
	return d, err
}

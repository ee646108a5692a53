package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newDebris(c *common) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "debris",
		Short: "Copies of files that were deleted or overwritten elsewhere",
		Long: `When somebody else deletes or overwrites a file that is here whole, a copy of it is kept, encrypted, for 30 days;
all together take at most a tenth of the cache.`,
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&account, "account", "", "e-mail address of the account (needed if several are mounted)")
	cmd.AddCommand(newDebrisList(c, &account), newDebrisRestore(c, &account), newDebrisClear(c, &account))
	return cmd
}

func newDebrisList(c *common, account *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the copies, the oldest first",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			process, err := c.processOf(cmd.Context(), *account)
			if err != nil {
				return err
			}
			list, err := process.Debris(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(os.Stdout, list)
			}
			if len(list) == 0 {
				fmt.Println("There is none.")
			}
			for _, it := range list {
				fmt.Printf("%s  %s  %-8s  %10s  %s\n", it.ID, it.Kept.Local().Format(time.DateTime), it.Why,
					humanize.IBytes(uint64(max(it.Size, 0))), shown(it.Path))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

func newDebrisRestore(c *common, account *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore ID",
		Short: "Make a file of a copy",
		Long: `Makes a file of the copy that "megadisk debris list" shows under ID: in the folder where it was, or at the top of
the drive if that is gone. What has its name now stays; the file then gets another one.`,
	}
	return restores(c, account, cmd, func(ctx context.Context, process *control.Client, id, to string) (string, error) {
		return process.RestoreDebris(ctx, control.DebrisRestore{ID: id, To: to})
	})
}

func newDebrisClear(c *common, account *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "clear [ID...]",
		Short: "Remove copies; without an ID, all",
		Args:  between(0, 1000),
		RunE: func(cmd *cobra.Command, args []string) error {
			process, err := c.processOf(cmd.Context(), *account)
			if err != nil {
				return err
			}
			n, err := process.ClearDebris(cmd.Context(), args)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(os.Stdout, map[string]int{"removed": n})
			}
			fmt.Printf("Removed: %d.\n", n)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newPin(c *common) *cobra.Command {
	return pinning(c, true, (*control.Client).Pin, &cobra.Command{
		Use:   "pin PATH",
		Short: "Keep PATH wholly available offline, new files and versions included",
		Long:  "Returns at once; `megadisk status` shows how much is here. What is pinned is not evicted from the cache.",
	})
}

func newUnpin(c *common) *cobra.Command {
	return pinning(c, false, (*control.Client).Unpin, &cobra.Command{
		Use:   "unpin PATH",
		Short: "Let PATH be evicted from the cache again",
	})
}

// pinning makes a command of what the process that shows a path is to do with it.
func pinning(c *common, on bool, do func(*control.Client, context.Context, string) error, cmd *cobra.Command) *cobra.Command {
	var asJSON bool
	cmd.Args = exactly(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		process, abs, err := c.holderOf(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if err := do(process, cmd.Context(), abs); err != nil || !asJSON {
			return err
		}
		return printJSON(os.Stdout, struct {
			Path   string `json:"path"`
			Pinned bool   `json:"pinned"`
		}{abs, on})
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newPin(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "pin PATH",
		Short: "Keep PATH wholly available offline, new files and versions included",
		Long:  "Returns at once; `megadisk status` shows how much is here. What is pinned is not evicted from the cache.",
		Args:  exactly(1),
		RunE:  onPath(c, (*control.Client).Pin),
	}
}

func newUnpin(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "unpin PATH",
		Short: "Let PATH be evicted from the cache again",
		Args:  exactly(1),
		RunE:  onPath(c, (*control.Client).Unpin),
	}
}

// onPath runs a command on the process that shows a path.
func onPath(c *common, do func(*control.Client, context.Context, string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		process, abs, err := c.holderOf(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return do(process, cmd.Context(), abs)
	}
}

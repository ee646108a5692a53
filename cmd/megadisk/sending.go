package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newRetry(c *common) *cobra.Command {
	return forAll(c, "retry", "Ask the cloud at once for what it has refused", (*control.Client).Retry)
}

func newPause(c *common) *cobra.Command {
	return forAll(c, "pause", "Send nothing until `megadisk resume` or the next mount; everything else goes on", (*control.Client).Pause)
}

func newResume(c *common) *cobra.Command {
	return forAll(c, "resume", "Go on sending after `megadisk pause`", (*control.Client).Resume)
}

func newApprove(c *common) *cobra.Command {
	return forAll(c, "approve", "Let the deletions go that are held back because they are so many", func(p *control.Client, ctx context.Context) error {
		n, err := p.Approve(ctx)
		if err == nil {
			fmt.Printf("%d deletions go to the cloud.\n", n)
		}
		return err
	})
}

func newRevert(c *common) *cobra.Command {
	return forAll(c, "revert", "Bring back the files whose deletions are held back", func(p *control.Client, ctx context.Context) error {
		n, err := p.Revert(ctx)
		if err == nil {
			fmt.Printf("%d files and folders are back.\n", n)
		}
		return err
	})
}

// forAll is a command that tells all processes one thing.
func forAll(c *common, use, short string, tell func(*control.Client, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := c.processes()
			if len(all) == 0 {
				return fmt.Errorf("nothing is mounted: what is pending goes up with the next `megadisk mount`")
			}
			for _, process := range all {
				if err := tell(process, cmd.Context()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

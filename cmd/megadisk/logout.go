package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
)

func newLogout(c *common) *cobra.Command {
	var discard bool
	cmd := &cobra.Command{
		Use:   "logout [EMAIL]",
		Short: "End the session, here and on the server",
		Long:  `Refuses while something is mounted, or while changes made here are not yet in the cloud.`,
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return logout(cmd.Context(), c, append(args, "")[0], discard)
		},
	}
	cmd.Flags().BoolVar(&discard, "discard", false, "log out even if changes are not yet in the cloud; they stay on this disk for the next login")
	return cmd
}

func logout(ctx context.Context, c *common, who string, discard bool) error {
	client, err := c.resume(ctx, who)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := endProcess(ctx, c, client, discard); err != nil {
		return err
	}
	// A session that the server has already ended is as good as logged out.
	if err := client.Logout(ctx); err != nil && !errors.Is(err, megaclient.ESID) {
		return fmt.Errorf("ending the session on the server: %w", err)
	}
	st, err := c.store()
	if err != nil {
		return err
	}
	if err := st.Forget(client.Session()); err != nil {
		return err
	}
	fmt.Printf("Logged out %s.\n", client.Session().Email)
	return nil
}

// endProcess asks the account's process to end, or, if none runs, looks at the state itself.
func endProcess(ctx context.Context, c *common, client *megaclient.Client, discard bool) error {
	socket, err := c.socket(client)
	if err != nil {
		return err
	}
	if process, ok := control.Dial(socket); ok {
		st, err := process.Status(ctx)
		if err == nil {
			err = process.Logout(ctx, discard)
		}
		if err == nil {
			printHereOnly(os.Stdout, st.HereOnly)
		}
		return err
	}
	if discard {
		return nil
	}
	n, here, err := serve.PendingOnDisk(ctx, c.serveOptions(client))
	if err != nil {
		return err
	}
	printHereOnly(os.Stdout, here)
	if n > 0 {
		return &serve.PendingError{Changes: n}
	}
	return nil
}

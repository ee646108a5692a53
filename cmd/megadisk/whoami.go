package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func newWhoami(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "whoami [EMAIL]",
		Short: "Who is logged in, and how full the account is",
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.resume(cmd.Context(), append(args, "")[0])
			if err != nil {
				return err
			}
			defer client.Close()
			client.Hurry()
			who, err := client.Account(cmd.Context())
			if err != nil {
				return fmt.Errorf("asking the server: %w", err)
			}
			quota, err := client.Quota(cmd.Context())
			if err != nil {
				return fmt.Errorf("asking the server: %w", err)
			}
			if asJSON {
				return json.NewEncoder(os.Stdout).Encode(map[string]any{
					"email": who.Email, "name": who.Name, "user": who.User, "total": quota.Total, "used": quota.Used})
			}
			fmt.Printf("%s (%s)\n%s of %s used\n", shown(who.Email), shown(who.Name), humanize.IBytes(uint64(quota.Used)), humanize.IBytes(uint64(quota.Total)))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

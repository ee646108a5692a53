package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newLink(c *common) *cobra.Command {
	var remove, asJSON bool
	cmd := &cobra.Command{
		Use:   "link PATH",
		Short: "Make a public link to a file or folder, or take it back",
		Long: `Makes a public link to a file or folder: whoever has it can read that, without an account. What is not yet in the
cloud goes up first. A link to a folder shows what is in it later too. A link to a file shows the version of now:
MEGA binds it to that version's key, so that after the next save a new link has to be made.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			process, abs, err := c.holderOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			link, err := process.Link(cmd.Context(), control.LinkRequest{Path: abs, Remove: remove})
			switch {
			case err != nil:
				return err
			case asJSON && remove:
				return printJSON(os.Stdout, map[string]bool{"removed": true})
			case asJSON:
				return printJSON(os.Stdout, map[string]string{"link": link})
			case remove:
				fmt.Println("The link is taken back.")
			default:
				fmt.Println(link)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take the link back")
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newLink(c *common) *cobra.Command {
	var remove, asJSON bool
	var expire string
	cmd := &cobra.Command{
		Use:   "link PATH",
		Short: "Make a public link to a file or folder, or take it back",
		Long: `Makes a public link to a file or folder: whoever has it can read that, without an account. What is not yet in the
cloud goes up first. A link to a folder shows what is in it later too. A link to a file shows the version of now:
MEGA binds it to that version's key, so that after the next save a new link has to be made.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			age, err := parseAge(expire)
			if err != nil || remove && expire != "" {
				return usage("--expire is a time from now, like 30d or 12h, and goes without --remove; not %q", expire)
			}
			var ends time.Time
			if age > 0 {
				ends = time.Now().Add(age)
			}
			process, abs, err := c.holderOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			link, err := process.Link(cmd.Context(), control.LinkRequest{Path: abs, Remove: remove, Expires: ends})
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
	cmd.Flags().StringVar(&expire, "expire", "", "let it end after such a time, like 30d or 12h (MEGA: paid accounts only)")
	cmd.Flags().BoolVar(&remove, "remove", false, "take the link back")
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

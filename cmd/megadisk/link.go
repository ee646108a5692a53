package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/credentials"
	"megadisk/megaclient/megacrypto"
)

func newLink(c *common) *cobra.Command {
	var remove, asJSON bool
	var password credentials.Sources
	var expire string
	cmd := &cobra.Command{
		Use:   "link PATH",
		Short: "Make a public link to a file or folder, or take it back",
		Long: `Makes a public link to a file or folder: whoever has it can read that, without an account. What is not yet in the
cloud goes up first. A link to a folder shows what is in it later too. A link to a file shows the version of now:
MEGA binds it to that version's key, so that after the next save a new link has to be made. With --password-file, what
is printed opens only with the password; MEGA doesn't know of that, and the same link without it still works.`,
		Example: "  megadisk link ~/mega/report.pdf --expire 30d\n  megadisk link ~/mega/Photos --password-file ~/secret",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			age, err := parseAge(expire)
			if err != nil || expire != "" && age == 0 {
				return usage("--expire is a time from now, like 30d or 12h, not %q", expire)
			}
			if remove && expire != "" {
				return usage("--expire goes without --remove")
			}
			if remove && password.Password != "" {
				return usage("--password-file goes without --remove")
			}
			given, _, err := whatIsGiven(cmd.Context(), password)
			if err != nil {
				return err
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
			if err == nil && given.Password != "" {
				link, err = seal(link, given.Password)
			}
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
	cmd.Flags().StringVar(&password.Password, "password-file", "", "let it open only with the password in the first line of this file (-: standard input)")
	cmd.Flags().StringVar(&expire, "expire", "", "let it end after such a time, like 30d or 12h (MEGA: paid accounts only)")
	cmd.Flags().BoolVar(&remove, "remove", false, "take the link back")
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

// seal puts a password on a link.
func seal(text, password string) (string, error) {
	link, err := megacrypto.ParseLink(text)
	if err != nil {
		return "", fmt.Errorf("putting a password on the link: %w", err)
	}
	return megacrypto.SealLink(link, password)
}

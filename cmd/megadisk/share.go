package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/megaclient/megacrypto"
)

// shareFlags say what is to be done with whom.
type shareFlags struct {
	access, fingerprint string
	remove, asJSON      bool
}

func newShare(c *common) *cobra.Command {
	var f shareFlags
	cmd := &cobra.Command{
		Use:   "share PATH [EMAIL]",
		Short: "Share a folder with a contact, or list who has access",
		Long: `Lets a contact of the account into a folder, with other rights if they are in it already, or takes the access back with
--remove. Without an address it lists who has access. What is not yet in the cloud goes up first.

A folder can be shared from here once it has a key for others: one that was never shared, nor has had a link, is to be
shared once in MEGA's web client. The key is given only to somebody whose own keys the account's MEGA clients have met
before. For others, and when somebody's keys are no longer the same, a fingerprint is shown: that of the credentials which
MEGA's apps show. When they say, by another way than MEGA, that these are theirs, --fingerprint tells that to megadisk.`,
		Example: "  megadisk share ~/mega/Photos ben@example.com\n  megadisk share ~/mega/Photos ben@example.com --access full\n  megadisk share ~/mega/Photos",
		Args:    between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.request(cmd, args)
			if err != nil {
				return err
			}
			process, abs, err := c.holderOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r.Path = abs
			switch {
			case r.Email == "":
				return f.list(cmd.Context(), process, r)
			case f.remove:
				return f.end(cmd.Context(), process, r)
			}
			return f.begin(cmd.Context(), process, r)
		},
	}
	cmd.Flags().StringVar(&f.access, "access", "read", "what they may do: read, write (add things) or full (change everything)")
	cmd.Flags().StringVar(&f.fingerprint, "fingerprint", "", "their credentials, as they have told them to you")
	cmd.Flags().BoolVar(&f.remove, "remove", false, "take the access back")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, jsonHelp)
	return cmd
}

// request reads the arguments, but for the path.
func (f *shareFlags) request(cmd *cobra.Command, args []string) (r control.ShareRequest, err error) {
	if f.access != "read" && f.access != "write" && f.access != "full" {
		return r, usage("--access is read, write or full, not %q", f.access)
	}
	r.Level = f.access
	if len(args) > 1 {
		r.Email = args[1]
	}
	given := cmd.Flags().Changed("access") || f.fingerprint != ""
	if r.Email == "" && (f.remove || given) {
		return r, usage("say with whom: megadisk share PATH EMAIL")
	}
	if f.remove && given {
		return r, usage("--remove goes without --access and --fingerprint")
	}
	if f.fingerprint != "" {
		credentials, err := megacrypto.ParseCredentials(f.fingerprint)
		if err != nil {
			return r, usage("%v, not %q", err, f.fingerprint)
		}
		r.Credentials = &credentials
	}
	return r, nil
}

func (f *shareFlags) list(ctx context.Context, process *control.Client, r control.ShareRequest) error {
	list, err := process.Shares(ctx, r.Path)
	switch {
	case err != nil:
		return err
	case f.asJSON:
		return printJSON(os.Stdout, list)
	case len(list) == 0:
		fmt.Println("Nobody else has access, but for who may have a link.")
	}
	for _, a := range list {
		fmt.Printf("%-5s  %s\n", a.Level, shown(a.Email))
	}
	return nil
}

func (f *shareFlags) begin(ctx context.Context, process *control.Client, r control.ShareRequest) error {
	done, err := process.Share(ctx, r)
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(os.Stdout, done)
	}
	how := "met by your MEGA clients before; nobody has compared it"
	if done.Compared {
		how = "compared"
	}
	fmt.Printf("%s has access now (%s). Their key: %s (%s).\n", shown(done.Email), done.Level, done.Fingerprint, how)
	return nil
}

func (f *shareFlags) end(ctx context.Context, process *control.Client, r control.ShareRequest) error {
	if err := process.Unshare(ctx, r); err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(os.Stdout, map[string]bool{"removed": true})
	}
	fmt.Printf("%s has no access any more.\n", shown(r.Email))
	return nil
}

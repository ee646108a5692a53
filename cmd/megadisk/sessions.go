package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
)

// manySessions is how many are more than anybody needs: MEGA slows down accounts with very many.
const manySessions = 20

func newSessions(c *common) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "The programs and browsers that are logged in: list them, close some",
		Args:  onlyCommands,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&account, "account", "", "e-mail address of the account (default: the last login)")
	cmd.AddCommand(newSessionsList(c, &account), newSessionsClose(c, &account))
	return cmd
}

// sessionLine is what `megadisk sessions list --json` prints for each.
type sessionLine struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Used    time.Time `json:"used"`
	Program string    `json:"program"`
	Address string    `json:"address"`
	Country string    `json:"country"`
	Current bool      `json:"current"`
}

func newSessionsList(c *common, account *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the account's sessions",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.resume(cmd.Context(), *account)
			if err != nil {
				return err
			}
			defer client.Close()
			client.Hurry()
			all, err := client.Sessions(cmd.Context())
			if err != nil {
				return err
			}
			list := make([]sessionLine, 0, len(all))
			for _, s := range all {
				list = append(list, sessionLine(s))
			}
			if asJSON {
				return printJSON(os.Stdout, list)
			}
			for _, s := range list {
				mark := " "
				if s.Current {
					mark = "*"
				}
				fmt.Printf("%s %s  used %s  %s  %s %s\n", mark, shown(s.ID), s.Used.Local().Format(time.DateTime), shown(s.Address), shown(s.Country), shown(s.Program))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

func newSessionsClose(c *common, account *string) *cobra.Command {
	var others, asJSON bool
	cmd := &cobra.Command{
		Use:   "close [ID...]",
		Short: "Log programs and browsers out, by the ID that the list shows, or all others",
		Long:  "Ends sessions on the server. The one that this program uses is left: `megadisk logout` ends that.",
		Args:  between(0, 1000),
		RunE: func(cmd *cobra.Command, args []string) error {
			if others == (len(args) > 0) {
				return usage("say which: an ID of `megadisk sessions list`, or --others")
			}
			client, err := c.resume(cmd.Context(), *account)
			if err != nil {
				return err
			}
			defer client.Close()
			client.Hurry()
			n, err := closeSessions(cmd.Context(), client, args)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(os.Stdout, map[string]int{"closed": n})
			}
			fmt.Printf("Closed: %d.\n", n)
			return nil
		},
	}
	cmd.Flags().BoolVar(&others, "others", false, "all but the one of this program")
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

// dashedID is the ID of a session that looks like flags.
var dashedID = regexp.MustCompile(`^-[A-Za-z0-9_-]{10}$`)

// idsLast puts IDs of sessions that begin with a dash, as one in 64 does, where they are no flags: behind all others, and "--".
// Of the flags that every command has, some are as long as an ID.
func idsLast(args []string, flags *pflag.FlagSet) []string {
	at := slices.Index(args, "close")
	if at < 1 || !slices.Contains(args[:at], "sessions") || slices.Contains(args, "--") {
		return args
	}
	var others, ids []string
	for _, a := range args {
		if dashedID.MatchString(a) && flags.Lookup(a[2:]) == nil {
			ids = append(ids, a)
		} else {
			others = append(others, a)
		}
	}
	if len(ids) == 0 {
		return args
	}
	return slices.Concat(others, []string{"--"}, ids)
}

// closeSessions ends the sessions with these ids, or, of none, all but the client's own.
func closeSessions(ctx context.Context, client *megaclient.Client, ids []string) (n int, err error) {
	all, err := client.Sessions(ctx)
	if err != nil {
		return 0, err
	}
	known, others := map[string]megaclient.OpenSession{}, []string{}
	for _, s := range all {
		if known[s.ID] = s; !s.Current {
			others = append(others, s.ID)
		}
	}
	if len(ids) == 0 {
		ids = others
	}
	for _, id := range ids {
		s, is := known[id]
		switch {
		case !is:
			return n, &serve.NotThereError{Sentence: fmt.Sprintf("there is no session %s: `megadisk sessions list` shows them", shown(id))}
		case s.Current:
			return n, usage("%s is the session that this program uses: `megadisk logout` ends it", id)
		}
		if err := client.EndSession(ctx, id); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// warnOfSessions says after a login that there are very many sessions. A server that doesn't say is no trouble.
func warnOfSessions(ctx context.Context, client *megaclient.Client) {
	if all, err := client.Sessions(ctx); err == nil && len(all) > manySessions {
		fmt.Fprintf(os.Stderr, "megadisk: this account is logged in %d times: `megadisk sessions` lists and closes what nobody needs\n", len(all))
	}
}

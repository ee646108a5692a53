package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newConfig(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "What the configuration says",
		Args:  onlyCommands,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShow(c))
	return cmd
}

func newConfigShow(c *common) *cobra.Command {
	var asJSON bool
	m := &mountFlags{}
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Every option, its value for a mount made now, and where that comes from",
		Long: `Prints a configuration file with every option. Options are taken from the command line, else from the environment
(MEGADISK_UMASK for umask), else from the configuration file ($XDG_CONFIG_HOME/megadisk/config.toml, root's is
/etc/megadisk.toml), else they have their default.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.blame(m.check()); err != nil {
				return err
			}
			if _, err := c.logger(); err != nil {
				return c.blame(err)
			}
			if _, err := c.store(); err != nil {
				return c.blame(err)
			}
			return showConfig(os.Stdout, cmd.Flags(), c.origins, asJSON)
		},
	}
	m.add(cmd.Flags())
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Hidden = true }) // they can be tried, but belong to mount
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs: an array, one object an option")
	return cmd
}

// setting is one option of `config show --json`.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

func showConfig(w io.Writer, flags *pflag.FlagSet, from origins, asJSON bool) error {
	all := []setting{}
	for _, name := range names(allOptions()) {
		f := flags.Lookup(name)
		origin := from[name]
		if origin == "" {
			origin = "default"
		}
		all = append(all, setting{f.Name, f.Value.String(), origin})
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	for _, s := range all {
		text := s.Value
		if kind := flags.Lookup(s.Name).Value.Type(); kind != "bool" && kind != "int" {
			text = strconv.Quote(text)
		}
		if _, err := fmt.Fprintf(w, "%-40s # %s\n", s.Name+" = "+text, s.From); err != nil {
			return err
		}
	}
	return nil
}

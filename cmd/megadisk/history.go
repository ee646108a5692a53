package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

// printJSON prints what a program reads.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

const jsonHelp = "for programs: JSON"

func newVersions(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "versions PATH",
		Short: "List the earlier versions of a file, the oldest first",
		Long: `Lists the earlier versions of a file, the oldest first. Each can be read, without restoring it,
as .mega/versions/PATH/TIME in the mounted folder.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			process, abs, err := c.holderOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			list, err := process.Versions(cmd.Context(), abs)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(os.Stdout, list)
			}
			if len(list) == 0 {
				fmt.Println("There are no earlier versions.")
			}
			for _, v := range list {
				fmt.Printf("%s  %10s\n", v.Time, humanize.IBytes(uint64(max(v.Size, 0))))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

func newRestore(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore PATH@TIME",
		Short: "Give a file the content that it had in an earlier version",
		Long: `Gives a file the content that it had in an earlier version. TIME is as "megadisk versions" shows it.
What the file holds now becomes a version itself, so that this can be undone.`,
		Example: "  megadisk restore ~/mega/report.odt@2026-11-29T23:51:02Z",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at := strings.LastIndex(args[0], "@")
			if at <= 0 || at == len(args[0])-1 {
				return usage("say PATH@TIME, with a time that `megadisk versions PATH` shows, not %q", args[0])
			}
			process, abs, err := c.holderOf(cmd.Context(), args[0][:at])
			if err != nil {
				return err
			}
			v, err := process.RestoreVersion(cmd.Context(), control.RestoreRequest{Path: abs, Time: args[0][at+1:]})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(os.Stdout, v)
			}
			fmt.Printf("Restored: %s as it was saved at %s.\n", shown(args[0][:at]), v.Time)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

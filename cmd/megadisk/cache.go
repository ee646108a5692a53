package main

import (
	"fmt"
	"os"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
)

func newFree(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "free PATH",
		Short: "Give back the disk space that the content of PATH takes",
		Long: `Takes what lies at or below a path in a mount out of the cache. It is still in the cloud and comes again when it is
read. What is pinned stays, and so does what is not in the cloud yet.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			process, abs, err := c.holderOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			bytes, err := process.Free(cmd.Context(), abs)
			return tellFreed(bytes, err, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

func tellFreed(bytes int64, err error, asJSON bool) error {
	switch {
	case err != nil:
		return err
	case asJSON:
		return printJSON(os.Stdout, map[string]int64{"freed": bytes})
	}
	fmt.Printf("Freed: %s.\n", humanize.IBytes(uint64(bytes)))
	return nil
}

func newCache(c *common) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "What is kept here of the cloud's content: look at it, clear it",
		Args:  onlyCommands,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&account, "account", "", "e-mail address of the account (needed if several are mounted)")
	cmd.AddCommand(newCacheShow(c, &account), newCacheClear(c, &account))
	return cmd
}

func newCacheShow(c *common, account *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "How full the cache is, and how much it helps",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			process, err := c.processOf(cmd.Context(), *account)
			if err != nil {
				return err
			}
			st, err := process.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(os.Stdout, st.Cache)
			}
			printCache(st)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

func printCache(st control.Status) {
	size := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
	limit := "without a limit"
	if st.Cache.Limit > 0 {
		limit = "of " + size(st.Cache.Limit)
	}
	fmt.Printf("on disk: %s %s\n", size(st.Cache.Bytes), limit)
	if st.Cache.Degraded != "" {
		fmt.Println("!", st.Cache.Degraded)
	}
	for _, p := range st.Pinned {
		far := "being counted"
		if !p.Counting {
			far = size(p.Here) + " of " + size(p.Bytes)
		}
		fmt.Printf("pinned: %s  %s\n", far, shown(p.Path))
	}
	if all := st.Cache.Hits + st.Cache.Misses; all > 0 {
		fmt.Printf("answered from here: %d %% of %d reads\n", st.Cache.Hits*100/all, all)
	}
	fmt.Printf("downloaded: %s, of which %s ahead of need and not read\n", size(st.Cache.Fetched), size(st.Cache.Unasked))
}

func newCacheClear(c *common, account *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Give back the disk space of everything that is not pinned",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			process, err := c.processOf(cmd.Context(), *account)
			if err != nil {
				return err
			}
			bytes, err := process.Free(cmd.Context(), "")
			return tellFreed(bytes, err, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

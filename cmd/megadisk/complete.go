package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/options"
)

// What the Tab key gives in a shell, where it is more than a local path: mount points, folders of the drive, versions
// of a file, what is in the bin. Processes that hold mounts are asked, never a server.

// completionPatience is how long a person at a prompt waits for that.
const completionPatience = 2 * time.Second

// choices are completions that may go on with what is written, and those that end a word.
const (
	endsWord = cobra.ShellCompDirectiveNoFileComp
	goesOn   = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
)

// complete tells all commands below root what their arguments and options can be.
func (c *common) complete(root *cobra.Command) {
	for path, fn := range map[string]cobra.CompletionFunc{
		"mount":          c.completeMount,
		"unmount":        first(c.completePoints),
		"status":         first(c.completePoints),
		"restore":        first(c.completeVersions),
		"bin restore":    first(c.completeBin),
		"debris restore": first(c.completeDebris),
		"debris clear":   c.completeDebris,
		"login":          first(c.completeEmails),
		"logout":         first(c.completeEmails),
		"whoami":         first(c.completeEmails),
		"doctor":         cobra.NoFileCompletions,
	} {
		cmd, _, _ := root.Find(strings.Fields(path))
		cmd.ValidArgsFunction = fn
	}
	for flag, fn := range map[string]cobra.CompletionFunc{
		"account":    c.completeEmails,
		"options":    completeOptions,
		"keyring":    cobra.FixedCompletions([]string{"file", "wait", "fail"}, endsWord),
		"log-level":  cobra.FixedCompletions([]string{"error", "warn", "info", "debug", "trace"}, endsWord),
		"log-format": cobra.FixedCompletions([]string{"text", "json"}, endsWord),
		"type":       cobra.FixedCompletions([]string{"f", "d"}, endsWord),
		"access":     cobra.FixedCompletions([]string{"read", "write", "full"}, endsWord),
		"state-dir":  onlyFolders, "cache-dir": onlyFolders, "to": onlyFolders, "export": onlyFolders,
	} {
		registerFlag(root, flag, fn)
	}
	mendBash(root)
}

// registerFlag tells each command that has such an option what it can be.
func registerFlag(cmd *cobra.Command, flag string, fn cobra.CompletionFunc) {
	if cmd.Flags().Lookup(flag) != nil || cmd.PersistentFlags().Lookup(flag) != nil {
		_ = cmd.RegisterFlagCompletionFunc(flag, fn) // fails only when it is done twice
	}
	for _, below := range cmd.Commands() {
		registerFlag(below, flag, fn)
	}
}

// first completes only the first argument.
func first(fn cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, endsWord
		}
		return fn(cmd, args, word)
	}
}

func onlyFolders(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// asked is the context in which others are asked.
func asked(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, completionPatience)
}

func (c *common) completePoints(cmd *cobra.Command, _ []string, _ string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
	ctx, cancel := asked(cmd)
	defer cancel()
	for _, process := range c.processes() {
		st, err := process.Status(ctx)
		if err != nil {
			continue
		}
		for _, m := range st.Mounts {
			list = append(list, cobra.CompletionWithDesc(m.Mountpoint, st.Account+":"+m.Source))
		}
	}
	return list, endsWord
}

func (c *common) completeEmails(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	st, err := c.store()
	if err != nil {
		return nil, endsWord
	}
	return st.Emails(), endsWord
}

// completeMount gives the folders of the drive and the accounts, and, since the source may be left out, local folders.
func (c *common) completeMount(cmd *cobra.Command, args []string, word string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
	if len(args) == 1 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	if len(args) > 1 {
		return nil, endsWord
	}
	email, folder, has := strings.Cut(word, ":")
	if has && strings.Contains(email, "@") {
		return c.foldersOf(cmd, email, email+":", folder), goesOn
	}
	if strings.HasPrefix(word, "/") {
		list = c.foldersOf(cmd, "", "", word)
	}
	emails, _ := c.completeEmails(nil, nil, "")
	for _, email := range emails {
		list = append(list, email+":/")
	}
	return append(list, localFolders(word)...), goesOn
}

// foldersOf lists the folders of an account's drive that begin like path.
func (c *common) foldersOf(cmd *cobra.Command, account, prefix, path string) (list []cobra.Completion) {
	ctx, cancel := asked(cmd)
	defer cancel()
	process, err := c.processOf(ctx, account)
	if err != nil {
		return nil
	}
	parent := path[:strings.LastIndex(path, "/")+1]
	names, err := process.Folders(ctx, strings.TrimSuffix(parent, "/"))
	if err != nil {
		return nil
	}
	if parent == "" {
		parent = "/"
	}
	for _, name := range names {
		if oneLine(name) {
			list = append(list, prefix+parent+name+"/")
		}
	}
	return list
}

// oneLine tells whether a name can be offered: shells get a line each, with a tab before what explains it.
func oneLine(name string) bool { return !strings.ContainsAny(name, "\t\n") }

// localFolders lists the folders here that begin like word.
func localFolders(word string) (list []cobra.Completion) {
	dir, begin := filepath.Split(word)
	where := dir
	if where == "" {
		where = "."
	}
	entries, _ := os.ReadDir(where) // none: nothing to offer
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), begin) && (begin != "" || !strings.HasPrefix(e.Name(), ".")) {
			list = append(list, dir+e.Name()+"/")
		}
	}
	return list
}

// completeVersions gives, behind the @, when a file was saved.
func (c *common) completeVersions(cmd *cobra.Command, _ []string, word string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
	at := strings.LastIndex(word, "@")
	if at < 0 {
		return nil, cobra.ShellCompDirectiveNoSpace
	}
	ctx, cancel := asked(cmd)
	defer cancel()
	process, abs, err := c.holderOf(ctx, word[:at])
	if err != nil {
		return nil, endsWord
	}
	versions, err := process.Versions(ctx, abs)
	if err != nil {
		return nil, endsWord
	}
	for _, v := range versions {
		list = append(list, cobra.CompletionWithDesc(word[:at+1]+v.Time, humanize.IBytes(uint64(max(v.Size, 0)))))
	}
	return list, endsWord
}

func (c *common) completeBin(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completeFrom(c, cmd, (*control.Client).Bin, func(e control.BinEntry) string { return cobra.CompletionWithDesc(e.Name, e.From) })
}

func (c *common) completeDebris(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completeFrom(c, cmd, (*control.Client).Debris, func(e control.DebrisItem) string { return cobra.CompletionWithDesc(e.ID, e.Path) })
}

// completeFrom words what a process lists.
func completeFrom[E any](c *common, cmd *cobra.Command, ask func(*control.Client, context.Context) ([]E, error), word func(E) string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
	ctx, cancel := asked(cmd)
	defer cancel()
	account, _ := cmd.Flags().GetString("account")
	process, err := c.processOf(ctx, account)
	if err != nil {
		return nil, endsWord
	}
	all, err := ask(process, ctx)
	if err != nil {
		return nil, endsWord
	}
	for _, e := range all {
		if w := word(e); !strings.Contains(w, "\n") {
			list = append(list, w)
		}
	}
	return list, endsWord
}

// completeOptions goes on with the list after -o: options of mount, and what others are usual there.
func completeOptions(cmd *cobra.Command, _ []string, word string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
	before := word[:strings.LastIndex(word, ",")+1]
	for _, name := range names(allOptions()) {
		f := cmd.Flags().Lookup(name)
		if f == nil || cmd.InheritedFlags().Lookup(name) != nil {
			continue
		}
		name = strings.ReplaceAll(name, "-", "_")
		if f.NoOptDefVal == "" {
			name += "="
		}
		list = append(list, cobra.CompletionWithDesc(before+name, f.Usage))
	}
	for _, name := range options.Usual {
		list = append(list, before+name)
	}
	return list, goesOn
}

// mendBash makes the script for bash treat @, at which bash ends a word, like the colon: PATH@TIME and EMAIL:/FOLDER are
// one word each.
func mendBash(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, _ := root.Find([]string{"completion", "bash"})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		plain, err := cmd.Flags().GetBool("no-descriptions")
		if err != nil {
			return err
		}
		var script bytes.Buffer
		if err := root.GenBashCompletionV2(&script, !plain); err != nil {
			return fmt.Errorf("writing the completion: %w", err)
		}
		colon := fmt.Sprintf("__%s_handle_special_char \"$cur\" :\n", root.Name())
		_, err = strings.NewReplacer("init_completion -n =:", "init_completion -n =:@", colon, colon+strings.Replace("    "+colon, ":", "@", 1)).
			WriteString(os.Stdout, script.String())
		return err
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/config"
	"megadisk/cmd/megadisk/internal/paths"
)

// Where an option's value comes from: the command line, else the environment (MEGADISK_NAME), else the configuration
// file, else the default.

// origins says where the values of options come from; what isn't in it has its default.
type origins map[string]string

const fromCommandLine = "command line"

// settable are the options that environment and configuration file may give: those of every command and of mount, but
// for what only makes sense on the command line.
func settable(f *pflag.Flag) bool {
	switch f.Name {
	case "help", "config", "options", "foreground":
		return false
	}
	return !f.Hidden
}

// allOptions are these options, with values of their own.
func allOptions() *pflag.FlagSet {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(common).add(set)
	new(mountFlags).add(set)
	return set
}

func names(set *pflag.FlagSet) (list []string) {
	set.VisitAll(func(f *pflag.Flag) {
		if settable(f) {
			list = append(list, f.Name)
		}
	})
	return list
}

// variable is the environment variable of an option.
func variable(name string) string {
	return "MEGADISK_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// configPath is the configuration file, and whether it must be there.
func (c *common) configPath() (path string, must bool) {
	if c.config == "" {
		return paths.Config(), false
	}
	return c.config, true
}

// takes tells whether a command takes an option of mount: another one's flag of that name means something else.
func takes(cmd, option string) bool {
	switch cmd {
	case "mount", "login", "show":
		return true
	}
	everywhere := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(common).add(everywhere)
	return everywhere.Lookup(option) != nil
}

// settle gives the options of flags that the command line doesn't give their values from environment and file.
func (c *common) settle(cmd string, flags *pflag.FlagSet) (origins, error) {
	path, must := c.configPath()
	all := allOptions()
	file, err := config.Read(path, must, names(all))
	if err != nil {
		return nil, usage("%v", err)
	}
	from := origins{}
	for _, name := range names(all) {
		f := flags.Lookup(name)
		if !takes(cmd, name) {
			f = nil
		}
		text, inEnv := os.LookupEnv(variable(name))
		value, inFile := file[name]
		switch {
		case f != nil && f.Changed:
			from[name] = fromCommandLine
			continue
		case inEnv && text != "":
			from[name] = variable(name)
		case inFile:
			from[name], text = fmt.Sprintf("%s:%d", path, value.Line), value.Text
		default:
			continue
		}
		if f == nil { // of another command: a mistake in it is one all the same
			f = all.Lookup(name)
		}
		if err := f.Value.Set(text); err != nil {
			return nil, usage("%s: %s: %v", from[name], name, err)
		}
	}
	return from, nil
}

// prepare settles the options of a command before it runs. What ends or shows mounts works also when the file is
// broken, on what it doesn't say.
func (c *common) prepare(cmd *cobra.Command) error {
	var err error
	if c.config != "" {
		if c.config, err = filepath.Abs(c.config); err != nil {
			return fmt.Errorf("finding the working directory: %w", err)
		}
	}
	c.origins, err = c.settle(cmd.Name(), cmd.Flags())
	switch cmd.Name() {
	case "unmount", "status", "flush", "doctor":
		if err != nil {
			fmt.Fprintf(os.Stderr, "megadisk: %v; going on without it\n", err)
			err = nil
		}
	}
	if err != nil {
		return err
	}
	if _, err := c.pins(); err != nil {
		return c.blame(err)
	}
	return c.absolute()
}

// blame adds, to what is wrong with an option's value, where the value comes from.
func (c *common) blame(err error) error {
	var mistake *usageError
	if !errors.As(err, &mistake) || !strings.HasPrefix(mistake.msg, "--") {
		return err
	}
	name, _, _ := strings.Cut(mistake.msg[2:], " ")
	from := c.origins[strings.TrimSuffix(name, ":")]
	if from == "" || from == fromCommandLine {
		return err
	}
	return usage("%s: %s", from, mistake.msg[2:])
}

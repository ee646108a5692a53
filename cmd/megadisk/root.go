package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/account"
	"megadisk/cmd/megadisk/internal/metrics"
	"megadisk/cmd/megadisk/internal/options"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/megaclient"
)

// defaultAPI is MEGA's own server.
const defaultAPI = "https://g.api.mega.co.nz"

// version is set by the release build.
var version = "dev"

// common are the flags of every command.
type common struct {
	apiURL    string
	pin       string
	stateDir  string
	cacheDir  string
	keyring   string
	logLevel  string
	logFormat string
	config    string
	front     bool          // SIGHUP means that the terminal was closed
	origins   origins       // of the options' values
	reading   *readingFlags // of a mount; nil: of another command
	staging   *stagingFlags // the same
	sending   *sendingFlags // the same
	desktop   *desktopFlags // the same
	log       *logrus.Logger
	metrics   *metrics.Metrics // nil: nobody asked for them
	metricsAt string
	notify    bool // show messages on the desktop
}

// newRoot builds the command tree.
func newRoot() *cobra.Command {
	c := &common{front: hangsUp()}
	root := &cobra.Command{
		Use:   "megadisk",
		Short: "A MEGA cloud drive as a folder",
		Long: `megadisk mounts a MEGA cloud drive as a folder that any program can use:
reads start at once, writes go to the local disk and then to the cloud,
and everything works offline.`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              onlyCommands,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.prepare(cmd) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		meant := ""
		if errors.As(err, &unknown) {
			meant = perhaps(unknown.GetSpecifiedName(), cmd.Flags())
		}
		return usage("%v%s: see `%s --help`", err, meant, cmd.CommandPath())
	})
	c.add(root.PersistentFlags())

	root.AddCommand(newLogin(c), newLogout(c), newWhoami(c), newMount(c), newUnmount(c), newStatus(c), newFlush(c), newVerify(c),
		newPin(c), newUnpin(c), newDoctor(c), newConfig(c), newMan(), newDemo(c))
	root.AddCommand(newVersions(c), newRestore(c), newBin(c), newDebris(c), newLink(c), newShare(c), newLog(c))
	root.AddCommand(newGet(c), newPut(c), newImport(c), newFree(c), newFind(c), newDu(c), newCache(c), newSessions(c))
	root.AddCommand(newRetry(c), newPause(c), newResume(c), newApprove(c), newRevert(c), newExportPending(c))
	root.SetHelpCommand(newHelp())
	c.complete(root)
	return root
}

// onlyCommands is for a command that does nothing but have others below it: what follows it is no command.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	_, group, _ := strings.Cut(cmd.CommandPath()+" ", " ")
	return usage("there is no command %q%s: see `%s --help`", group+args[0], perhapsCommand(cmd, args[0]), cmd.CommandPath())
}

// perhapsCommand names the command that was meant, if one is like it.
func perhapsCommand(group *cobra.Command, name string) string {
	var known []string
	for _, cmd := range group.Commands() {
		if cmd.IsAvailableCommand() {
			known = append(known, cmd.Name())
		}
	}
	if best := options.Nearest(name, known); best != "" {
		return fmt.Sprintf(" (did you mean %s?)", best)
	}
	return ""
}

// add adds the options of every command.
func (c *common) add(f *pflag.FlagSet) {
	f.StringVar(&c.apiURL, "api-url", defaultAPI, "the MEGA API to talk to")
	f.StringVar(&c.pin, "pin", "", "the API's key: its SHA-256 as hex or sha256//BASE64, several with ; between (default: any with a certificate that holds)")
	f.StringVar(&c.stateDir, "state-dir", "", "where the state is kept (default: the user's state folder)")
	f.StringVar(&c.cacheDir, "cache-dir", "", "where blocks are cached (default: the user's cache folder)")
	f.StringVar(&c.config, "config", os.Getenv("MEGADISK_CONFIG"), "the configuration file (default: config.toml in the user's configuration folder)")
	f.StringVar(&c.keyring, "keyring", "", "where the session is kept: the desktop's keyring if there is one (wait: for one that is locked; fail: don't), or file")
	f.StringVar(&c.logLevel, "log-level", "info", "error, warn, info, debug or trace")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
}

// exactly is cobra.ExactArgs with a sentence that helps.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func between(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return usage("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// absolute makes the folders independent of the working directory, which the process in the background leaves.
func (c *common) absolute() (err error) {
	for _, dir := range []*string{&c.stateDir, &c.cacheDir} {
		if *dir == "" {
			continue
		}
		if *dir, err = filepath.Abs(*dir); err != nil {
			return fmt.Errorf("finding the working directory: %w", err)
		}
	}
	return nil
}

func (c *common) dirs() paths.Dirs { return paths.New(c.stateDir, c.cacheDir) }

// store is where sessions of the API host are kept.
func (c *common) store() (account.Store, error) {
	host, err := paths.Host(c.apiURL)
	if err != nil {
		return account.Store{}, usage("%v", err)
	}
	switch account.Keyring(c.keyring) {
	case account.Auto, account.File, account.Wait, account.Fail:
	default:
		return account.Store{}, usage("--keyring is file, wait, fail or empty, not %q", c.keyring)
	}
	return account.Store{Dir: filepath.Join(c.dirs().State, host), Host: host, Keyring: account.Keyring(c.keyring)}, nil
}

// client is the configuration of the protocol client.
func (c *common) client(log logrus.FieldLogger) megaclient.Config {
	cfg := megaclient.Config{APIURL: c.apiURL, UserAgent: "megadisk/" + version, Log: log}
	cfg.Pins, _ = c.pins() // checked before
	if c.reading != nil {
		cfg = c.reading.client(cfg)
	}
	if c.metrics != nil {
		cfg.Observe = c.metrics.Command
	}
	if c.sending != nil {
		cfg = c.sending.client(cfg)
	}
	return cfg
}

// pins are the keys that the API may have; none: any.
func (c *common) pins() ([]megaclient.Pin, error) {
	if c.pin == "" {
		return nil, nil
	}
	pins, err := megaclient.ParsePins(c.pin)
	if err != nil {
		return nil, usage("--pin: %v", err)
	}
	return pins, nil
}

// resume opens the stored session of an account ("" is the default one) without asking the server.
func (c *common) resume(ctx context.Context, who string) (*megaclient.Client, error) {
	st, err := c.store()
	if err != nil {
		return nil, err
	}
	s, err := st.Load(ctx, who)
	if err != nil {
		return nil, err
	}
	log, err := c.logger()
	if err != nil {
		return nil, err
	}
	client, err := megaclient.Resume(c.client(log), s)
	if err != nil {
		return nil, fmt.Errorf("resuming the session: %w", err)
	}
	return client, nil
}

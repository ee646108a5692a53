package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/daemon"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

// mountFlags are the options of mount; -o takes the same words.
type mountFlags struct {
	foreground bool
	account    string
	readOnly   bool
	allowOther bool
	umask      string
	debug      bool
	reading    readingFlags
	options    []string
}

func newMount(c *common) *cobra.Command {
	m := &mountFlags{}
	cmd := &cobra.Command{
		Use:   "mount [SOURCE] MOUNTPOINT",
		Short: "Show the drive, or one folder of it (/Remote/Folder), at MOUNTPOINT",
		Long: `Returns when the mount answers, and goes on in the background; with -f it stays in front.
A second mount of the same account is handed to the process that holds the first.`,
		Example: "  megadisk mount ~/mega\n  megadisk mount /Photos ~/photos -o read-only",
		Args:    between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.takeOptions(cmd); err != nil {
				return err
			}
			source := ""
			if len(args) == 2 {
				source = args[0]
			}
			return mount(cmd, c, m, source, args[len(args)-1])
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&m.foreground, "foreground", "f", false, "stay in front; Ctrl-C unmounts")
	f.StringVar(&m.account, "account", "", "e-mail address of the account (default: the last login)")
	f.BoolVar(&m.readOnly, "read-only", false, "refuse all changes")
	f.BoolVar(&m.allowOther, "allow-other", false, "let other users in (needs user_allow_other in /etc/fuse.conf)")
	f.StringVar(&m.umask, "umask", "", "octal; taken from the modes 0666 and 0777 (default: this shell's)")
	f.BoolVar(&m.debug, "debug", false, "log every request of the kernel, without names and content")
	m.reading.add(f)
	f.StringArrayVarP(&m.options, "options", "o", nil, "options as for mount(8): the words of the long flags, comma-separated")
	return cmd
}

// takeOptions turns -o a,b=c into the flags of the same names.
func (m *mountFlags) takeOptions(cmd *cobra.Command) error {
	for _, list := range m.options {
		for _, word := range strings.Split(list, ",") {
			name, value, has := strings.Cut(word, "=")
			if name = strings.ReplaceAll(name, "_", "-"); name == "" || name == "rw" {
				continue
			}
			if name == "ro" {
				name = "read-only"
			}
			if !has {
				value = "true"
			}
			if cmd.Flags().Lookup(name) == nil || name == "options" {
				return usage("unknown mount option %q: see `megadisk mount --help`", word)
			}
			if err := cmd.Flags().Set(name, value); err != nil {
				return usage("mount option %q: %v", word, err)
			}
		}
	}
	return nil
}

func (m *mountFlags) request(source, point string) (control.MountRequest, error) {
	if point == "" {
		return control.MountRequest{}, usage("the mount point is empty: see `megadisk mount --help`")
	}
	real, err := paths.Real(point)
	if err != nil {
		return control.MountRequest{}, err
	}
	if err := checkSource(source); err != nil {
		return control.MountRequest{}, err
	}
	mask, err := parseUmask(m.umask)
	if err != nil {
		return control.MountRequest{}, err
	}
	return control.MountRequest{Source: source, Mountpoint: real, ReadOnly: m.readOnly, AllowOther: m.allowOther, Umask: mask, Debug: m.debug}, nil
}

// checkSource finds mistakes in what is to be mounted.
func checkSource(source string) error {
	if source == "" || strings.HasPrefix(source, "/") {
		return nil
	}
	if !strings.Contains(source, "://") {
		return usage("the source is a folder of the drive and begins with a slash (/Photos), not %q", source)
	}
	// The link holds its key, so it isn't repeated.
	if _, err := megacrypto.ParseLink(source); err != nil {
		return usage("the source is no MEGA link, or not all of it (its key follows the #): copy it again, in quotes")
	}
	return usage("this version mounts folders of an account (/Photos), not links yet")
}

func mount(cmd *cobra.Command, c *common, m *mountFlags, source, point string) error {
	ctx := cmd.Context()
	req, err := m.request(source, point)
	if err != nil {
		return err
	}
	if err := serve.CheckMountpoint(req.Mountpoint); err != nil {
		return err
	}
	if err := m.reading.check(); err != nil {
		return err
	}
	c.reading = &m.reading
	client, err := c.resume(m.account)
	if err != nil {
		return err
	}
	defer client.Close()
	socket, err := c.socket(client)
	if err != nil {
		return err
	}
	if process, ok := control.Dial(socket); ok {
		taken, err := handOver(ctx, process, req)
		if err != nil || taken {
			return err
		}
	}
	if !m.foreground {
		return inBackground(ctx, c, client, backgroundArgs(cmd.Flags(), source, req.Mountpoint))
	}
	if daemon.Child() {
		if err := os.Chdir("/"); err != nil { // else the folder where it was started could not be unmounted
			return fmt.Errorf("leaving the working directory: %w", err)
		}
	}
	return hold(ctx, c, client, socket, req, daemon.Ready)
}

// handOver gives the mount point to the process that holds the account's other mounts. It is not taken when
// that process is about to end: handOver then returns once it has ended.
func handOver(ctx context.Context, process *control.Client, req control.MountRequest) (taken bool, err error) {
	pid, err := process.PID()
	if err != nil {
		return false, nil // it ended this moment
	}
	err = process.Mount(ctx, req)
	var refusal *control.Error
	if errors.As(err, &refusal) && refusal.Ending {
		return false, control.AwaitEnd(ctx, pid)
	}
	return true, err
}

// backgroundArgs is the command line of the process in the background: the flags that were given, wherever they
// stood and also in -o, and --foreground.
func backgroundArgs(flags *pflag.FlagSet, source, point string) []string {
	args := []string{"mount"}
	flags.Visit(func(f *pflag.Flag) {
		if f.Name != "options" && f.Name != "foreground" {
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	args = append(args, "--foreground", "--")
	if source != "" {
		args = append(args, source)
	}
	return append(args, point)
}

// inBackground starts this program again with args.
func inBackground(ctx context.Context, c *common, client *megaclient.Client, args []string) error {
	host, err := paths.Host(c.apiURL)
	if err != nil {
		return err
	}
	state, _, err := c.dirs().Account(host, string(client.Session().User))
	if err != nil {
		return err
	}
	return daemon.Start(ctx, args, filepath.Join(state, "megadisk.log"))
}

// hold is the process that holds the mounts of an account, until the last one is gone or a signal comes. It
// calls ready when the first one answers.
func hold(ctx context.Context, c *common, client *megaclient.Client, socket string, req control.MountRequest, ready func()) error {
	serve.NoDumps()
	p, err := serve.Open(ctx, c.serveOptions(client))
	if err != nil {
		return err
	}
	server, err := control.Serve(socket, p, describe)
	if err != nil {
		return errors.Join(err, p.Close())
	}
	if err := p.Mount(ctx, req); err != nil {
		server.Close()
		return errors.Join(err, p.Close())
	}
	ready()
	p.Wait(ctx)
	err = p.Close()
	server.Close()
	return err
}

// socket is the path of the control socket of the client's account.
func (c *common) socket(client *megaclient.Client) (string, error) {
	host, err := paths.Host(c.apiURL)
	if err != nil {
		return "", usage("%v", err)
	}
	return c.dirs().Socket(host, string(client.Session().User))
}

// serveOptions says where the account's stores are and who writes the log.
func (c *common) serveOptions(client *megaclient.Client) serve.Options {
	log, _ := c.logger() // checked when the client was resumed
	host, _ := paths.Host(c.apiURL)
	o := serve.Options{Client: client, Dirs: c.dirs(), Host: host, Log: log}
	if c.reading != nil {
		o = c.reading.serve(o)
	}
	return o
}

func parseUmask(text string) (uint32, error) {
	if text == "" {
		return serve.Umask(), nil
	}
	mask, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mask > 0o777 {
		return 0, usage("--umask is octal, like 022, not %q", text)
	}
	return uint32(mask), nil
}

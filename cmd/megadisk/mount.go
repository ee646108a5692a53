package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/daemon"
	"megadisk/cmd/megadisk/internal/metrics"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
)

func newMount(c *common) *cobra.Command {
	m := &mountFlags{}
	cmd := &cobra.Command{
		Use:   "mount [SOURCE] MOUNTPOINT",
		Short: "Show the drive, or one folder of it, at MOUNTPOINT",
		Long: `SOURCE is a folder of the drive (/Photos) or of an account (anna@example.com:/Photos); without it, the whole drive
of the last login is shown. It may also be a public link to a folder or file, which needs no account and is read-only;
"-" takes the link from standard input, so that no list of processes shows its key. Returns when the mount answers, and goes on in the background; with -f it stays in front.
A second mount of the same account is handed to the process that holds the first.`,
		Example: "  megadisk mount ~/mega\n  megadisk mount /Photos ~/photos -o ro\n  megadisk mount 'https://mega.nz/folder/HANDLE#KEY' ~/shared\n  mount -t megadisk anna@example.com:/Photos /mnt/photos -o uid=anna",
		Args:    between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.takeOptions(cmd); err != nil {
				return err
			}
			source := ""
			if len(args) == 2 {
				source = args[0]
			}
			return c.blame(mount(cmd, c, m, source, args[len(args)-1]))
		},
	}
	m.add(cmd.Flags())
	return cmd
}

func mount(cmd *cobra.Command, c *common, m *mountFlags, source, point string) error {
	ctx := cmd.Context()
	source, err := readSource(ctx, source)
	if err != nil {
		return err
	}
	if source, err = openSealed(ctx, source, m.login); err != nil {
		return err
	}
	req, from, err := m.request(source, point)
	if err != nil {
		return err
	}
	if from.isLink && serve.Shows(req.Mountpoint, from.device) {
		return nil // mount -a doesn't know a link again, whose key it has and the kernel's list hasn't
	}
	if err := serve.CheckMountpoint(req.Mountpoint); err != nil {
		return err
	}
	if err := m.reading.check(); err != nil {
		return err
	}
	if err := m.staging.check(); err != nil {
		return err
	}
	if err := m.sending.check(); err != nil {
		return err
	}
	if err := m.desktop.check(); err != nil {
		return err
	}
	if c.metricsAt, err = m.metricsAddress(); err != nil {
		return err
	}
	c.reading, c.staging, c.sending, c.desktop = &m.reading, &m.staging, &m.sending, &m.desktop
	c.notify = m.notify
	if c.metricsAt != "" {
		c.metrics = metrics.New()
	}
	client, err := c.clientFor(ctx, from, m.login)
	if err != nil {
		return err
	}
	defer client.Close()
	if m.fake {
		return nil
	}
	socket, err := c.socket(client)
	if err != nil {
		return err
	}
	var turn *control.Turn // that of who started this process, if it is the one in the background
	if !daemon.Child() {
		if turn, err = control.AwaitTurn(ctx, socket); err != nil {
			return err
		}
		defer turn.End()
	}
	if process, ok := control.Dial(socket); ok {
		taken, err := handOver(ctx, process, req)
		if err != nil {
			return err
		}
		if taken && m.foreground {
			turn.End()
			return standBeside(ctx, process, req.Mountpoint)
		}
		if taken {
			return answers(ctx, req.Mountpoint)
		}
	}
	if !m.foreground {
		stdin := ""
		if link, is := client.Link(); is {
			source, stdin = fromStdin, link.String()
		}
		if err := inBackground(ctx, c, client, stdin, backgroundArgs(cmd.Flags(), m, source, req.Mountpoint)); err != nil {
			return err
		}
		return answers(ctx, req.Mountpoint)
	}
	if daemon.Child() {
		if err := os.Chdir("/"); err != nil { // else the folder where it was started could not be unmounted
			return fmt.Errorf("leaving the working directory: %w", err)
		}
		if err := c.logToFile(client); err != nil {
			return err
		}
	}
	return hold(ctx, c, client, socket, req, func() {
		turn.End()
		daemon.Ready()
	})
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
func backgroundArgs(flags *pflag.FlagSet, m *mountFlags, source, point string) []string {
	args := []string{"mount"}
	for _, name := range m.kernel {
		args = append(args, "--options="+name)
	}
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

// logFile is where a process in the background says what it does, in its account's state folder.
const logFile = "megadisk.log"

// inBackground starts this program again with args and a line of standard input.
func inBackground(ctx context.Context, c *common, client *megaclient.Client, stdin string, args []string) error {
	host, err := paths.Host(c.apiURL)
	if err != nil {
		return err
	}
	state, _, err := c.dirs().Account(host, string(client.Session().User))
	if err != nil {
		return err
	}
	return daemon.Start(ctx, args, stdin, filepath.Join(state, logFile))
}

// firstLook bounds how long a mount that is ready may take to tell its root's attributes.
const firstLook = 30 * time.Second

// answers returns when the mount answers a question for its root, as any program may ask it.
func answers(ctx context.Context, point string) error {
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	looked := make(chan error, 1)
	go func() { // a stat can't be interrupted; it ends with the program
		_, err := os.Stat(point)
		looked <- err
	}()
	select {
	case err := <-looked:
		if err != nil {
			return &serve.MountpointError{Path: point, Problem: fmt.Sprintf("it is mounted but doesn't answer (%v)", errors.Unwrap(err))}
		}
		return nil
	case <-ctx.Done():
		return &serve.MountpointError{Path: point, Problem: "it is mounted but doesn't answer"}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"megadisk/cmd/megadisk/internal/account"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
)

// The demo's account. It exists only on the embedded server, which listens on this machine only.
const (
	demoEmail    = "demo@example.com"
	demoPassword = "demo"
)

func newDemo(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "demo [MOUNTPOINT]",
		Short: "Try it without an account: an embedded MEGA server, mounted; Ctrl-C unmounts",
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			point := filepath.Join(os.TempDir(), "megadisk-demo")
			if len(args) == 1 {
				point = args[0]
			}
			return demo(cmd.Context(), c, point)
		},
	}
}

func demo(ctx context.Context, c *common, point string) (err error) {
	err = os.MkdirAll(point, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTCONN) { // a mount that died is seen to below
		return &serve.MountpointError{Path: point, Problem: err.Error()}
	}
	work, err := os.MkdirTemp("", "megadisk-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	server := megatest.NewServer(megatest.WithDir(filepath.Join(work, "server")))
	defer server.Close()
	furnish(server.AddAccount(demoEmail, demoPassword))

	// The demo has state of its own; only the control socket is where the other commands look for it.
	mine := *c
	mine.apiURL, mine.keyring = server.URL(), string(account.File)
	mine.stateDir, mine.cacheDir = filepath.Join(work, "state"), filepath.Join(work, "cache")
	log, err := mine.logger()
	if err != nil {
		return err
	}
	client, err := megaclient.Login(ctx, mine.client(log), demoEmail, demoPassword, "")
	if err != nil {
		return fmt.Errorf("logging in to the demo's server: %w", err)
	}
	defer client.Close()
	var flags mountFlags
	flags.add(pflag.NewFlagSet("demo", pflag.ContinueOnError)) // for what they are when nobody sets them
	req, _, err := flags.request("", point)
	if err != nil {
		return err
	}
	if err := serve.CheckMountpoint(req.Mountpoint); err != nil {
		return err
	}
	socket, err := mine.socket(client)
	if err != nil {
		return err
	}
	return hold(ctx, &mine, client, socket, req, func() { explain(server.URL(), req.Mountpoint) })
}

func furnish(a *megatest.Account) {
	readme := "This folder is a MEGA drive on a server that lives inside this demo.\nWrite here, look at `megadisk status`, run `megadisk flush`.\n"
	a.PutFile(a.Root(), "Read me.txt", []byte(readme), time.Now())
	photos := a.Mkdir(a.Root(), "Photos")
	a.PutFile(a.Mkdir(photos, "2026"), "empty.jpg", nil, time.Now())
	music := make([]byte, 5<<20)
	for i := range music {
		music[i] = byte(i * 7)
	}
	a.PutFile(a.Mkdir(a.Root(), "Music"), "five megabytes.bin", music, time.Now())
}

func explain(url, point string) {
	self, err := os.Executable()
	if err != nil {
		self = "megadisk"
	}
	fmt.Printf(`A MEGA server is running at %s (account %s, password %s).
Its drive is at %s. Try, in another terminal:

  ls -lR %[4]s
  cp -r /usr/share/doc/bash %[4]s/     # at the speed of this disk
  %[5]s status                         # what is on its way up
  %[5]s flush                          # returns when it is all in the cloud
  git clone . %[4]s/repo && git -C %[4]s/repo fsck

Ctrl-C unmounts and forgets everything.
`, url, demoEmail, demoPassword, point, self)
}

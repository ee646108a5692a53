package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

func newExportPending(c *common) *cobra.Command {
	var account string
	var recovery, asJSON bool
	cmd := &cobra.Command{
		Use:   "export-pending DIR",
		Short: "Copy what is not yet in the cloud into a plain folder",
		Long: `Copies every file and folder that was made or changed here and is not yet in the cloud into DIR, which must be
empty or missing, under its path in the drive; what lies beside the drive, in others' shares or a desktop's trash,
under .mega. Nothing is taken out of the state: what is pending stays pending.

It works with and without a mount, and without a network. Where the account is gone too, --recovery-key asks for its
recovery key and needs no session. Where the database is damaged, what was written is saved from the segments alone.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := paths.Real(args[0])
			if err != nil {
				return err
			}
			client, err := c.exportClient(cmd.Context(), account, recovery)
			if err != nil {
				return err
			}
			defer client.Close()
			report, err := c.exportPending(cmd.Context(), client, dir)
			if err != nil {
				return err
			}
			return tellExported(report, dir, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&account, "account", "", "e-mail address of the account (default: the last login)")
	f.BoolVar(&recovery, "recovery-key", false, "ask for the account's recovery key, and use no session")
	f.BoolVar(&asJSON, "json", false, "for programs: one object")
	return cmd
}

// exportClient is a client that need not reach the server.
func (c *common) exportClient(ctx context.Context, who string, recovery bool) (*megaclient.Client, error) {
	if !recovery {
		return c.resume(ctx, who)
	}
	key, err := askRecoveryKey(ctx)
	if err != nil {
		return nil, err
	}
	host, err := paths.Host(c.apiURL)
	if err != nil {
		return nil, usage("%v", err)
	}
	s, err := serve.RecoverySession(filepath.Join(c.dirs().State, host), key)
	if err != nil {
		return nil, err
	}
	log, err := c.logger()
	if err != nil {
		return nil, err
	}
	return megaclient.Resume(c.client(log), s)
}

// askRecoveryKey reads the key from the terminal, or from a pipe.
func askRecoveryKey(ctx context.Context) (key megacrypto.Key, err error) {
	var text string
	if terminal() {
		text, err = askSecretly(ctx, "Recovery key: ")
	} else {
		text, err = abandon(ctx, func() (string, error) { return scanLine(os.Stdin) })
	}
	if err != nil {
		return key, err
	}
	raw, err := megacrypto.DecodeBase64(strings.TrimSpace(text))
	if err != nil || len(raw) != len(key) {
		return key, usage("this is no recovery key: it has 22 characters, letters, digits, - and _")
	}
	return megacrypto.Key(raw), nil
}

func (c *common) exportPending(ctx context.Context, client *megaclient.Client, dir string) (control.Exported, error) {
	tell := func(x control.Exported) {
		if term.IsTerminal(int(os.Stderr.Fd())) {
			fmt.Fprintf(os.Stderr, "\rexporting: %d files, %s ", x.Files, humanize.IBytes(uint64(x.Bytes)))
		}
	}
	defer func() {
		if term.IsTerminal(int(os.Stderr.Fd())) {
			fmt.Fprintln(os.Stderr)
		}
	}()
	socket, err := c.socket(client)
	if err != nil {
		return control.Exported{}, err
	}
	if process, ok := control.Dial(socket); ok {
		return process.ExportPending(ctx, dir, tell)
	}
	return serve.ExportOnDisk(ctx, c.serveOptions(client), dir, tell)
}

func tellExported(x control.Exported, dir string, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(x); err != nil {
			return err
		}
	} else {
		printExported(x, dir)
	}
	if n := len(x.Incomplete); n > 0 {
		return fmt.Errorf("%d of the exported files are incomplete: try again when the server can be reached", n)
	}
	return nil
}

func printExported(x control.Exported, dir string) {
	fmt.Printf("exported to %s: %d files, %d new folders, %s\n", dir, x.Files, x.Folders, humanize.IBytes(uint64(x.Bytes)))
	if x.Others > 0 {
		fmt.Printf("pending without content (moves, removals, attributes), not exported: %d\n", x.Others)
	}
	if x.Salvaged > 0 {
		fmt.Printf("saved without the database: %d files, as far as they were written here; some may be in the cloud already\n", x.Salvaged)
	}
	for _, f := range x.Incomplete {
		fmt.Printf("INCOMPLETE: %s: %s\n", shown(f.Path), shown(f.Reason))
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/copyout"
	"megadisk/cmd/megadisk/internal/credentials"
	"megadisk/cmd/megadisk/internal/linktree"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
)

// Copying between the drive, public links and the local disk.

func newGet(c *common) *cobra.Command {
	var asJSON bool
	var password credentials.Sources
	cmd := &cobra.Command{
		Use:   "get LINK|PATH DEST",
		Short: "Copy a file or folder out of the cloud, verified",
		Long: `Copies what lies at a path in a mount, or what a public link opens (which needs neither a mount nor an account), to the
local disk: into DEST if that is a folder, else under that name. Nothing is overwritten; each file is there whole and
right, or not at all. "-" takes the link from standard input.`,
		Example: "  megadisk get 'https://mega.nz/folder/HANDLE#KEY' ~/Downloads\n  megadisk get ~/mega/Photos /media/usb",
		Args:    exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := paths.Real(args[1])
			if err != nil {
				return err
			}
			from, err := readSource(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if from, err = openSealed(cmd.Context(), from, password); err != nil {
				return err
			}
			return carry(asJSON, "getting", func(tell func(control.Carried)) (control.Carried, error) {
				if isLink(from) {
					return c.getLink(cmd.Context(), from, to, tell)
				}
				process, abs, err := c.holderOf(cmd.Context(), from)
				if err != nil {
					return control.Carried{}, err
				}
				return process.Get(cmd.Context(), control.Carry{From: abs, To: to}, tell)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	addLinkPassword(cmd.Flags(), &password)
	return cmd
}

func isLink(text string) bool { return strings.Contains(text, "://") }

// getLink copies what a link opens, without any process.
func (c *common) getLink(ctx context.Context, text, dest string, tell func(control.Carried)) (done control.Carried, err error) {
	from, err := parseLink(text)
	if err != nil {
		return done, err
	}
	if from.link.Key == nil {
		return done, usage("the link's key is missing: it follows the # of the link")
	}
	client, err := c.openLink(from.link)
	if err != nil {
		return done, err
	}
	defer client.Close()
	root, err := linktree.Fetch(ctx, client)
	if err != nil {
		return done, err
	}
	if done.Path, err = copyout.Place(dest, root.Name); err != nil {
		return done, err
	}
	done.AllBytes = root.Bytes()
	return done, getNode(ctx, client, root, done.Path, &done, tell)
}

func getNode(ctx context.Context, client *megaclient.Client, n *linktree.Node, to string, done *control.Carried, tell func(control.Carried)) error {
	if !n.Folder {
		err := copyout.File(ctx, to, os.FileMode(0o666&^serve.Umask()), n.Mtime, func(ctx context.Context, w io.Writer) error {
			return client.Get(ctx, n.Node, counter{w, func(bytes int) { done.Bytes += int64(bytes); tell(*done) }})
		})
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(to), err)
		}
		done.Files++
		return nil
	}
	if err := os.Mkdir(to, 0o777); err != nil {
		return err
	}
	done.Folders++
	for _, child := range n.Children {
		if err := getNode(ctx, client, child, filepath.Join(to, child.Name), done, tell); err != nil {
			return err
		}
	}
	return nil
}

// counter tells how many bytes went through it.
type counter struct {
	io.Writer
	count func(int)
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.count(n)
	return n, err
}

func newPut(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "put SRC PATH",
		Short: "Copy a file or folder into the drive, and wait until it is in the cloud",
		Long: `Copies a file or folder of the local disk into the drive: into PATH if that is a folder, else under that name. Folders
are merged; a file that is there gets a new version. Returns when all of it is in the cloud; after Ctrl-C, what was
copied until then goes up by itself.`,
		Example: "  megadisk put ~/Pictures ~/mega/Photos",
		Args:    exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := paths.Real(args[0])
			if err != nil {
				return err
			}
			return c.into(cmd.Context(), args[1], asJSON, "copying", func(process *control.Client, at string, tell func(control.Carried)) (control.Carried, error) {
				return process.Put(cmd.Context(), control.Carry{From: from, To: at}, tell)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	return cmd
}

func newImport(c *common) *cobra.Command {
	var asJSON bool
	var password credentials.Sources
	cmd := &cobra.Command{
		Use:   "import LINK PATH",
		Short: "Copy what a public link opens into the drive",
		Long: `Copies what a public link opens into the drive: into PATH if that is a folder, else under that name. Nothing is
overwritten. The content is downloaded, verified, and uploaded again. "-" takes the link from standard input.`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readSource(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if text, err = openSealed(cmd.Context(), text, password); err != nil {
				return err
			}
			if from, err := parseLink(text); err != nil {
				return err
			} else if from.link.Key == nil {
				return usage("the link's key is missing: it follows the # of the link")
			}
			return c.into(cmd.Context(), args[1], asJSON, "importing", func(process *control.Client, at string, tell func(control.Carried)) (control.Carried, error) {
				return process.Import(cmd.Context(), control.Carry{From: text, To: at}, tell)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, jsonHelp)
	addLinkPassword(cmd.Flags(), &password)
	return cmd
}

// into runs what copies something to a path in a mount, and waits until that is in the cloud.
func (c *common) into(ctx context.Context, path string, asJSON bool, doing string,
	do func(process *control.Client, at string, tell func(control.Carried)) (control.Carried, error)) error {
	process, at, err := c.holderOf(ctx, path)
	if err != nil {
		return err
	}
	return carry(asJSON, doing, func(tell func(control.Carried)) (control.Carried, error) {
		done, err := do(process, at, tell)
		if err != nil {
			return done, err
		}
		return done, withProgress(ctx, 0, process, func(ctx context.Context) error { return process.Flush(ctx, at) })
	})
}

// carry shows on a terminal how far a copy is, and says at the end what was copied.
func carry(asJSON bool, doing string, do func(tell func(control.Carried)) (control.Carried, error)) error {
	bar := progressbar.DefaultSilent(-1)
	if term.IsTerminal(int(os.Stderr.Fd())) {
		bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionSetDescription(doing), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
	}
	done, err := do(func(p control.Carried) {
		bar.ChangeMax64(max(p.AllBytes, 1))
		_ = bar.Set64(min(p.Bytes, max(p.AllBytes, 1)))
	})
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(os.Stdout, done)
	}
	fmt.Printf("%s: %d files, %s\n", shown(done.Path), done.Files, humanize.IBytes(uint64(done.Bytes)))
	return nil
}

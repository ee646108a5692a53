package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/credentials"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

// source is what is to be mounted.
type source struct {
	account string // an e-mail address; "": that of the last login
	folder  string // "": the whole drive
	device  string // how df and mount list it, and how `mount -a` knows it again

	isLink bool            // a public link, and no account
	link   megacrypto.Link // without a key where that stands in a credentials file
}

// fromStdin is the source that stands for a link on standard input, where nobody else can see it.
const fromStdin = "-"

// parseSource reads /Folder, EMAIL:/Folder or a link; "" is the whole drive.
func parseSource(text string) (source, error) {
	email, folder, has := strings.Cut(text, ":")
	switch {
	case text == "":
		return source{device: "megadisk"}, nil
	case strings.HasPrefix(text, "/"):
		return source{folder: text, device: text}, nil
	case strings.Contains(text, "://"):
		return parseLink(text)
	case strings.Contains(email, "@") && !strings.Contains(email, "/") && (!has || folder == "" || folder[0] == '/'):
		return source{account: email, folder: folder, device: text}, nil
	}
	return source{}, usage("the source is a folder and begins with a slash (/Photos, or anna@example.com:/Photos) or a link, not %q", text)
}

// parseLink reads a public link. It holds its key, so it is never repeated, and what is shown of it is without.
func parseLink(text string) (source, error) {
	link, err := megacrypto.ParseLink(text)
	if errors.Is(err, megacrypto.ErrLinkKey) && !strings.Contains(text, "#") {
		link, err = linkWithoutKey(text)
	}
	if err != nil {
		return source{}, usage("the source is no MEGA link, or not all of it (its key follows the #): copy it again, in quotes")
	}
	return source{isLink: true, link: link, device: address(link)}, nil
}

// linkWithoutKey reads https://mega.nz/folder/HANDLE, whose key is somewhere else.
func linkWithoutKey(text string) (megacrypto.Link, error) {
	for _, zeros := range []int{16, 32} { // of a folder, of a file
		if l, err := megacrypto.ParseLink(text + "#" + megacrypto.EncodeBase64(make([]byte, zeros))); err == nil {
			l.Key = nil
			return l, nil
		}
	}
	return megacrypto.Link{}, megacrypto.ErrLink
}

// address is a link without its key.
func address(l megacrypto.Link) string {
	return megacrypto.Link{Kind: l.Kind, Handle: l.Handle}.String()
}

// readSource takes a link from standard input where that is asked for.
func readSource(ctx context.Context, text string) (string, error) {
	if text != fromStdin {
		return text, nil
	}
	line, err := abandon(ctx, func() (string, error) { return scanLine(os.Stdin) })
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the link: %w", err)
	case !strings.Contains(line, "://"):
		return "", usage("there is no link on standard input")
	}
	return line, nil
}

// openSealed gives the link that one with a password holds; what isn't one is given back as it is.
func openSealed(ctx context.Context, text string, where credentials.Sources) (string, error) {
	if !megacrypto.IsSealedLink(text) {
		return text, nil
	}
	given, _, err := whatIsGiven(ctx, where)
	if err != nil {
		return "", err
	}
	if given.Password == "" {
		if !terminal() {
			return "", usage("the link has a password: use --password-file FILE (-: standard input)")
		}
		if given.Password, err = askSecretly(ctx, "Password of the link: "); err != nil {
			return "", err
		}
	}
	link, err := megacrypto.UnsealLink(text, given.Password)
	switch {
	case errors.Is(err, megacrypto.ErrLinkPassword):
		return "", err
	case err != nil:
		return "", usage("the link with a password is not whole: copy it again, in quotes")
	}
	return link.String(), nil
}

// addLinkPassword adds the option that says where a link's password is.
func addLinkPassword(f *pflag.FlagSet, from *credentials.Sources) {
	f.StringVar(&from.Password, "password-file", "", "where the password of a link that has one is: the first line of this file (-: standard input)")
}

// clientFor opens what the source names: an account's stored session, or a public link.
func (c *common) clientFor(ctx context.Context, from source, where credentials.Sources) (*megaclient.Client, error) {
	if !from.isLink {
		return c.sessionFor(ctx, from.account, where)
	}
	link := from.link
	if link.Key == nil {
		given, _, err := where.Find(ctx)
		if err != nil {
			return nil, err
		}
		if link, err = megacrypto.ParseLink(given.Link); err != nil || link.Handle != from.link.Handle {
			return nil, usage("the link's key is missing: it follows the # of the link, or stands in a line link=… of the file of --credentials")
		}
	}
	return c.openLink(link)
}

// openLink makes a client for a public link; it asks nobody.
func (c *common) openLink(link megacrypto.Link) (*megaclient.Client, error) {
	log, err := c.logger()
	if err != nil {
		return nil, err
	}
	return megaclient.OpenLink(c.client(log), link)
}

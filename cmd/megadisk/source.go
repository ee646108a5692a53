package main

import (
	"strings"

	"megadisk/megaclient/megacrypto"
)

// source is what is to be mounted.
type source struct {
	account string // an e-mail address; "": that of the last login
	folder  string // "": the whole drive
	device  string // how df and mount list it, and how `mount -a` knows it again
}

// parseSource reads /Folder, EMAIL:/Folder or a link; "" is the whole drive.
func parseSource(text string) (source, error) {
	email, folder, has := strings.Cut(text, ":")
	switch {
	case text == "":
		return source{device: "megadisk"}, nil
	case strings.HasPrefix(text, "/"):
		return source{folder: text, device: text}, nil
	case strings.Contains(text, "://"):
		return source{}, refuseLink(text)
	case strings.Contains(email, "@") && !strings.Contains(email, "/") && (!has || folder == "" || folder[0] == '/'):
		return source{account: email, folder: folder, device: text}, nil
	}
	return source{}, usage("the source is a folder and begins with a slash (/Photos, or anna@example.com:/Photos), not %q", text)
}

// refuseLink says what is wrong with a link. It holds its key, so it isn't repeated.
func refuseLink(link string) error {
	if _, err := megacrypto.ParseLink(link); err != nil {
		return usage("the source is no MEGA link, or not all of it (its key follows the #): copy it again, in quotes")
	}
	return usage("this version mounts folders of an account (/Photos), not links yet")
}

package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/serve"
)

// fileManagers are the names of programs that show pictures of what is in a folder, as ps shows them.
const fileManagers = "nautilus:thunar:nemo:caja:dolphin:pcmanfm*:spacefm:gwenview:gthumb:eog:shotwell:tumblerd"

// probes are the names of programs that go through everything by themselves: indexers, and what makes thumbnails (of
// what is in the trash, too: its daemon reads for others).
const probes = "tracker-*:localsearch*:baloo*:updatedb*:plocate*:recoll*:tumblerd:gvfsd-trash:ffmpegthumb*:gdk-pixbuf-thum*:*-thumbnailer:totem-video-thu*:glycin-*:kioslave*thumb*"

// desktopFlags are the options of mount that are for file managers. They are of the process that holds the mounts:
// those of an account's first mount.
type desktopFlags struct {
	thumbnails string
	probes     string
}

func (d *desktopFlags) add(f *pflag.FlagSet) {
	f.StringVar(&d.thumbnails, "thumbnails", fileManagers, "programs, with : between them, that find MEGA's thumbnails among the desktop's own for the folders that they open (empty: none are put there)")
	f.StringVar(&d.probes, "probes", probes, "programs, with : between them, that go through everything by themselves: they may open what is here, and nothing is fetched for them")
}

func (d *desktopFlags) check() error {
	if err := checkPatterns("probes", d.probes); err != nil {
		return err
	}
	return checkPatterns("thumbnails", d.thumbnails)
}

// serve puts the options into those of the process.
func (d *desktopFlags) serve(o serve.Options) serve.Options {
	o.Lookers, o.Probes = patterns(d.thumbnails), patterns(d.probes)
	if dir, err := os.UserCacheDir(); err == nil && len(o.Lookers) > 0 {
		o.Thumbnails = filepath.Join(dir, "thumbnails")
	}
	return o
}

// patterns splits a list of patterns; it is never nil.
func patterns(text string) []string {
	list := []string{}
	for _, p := range strings.Split(text, ":") {
		if p != "" {
			list = append(list, p)
		}
	}
	return list
}

// checkPatterns finds what is no pattern of a name.
func checkPatterns(flag, text string) error {
	for _, p := range patterns(text) {
		if _, err := path.Match(p, ""); err != nil || strings.Contains(p, "/") {
			return usage("--%s are patterns of names, like a*:b, not %q", flag, p)
		}
	}
	return nil
}

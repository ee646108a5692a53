package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/credentials"
	"megadisk/cmd/megadisk/internal/metrics"
	"megadisk/cmd/megadisk/internal/options"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/fs"
	"megadisk/writeback/tree"
)

// mountFlags are the options of mount; -o takes the same words, and those of mount(8).
type mountFlags struct {
	foreground bool
	account    string
	readOnly   bool
	allowOther bool
	uid, gid   string
	umask      string
	fmask      string
	dmask      string
	hidden     string
	debug      bool
	metrics    string
	notify     bool
	reading    readingFlags
	login      credentials.Sources
	staging    stagingFlags
	sending    sendingFlags
	desktop    desktopFlags
	options    []string

	sloppy, fake bool     // of mount(8): -s and -f
	kernel       []string // flags of the mount that the kernel carries out
}

func (m *mountFlags) add(f *pflag.FlagSet) {
	f.BoolVarP(&m.foreground, "foreground", "f", false, "stay in front; Ctrl-C unmounts")
	f.StringVar(&m.account, "account", "", "e-mail address of the account (default: the last login)")
	f.BoolVar(&m.readOnly, "read-only", false, "refuse all changes")
	f.BoolVar(&m.allowOther, "allow-other", false, "let other users in (needs user_allow_other in /etc/fuse.conf, or root)")
	f.StringVar(&m.uid, "uid", "", "user who owns everything, a name or a number (default: you); of root, it lets that user in")
	f.StringVar(&m.gid, "gid", "", "group that owns everything, a name or a number (default: yours)")
	f.StringVar(&m.umask, "umask", "", "octal; taken from the modes 0666 and 0777 (default: this shell's)")
	f.StringVar(&m.fmask, "fmask", "", "the same, of files only")
	f.StringVar(&m.dmask, "dmask", "", "the same, of folders only")
	f.BoolVar(&m.debug, "debug", false, "log every request of the kernel, without names and content")
	f.StringVar(&m.hidden, "hidden-name", fs.HiddenName, "name of the hidden folder with earlier versions, bin and shares")
	f.StringVar(&m.metrics, "metrics", "", "serve metrics for Prometheus at 127.0.0.1:PORT, or at a Unix socket (unix:PATH)")
	f.BoolVar(&m.notify, "notify", true, "show a message on the desktop when a person must do something")
	m.reading.add(f)
	addSources(f, &m.login)
	m.staging.add(f)
	m.sending.add(f)
	m.desktop.add(f)
	f.StringArrayVarP(&m.options, "options", "o", nil, "options as for mount(8): the words of the long flags, comma-separated")
	f.BoolVar(&m.sloppy, "sloppy", false, "")
	f.BoolVar(&m.fake, "fake", false, "")
	_ = f.MarkHidden("sloppy") // for mount(8)
	_ = f.MarkHidden("fake")
}

// takeOptions turns -o a,b=c into the flags of the same names, and does with the words of mount(8) what they mean.
func (m *mountFlags) takeOptions(cmd *cobra.Command) error {
	for _, list := range m.options {
		words, err := options.Split(list)
		if err != nil {
			return usage("mount options %q: %v", list, err)
		}
		for _, w := range words {
			if err := m.takeOption(cmd.Flags(), w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *mountFlags) takeOption(flags *pflag.FlagSet, w options.Word) error {
	switch w.Meaning() {
	case options.Ignore:
		return nil
	case options.Warn:
		fmt.Fprintf(os.Stderr, "megadisk: the mount option %s is ignored: mounts of megadisk are always nosuid and nodev\n", w)
		return nil
	case options.Kernel:
		m.kernel = append(m.kernel, w.Name)
		return nil
	}
	name := w.Flag()
	if f := flags.Lookup(name); f == nil || f.Hidden || name == "options" {
		if m.sloppy {
			fmt.Fprintf(os.Stderr, "megadisk: the mount option %s is unknown and ignored\n", w.Name)
			return nil
		}
		return usage("unknown mount option %q%s: see `megadisk mount --help`", w.Name, perhaps(name, flags))
	}
	value := w.Value
	if !w.HasValue {
		value = "true"
	}
	if err := flags.Set(name, value); err != nil {
		return usage("mount option %q: %v", w, err)
	}
	return nil
}

// perhaps names the option that was meant, if one is like it.
func perhaps(name string, flags *pflag.FlagSet) string {
	var known []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	if best := options.Nearest(name, known); best != "" {
		return fmt.Sprintf(" (did you mean %s?)", best)
	}
	return ""
}

// request is what the process that holds the mounts is asked for, and whose process that is.
func (m *mountFlags) request(text, point string) (req control.MountRequest, from source, err error) {
	if point == "" {
		return req, from, usage("the mount point is empty: see `megadisk mount --help`")
	}
	if from, err = parseSource(text); err != nil {
		return req, from, err
	}
	switch {
	case from.isLink && m.account != "":
		return req, from, usage("a link belongs to no account: leave --account out")
	case from.account == "":
		from.account = m.account
	case m.account != "" && from.account != m.account:
		return req, from, usage("two accounts are named: %s and %s", from.account, m.account)
	}
	if err := tree.ValidName(m.hidden); err != nil {
		return req, from, usage("--hidden-name is a name like %s, not %q", fs.HiddenName, m.hidden)
	}
	req = control.MountRequest{
		Source: from.folder, Node: from.link.Sub, FsName: from.device, ReadOnly: m.readOnly || from.isLink, AllowOther: m.allowOther,
		Flags: m.kernel, Debug: m.debug, Hidden: m.hidden,
	}
	if req.Mountpoint, err = paths.Real(point); err != nil {
		return req, from, err
	}
	if err := m.owner(&req); err != nil {
		return req, from, err
	}
	return req, from, m.masks(&req)
}

// owner fills in who owns what is shown. Root mounts for another user in order that this user gets in.
func (m *mountFlags) owner(req *control.MountRequest) error {
	req.UID, req.GID = uint32(os.Getuid()), uint32(os.Getgid())
	if m.uid != "" {
		id, err := lookUp("uid", m.uid, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		})
		if err != nil {
			return err
		}
		req.AllowOther = req.AllowOther || os.Getuid() == 0 && id != 0
		req.UID = id
	}
	if m.gid != "" {
		id, err := lookUp("gid", m.gid, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		})
		if err != nil {
			return err
		}
		req.GID = id
	}
	return nil
}

// lookUp gives the number of a user or group, which find knows by name.
func lookUp(option, text string, find func(string) (string, error)) (uint32, error) {
	number := text
	if name, err := find(text); err == nil {
		number = name
	}
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil || id == 1<<32-1 {
		return 0, usage("--%s: there is no %q here", option, text)
	}
	return uint32(id), nil
}

// check finds mistakes in the options, before anything is done.
func (m *mountFlags) check() error {
	var req control.MountRequest
	if err := m.owner(&req); err != nil {
		return err
	}
	if err := m.masks(&req); err != nil {
		return err
	}
	if _, err := m.metricsAddress(); err != nil {
		return err
	}
	if err := m.sending.check(); err != nil {
		return err
	}
	if err := m.desktop.check(); err != nil {
		return err
	}
	if err := m.staging.check(); err != nil {
		return err
	}
	return m.reading.check()
}

// metricsAddress is where metrics are served; "": nowhere.
func (m *mountFlags) metricsAddress() (string, error) {
	if m.metrics == "" {
		return "", nil
	}
	address, err := metrics.Address(m.metrics)
	if err != nil {
		return "", usage("--metrics: %v", err)
	}
	return address, nil
}

// masks fills in what is taken from the modes.
func (m *mountFlags) masks(req *control.MountRequest) error {
	general, err := parseMask("umask", m.umask, serve.Umask())
	if err != nil {
		return err
	}
	if req.FMask, err = parseMask("fmask", m.fmask, general); err != nil {
		return err
	}
	req.DMask, err = parseMask("dmask", m.dmask, general)
	return err
}

func parseMask(option, text string, usual uint32) (uint32, error) {
	if text == "" {
		return usual, nil
	}
	mask, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mask > 0o777 {
		return 0, usage("--%s is octal, like 022, not %q", option, text)
	}
	return uint32(mask), nil
}

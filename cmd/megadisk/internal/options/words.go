package options

import "strings"

// Meaning is what is done with a word of mount(8).
type Meaning int

// The meanings.
const (
	Ours   Meaning = iota // none of mount's words: an option of megadisk, or a mistake
	Ignore                // already so, or meant for mount, systemd or the desktop
	Warn                  // can't be had: said once, then ignored
	Kernel                // a flag of the mount that the kernel carries out
)

// meanings are the words of mount(8), mount.fuse3(8) and fuse(8) that aren't options of megadisk, with - for _.
var meanings = map[string]Meaning{
	"rw": Ignore, "defaults": Ignore, "auto": Ignore, "noauto": Ignore, "exec": Ignore, "nosuid": Ignore, "nodev": Ignore,
	"async": Ignore, "atime": Ignore, "noatime": Ignore, "relatime": Ignore, "norelatime": Ignore, "strictatime": Ignore,
	"nostrictatime": Ignore, "diratime": Ignore, "nodiratime": Ignore, "lazytime": Ignore, "nolazytime": Ignore,
	"mand": Ignore, "nomand": Ignore, "silent": Ignore, "loud": Ignore, "iversion": Ignore, "noiversion": Ignore,
	"user": Ignore, "nouser": Ignore, "users": Ignore, "nousers": Ignore, "owner": Ignore, "noowner": Ignore,
	"group": Ignore, "nogroup": Ignore, "-netdev": Ignore, "netdev": Ignore, "nofail": Ignore, "comment": Ignore,
	"helper": Ignore, "uhelper": Ignore, "context": Ignore, "fscontext": Ignore, "defcontext": Ignore, "rootcontext": Ignore,
	"default-permissions": Ignore, "nonempty": Ignore, "big-writes": Ignore, "max-read": Ignore, "fsname": Ignore,
	"subtype": Ignore, "auto-unmount": Ignore, "intr": Ignore, "splice-read": Ignore, "splice-write": Ignore,
	"suid": Warn, "dev": Warn, "setuid": Warn, "drop-privileges": Warn,
	"noexec": Kernel, "sync": Kernel, "dirsync": Kernel,
}

// Usual are words that people write in fstab, and that aren't options of megadisk.
var Usual = []string{"ro", "_netdev", "nofail", "noauto", "user", "noexec", "sync", "x-systemd.automount"}

// renamed are words of mount(8) that megadisk calls otherwise.
var renamed = map[string]string{"ro": "read-only"}

// Flag is the name that megadisk has for the option.
func (w Word) Flag() string {
	if name, ok := renamed[w.Name]; ok {
		return name
	}
	return w.Name
}

// Meaning tells what is done with the word.
func (w Word) Meaning() Meaning {
	if strings.HasPrefix(w.Name, "x-") || strings.HasPrefix(w.Name, "X-") {
		return Ignore
	}
	return meanings[w.Name]
}

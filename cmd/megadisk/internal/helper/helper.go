// Package helper reads the command lines with which mount(8) and umount(8) call their helpers:
//
//	mount.megadisk SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]
//	umount.fuse.megadisk DIR [-flnrv] [-N NAMESPACE] [-t TYPE]
//
// and that of mount.fuse3(8), which calls the program by its plain name: megadisk SPEC DIR -o OPTIONS.
package helper

import (
	"fmt"
	"path/filepath"
	"strings"

	"megadisk/cmd/megadisk/internal/options"
)

// Exit codes of mount(8).
const (
	ExitUsage       = 1
	ExitInterrupted = 8
	ExitFailed      = 32
)

// Call is what a helper is asked to do.
type Call struct {
	Spec      string   // what to mount; "" of umount
	Dir       string   // where
	Options   []string // the lists after -o
	Fake      bool     // -f of mount: everything but the mount itself
	Sloppy    bool     // -s: unknown options are no error
	Lazy      bool     // -l or -f of umount: now, whatever is pending or open
	Namespace string   // -N: the mount namespace to work in, as a path or a process id
}

// IsMount tells whether the program was called to mount: by mount(8) through its name, or by mount.fuse3(8).
func IsMount(args []string, commands []string) bool {
	switch filepath.Base(args[0]) {
	case "mount.megadisk", "mount.fuse.megadisk", "fuse.megadisk":
		return true
	}
	if len(args) < 5 || strings.HasPrefix(args[1], "-") || !filepath.IsAbs(args[2]) || args[3] != "-o" {
		return false
	}
	for _, c := range commands {
		if args[1] == c {
			return false
		}
	}
	return true
}

// IsUnmount tells whether umount(8) called the program.
func IsUnmount(args []string) bool {
	name := filepath.Base(args[0])
	return name == "umount.megadisk" || name == "umount.fuse.megadisk"
}

// ParseMount reads the arguments (without the program's name) of a call to mount.
func ParseMount(args []string) (Call, error) {
	c, rest, err := parse(args, func(c *Call, letter byte) bool {
		switch letter {
		case 's':
			c.Sloppy = true
		case 'f':
			c.Fake = true
		case 'n', 'v', 'w', 'i':
		case 'r':
			c.Options = append(c.Options, "ro")
		default:
			return false
		}
		return true
	})
	if err != nil {
		return c, err
	}
	if len(rest) != 2 {
		return c, fmt.Errorf("usage: mount.megadisk SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]")
	}
	c.Spec, c.Dir = options.Unescape(rest[0]), options.Unescape(rest[1])
	if c.Spec == "megadisk" || c.Spec == "none" {
		c.Spec = "" // the whole drive of the last login
	}
	return c, nil
}

// ParseUnmount reads the arguments of a call to unmount.
func ParseUnmount(args []string) (Call, error) {
	c, rest, err := parse(args, func(c *Call, letter byte) bool {
		switch letter {
		case 'l', 'f':
			c.Lazy = true
		case 'n', 'r', 'v', 'i', 'd':
		default:
			return false
		}
		return true
	})
	if err != nil {
		return c, err
	}
	if len(rest) != 1 {
		return c, fmt.Errorf("usage: umount.fuse.megadisk DIR [-flnrv] [-N NAMESPACE] [-t TYPE]")
	}
	c.Dir = options.Unescape(rest[0])
	return c, nil
}

// parse takes options in any place; flag is asked what a letter without an argument means.
func parse(args []string, flag func(*Call, byte) bool) (c Call, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return c, append(rest, args[i+1:]...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		for at := 1; at < len(arg); at++ {
			letter := arg[at]
			if !strings.ContainsRune("oNt", rune(letter)) {
				if !flag(&c, letter) {
					return c, nil, fmt.Errorf("unknown option -%c", letter)
				}
				continue
			}
			value := arg[at+1:] // -oVALUE or -o VALUE
			if value == "" {
				if i++; i == len(args) {
					return c, nil, fmt.Errorf("option -%c needs a value", letter)
				}
				value = args[i]
			}
			switch letter {
			case 'o':
				c.Options = append(c.Options, value)
			case 'N':
				c.Namespace = value
			}
			break
		}
	}
	return c, rest, nil
}

// Package paths knows where things live on this machine: state, cache and sockets, one folder an account.
//
//	$XDG_STATE_HOME/megadisk/HOST/USERHANDLE/   tree, journal, staging: losing it can lose data
//	$XDG_CACHE_HOME/megadisk/HOST/USERHANDLE/   blocks from the cloud: losing it costs downloads only
//	$XDG_RUNTIME_DIR/megadisk/                  control sockets, one a process
//
// HOST is the API's, so that a test server never shares state with the real one. Root's folders, in a shell, at boot
// and under sudo, are /var/lib/megadisk, /var/cache/megadisk and /run/megadisk, unless an XDG variable says otherwise:
// what root logs in to is what fstab mounts.
package paths

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/adrg/xdg"
	"golang.org/x/sys/unix"
)

// Dirs are the three roots. The zero value is not useful: see New.
type Dirs struct {
	State   string
	Cache   string
	Runtime string
}

// New returns the roots, with state and cache replaced by the arguments that aren't empty.
func New(state, cache string) Dirs {
	d := defaults()
	if state != "" {
		d.State = state
	}
	if cache != "" {
		d.Cache = cache
	}
	return d
}

func defaults() Dirs {
	d := Dirs{
		State:   filepath.Join(xdg.StateHome, "megadisk"),
		Cache:   filepath.Join(xdg.CacheHome, "megadisk"),
		Runtime: runtimeDir(),
	}
	if os.Getuid() != 0 {
		return d
	}
	if os.Getenv("XDG_STATE_HOME") == "" {
		d.State = "/var/lib/megadisk"
	}
	if os.Getenv("XDG_CACHE_HOME") == "" {
		d.Cache = "/var/cache/megadisk"
	}
	return d
}

// Config is the configuration file that is read when none is named.
func Config() string {
	if os.Getuid() == 0 && os.Getenv("XDG_CONFIG_HOME") == "" {
		return "/etc/megadisk.toml"
	}
	return filepath.Join(xdg.ConfigHome, "megadisk", "config.toml")
}

// runtimeDir is the user's own; where no session manager made one, a folder in /tmp that only this user may enter. A
// session of root's ends, and its folder with it; its mounts don't.
func runtimeDir() string {
	uid := os.Getuid()
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if uid == 0 && (dir == "" || dir == "/run/user/0") {
		return "/run/megadisk"
	}
	if filepath.IsAbs(dir) { // XDG's rule: a relative one is as none
		return filepath.Join(dir, "megadisk")
	}
	if dir = fmt.Sprintf("/run/user/%d", uid); unix.Access(dir, unix.W_OK|unix.X_OK) == nil { // as cron and boot see it
		return filepath.Join(dir, "megadisk")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("megadisk-%d", uid))
}

// Host is the folder name for an API URL: its host, with the port if it has one.
func Host(apiURL string) (string, error) {
	u, err := url.Parse(apiURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%q is not an API address: it looks like https://g.api.mega.co.nz", apiURL)
	}
	return strings.ReplaceAll(u.Host, ":", "_"), nil
}

// Account returns the state and cache folders of an account, made if missing, for this user only.
func (d Dirs) Account(host, user string) (state, cache string, err error) {
	state, cache = filepath.Join(d.State, host, user), filepath.Join(d.Cache, host, user)
	if err := Private(state, "--state-dir"); err != nil {
		return "", "", err
	}
	// A cache that can't be made is not an error: the mount then works without one, and says so.
	_ = Private(cache, "--cache-dir")
	return state, cache, nil
}

// maxSocketPath is what a socket's address has room for, its closing zero included.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path)

// Socket returns the path of the control socket of an account's process; its folder is made if missing.
func (d Dirs) Socket(host, user string) (string, error) {
	if err := Private(d.Runtime, "XDG_RUNTIME_DIR"); err != nil {
		return "", err
	}
	info, err := os.Lstat(d.Runtime)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || !ownedByUs(info) {
		return "", &FolderError{Dir: d.Runtime, Setting: "XDG_RUNTIME_DIR", Err: errors.New("it belongs to somebody else")}
	}
	path := filepath.Join(d.Runtime, host+"-"+user+".sock")
	if len(path) >= maxSocketPath {
		return "", &FolderError{Dir: d.Runtime, Setting: "XDG_RUNTIME_DIR", Err: unix.ENAMETOOLONG}
	}
	return path, nil
}

// Sockets lists the control sockets that exist, alive or not. In a folder of somebody else none is ours.
func (d Dirs) Sockets() []string {
	info, err := os.Lstat(d.Runtime)
	if err != nil || !ownedByUs(info) {
		return nil
	}
	entries, _ := os.ReadDir(d.Runtime)
	var found []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".sock") {
			found = append(found, filepath.Join(d.Runtime, e.Name()))
		}
	}
	return found
}

// FolderError says that a folder that is needed can't be made or used.
type FolderError struct {
	Dir     string
	Setting string // what chooses another one
	Err     error
}

func (e *FolderError) Error() string {
	return fmt.Sprintf("the folder %s can't be used (%v): set %s to one that can be written", e.Dir, e.Err, e.Setting)
}

func (e *FolderError) Unwrap() error { return e.Err }

// Private makes a folder for this user only, if it is missing; setting is what chooses another one. The error is a
// *FolderError.
func Private(dir, setting string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = unix.Access(dir, unix.W_OK|unix.X_OK)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if err != nil {
		return &FolderError{Dir: dir, Setting: setting, Err: err}
	}
	return nil
}

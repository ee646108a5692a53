// Package doctor looks for what keeps megadisk from working on this machine, and knows what to do about it.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// State is how serious a finding is.
type State string

// The states.
const (
	OK      State = "ok"
	Warning State = "warning" // works, but not as well as it could
	Failure State = "failure" // something doesn't work
)

// Check is one thing that was looked at.
type Check struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Says  string `json:"says"`
	Fix   string `json:"fix,omitempty"` // what to do; "" when all is well
}

func ok(name, says string, args ...any) Check {
	return Check{Name: name, State: OK, Says: fmt.Sprintf(says, args...)}
}

func warning(name, says, fix string) Check {
	return Check{Name: name, State: Warning, Says: says, Fix: fix}
}

func failure(name, says, fix string) Check {
	return Check{Name: name, State: Failure, Says: says, Fix: fix}
}

// FUSE looks at the kernel's side.
func FUSE() Check {
	const name = "fuse"
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		_ = unix.Close(fd)
		return ok(name, "/dev/fuse can be opened")
	case os.IsNotExist(err):
		return failure(name, "/dev/fuse is missing", "load the kernel module: sudo modprobe fuse (in a container: pass the device in)")
	}
	return failure(name, "/dev/fuse can't be opened: "+err.Error(), "ask the administrator for access to /dev/fuse")
}

// Helper looks at fusermount3, which mounts for users who aren't root.
func Helper() Check {
	const name, fix = "fusermount3", "install it: sudo apt-get install fuse3 (or your system's package of that name)"
	path, err := exec.LookPath("fusermount3")
	if err != nil && os.Getuid() == 0 {
		return warning(name, "it is missing; root mounts without it, others can't", fix)
	}
	if err != nil {
		return failure(name, "it is missing", fix)
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode()&os.ModeSetuid == 0 && os.Getuid() != 0 {
		return failure(name, path+" may not mount for users", "sudo chmod u+s "+path)
	}
	out, _ := exec.Command(path, "--version").CombinedOutput()
	version := strings.TrimSpace(string(out))
	if !strings.Contains(version, " 3.") {
		return warning(name, path+" is not of version 3: "+version, fix)
	}
	return ok(name, "%s", version)
}

// FuseConf looks at what the administrator allows.
func FuseConf(conf string) Check {
	const name = "fuse.conf"
	for _, line := range strings.Split(conf, "\n") {
		if strings.TrimSpace(line) == "user_allow_other" {
			return ok(name, "users may let others into their mounts (user_allow_other)")
		}
	}
	if os.Getuid() == 0 {
		return ok(name, "only root may let others into mounts")
	}
	return warning(name, "allow_other is not allowed to users", "only if you want it: add the line user_allow_other to /etc/fuse.conf")
}

// AppArmor looks for a profile that says where fusermount3 may mount.
func AppArmor(profiles string) Check {
	const name = "apparmor"
	for _, line := range strings.Split(profiles, "\n") {
		if strings.HasPrefix(line, "fusermount3 ") && strings.Contains(line, "(enforce)") {
			return warning(name, "a profile says where users may mount: usually below their home, /mnt, /media and /tmp",
				"mount there, or add your folder to /etc/apparmor.d/local/fusermount3")
		}
	}
	return ok(name, "doesn't restrict fusermount3")
}

// maxSkew is how wrong the clock may be before times of files and conflicts go wrong visibly.
const maxSkew = 2 * time.Minute

// Server asks the API for a sign of life; its answer's date tells whether the clock is right.
func Server(ctx context.Context, url string) (reach, clock Check) {
	const name = "server"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return failure(name, "the address is none", "check --api-url"), warning("clock", "not compared", "")
	}
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return failure(name, "it can't be reached: "+err.Error(), "check the network, a proxy or firewall, and --api-url"),
			warning("clock", "not compared: the server can't be reached", "")
	}
	resp.Body.Close()
	took := time.Since(began)
	reach = ok(name, "answers within %v", took.Round(time.Millisecond))
	if resp.StatusCode >= http.StatusInternalServerError {
		reach = warning(name, "it answers "+resp.Status, "wait: MEGA has a problem")
	}
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return reach, ok("clock", "the server tells no time to compare with")
	}
	return reach, Clock(time.Now(), there)
}

// Clock compares this machine's time with the server's.
func Clock(here, there time.Time) Check {
	if skew := here.Sub(there).Abs(); skew > maxSkew {
		return failure("clock", fmt.Sprintf("it is wrong by %v", skew.Round(time.Second)), "set it: timedatectl set-ntp true")
	}
	return ok("clock", "agrees with the server's")
}

const (
	littleRoom = 64 << 20 // a mount doesn't start on less
	someRoom   = 1 << 30
)

// Room looks at the disk of a folder, or of the nearest one that exists.
func Room(name, dir string) Check {
	for !exists(dir) && dir != "/" {
		dir = filepath.Dir(dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return failure(name, dir+": "+err.Error(), "choose another folder")
	}
	return room(name, dir, st.Bavail*uint64(st.Bsize), unix.Access(dir, unix.W_OK) == nil)
}

func room(name, dir string, free uint64, writable bool) Check {
	says := fmt.Sprintf("%s free on the disk of %s", humanize.IBytes(free), dir)
	fix := "free some space, or choose another disk with --" + strings.Fields(name)[0] + "-dir"
	switch {
	case !writable:
		return failure(name, dir+" can't be written", "make it yours, or choose another with --"+strings.Fields(name)[0]+"-dir")
	case free < littleRoom:
		return failure(name, says, fix)
	case free < someRoom:
		return warning(name, says, fix)
	}
	return ok(name, "%s", says)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Dead tells of mounts whose process is gone.
func Dead(points []string) Check {
	const name = "mounts"
	if len(points) == 0 {
		return ok(name, "none has died")
	}
	return failure(name, "the process behind it is gone: "+strings.Join(points, ", "), "megadisk unmount "+points[0]+" (or mount there again)")
}

// Quota looks at how full the account is.
func Quota(used, total int64) Check {
	const name = "quota"
	switch {
	case total <= 0:
		return ok(name, "not known yet")
	case used >= total:
		return failure(name, "the account is full", "free space in the cloud (megadisk bin empty), or get more")
	case used > total/100*95:
		return warning(name, fmt.Sprintf("%s of %s used", humanize.IBytes(uint64(used)), humanize.IBytes(uint64(total))),
			"free space in the cloud soon: when it is full, changes wait here")
	}
	return ok(name, "%s of %s used", humanize.IBytes(uint64(used)), humanize.IBytes(uint64(total)))
}

// Session words how the session of an account is; problem and fix are "" when it is alive.
func Session(email, problem, fix string) Check {
	if problem != "" {
		return failure("session", problem, fix)
	}
	return ok("session", "of %s is alive", email)
}

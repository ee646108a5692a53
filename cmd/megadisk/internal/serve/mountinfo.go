package serve

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mountLine is what the kernel says of one mount.
type mountLine struct {
	point string
	kind  string // its type; "": nothing is mounted
	from  string // its device
	user  int    // who mounted it, of FUSE; -1: unknown
}

// mountedAt is what is mounted exactly at point, the topmost if there are several.
func mountedAt(point string) (top mountLine) {
	point = kernelPath(point)
	for _, m := range allMounts() {
		if m.point == point {
			top = m
		}
	}
	return top
}

// mountedAround is the type of the filesystem that point lies in.
func mountedAround(point string) string {
	best := mountLine{}
	point = kernelPath(point)
	for _, m := range allMounts() {
		if strings.HasPrefix(point, strings.TrimSuffix(m.point, "/")+"/") && len(m.point) >= len(best.point) {
			best = m
		}
	}
	return best.kind
}

// Shows tells whether a mount of ours at point shows that device, and its process lives.
func Shows(point, device string) bool {
	at := mountedAt(point)
	return at.kind == fsType && at.from == device && !dead(point)
}

// DeadMounts are the mounts of ours on this machine whose process is gone.
func DeadMounts() []string {
	var found []string
	for _, m := range allMounts() {
		if m.kind == fsType && dead(m.point) {
			found = append(found, m.point)
		}
	}
	return found
}

// kernelPath is a path as the kernel lists it, without touching what is mounted there.
func kernelPath(point string) string {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(point)); err == nil {
		return filepath.Join(dir, filepath.Base(point))
	}
	return point
}

func allMounts() []mountLine {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	return readMounts(f)
}

// readMounts reads lines like "36 35 98:0 / /mnt rw shared:1 - fuse.megadisk megadisk rw,user_id=1000" (proc(5)).
func readMounts(r io.Reader) []mountLine {
	table, _ := io.ReadAll(r)
	var all []mountLine
	for _, line := range strings.Split(string(table), "\n") {
		head, tail, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(head), strings.Fields(tail)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		all = append(all, mountLine{point: mountinfoEscapes.Replace(left[4]), kind: right[0], from: mountinfoEscapes.Replace(right[1]), user: userOf(right[2])})
	}
	return all
}

func userOf(superOptions string) int {
	for _, o := range strings.Split(superOptions, ",") {
		if text, ok := strings.CutPrefix(o, "user_id="); ok {
			if id, err := strconv.Atoi(text); err == nil {
				return id
			}
		}
	}
	return -1
}

var mountinfoEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

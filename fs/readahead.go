package fs

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// readAheadKiB is how far the kernel reads ahead in a file of a mount. By itself it takes 128. With 2 MiB there are two of
// its longest requests under way, of 1 MiB each: a sequential read then costs fewer of them, and one can be answered
// while a program takes what the other brought. It begins with a few pages, and goes so far only in a file that is read on and on.
const readAheadKiB = "2048"

// widenReadAhead sets that for a mount of ours, which only root may do. It touches sysfs and never the mount; where it
// can't be done, nothing is lost but speed.
func widenReadAhead(path string) {
	f, err := os.Open(mountinfoPath)
	if err != nil {
		return
	}
	defer f.Close()
	device := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && unescapeMount(fields[4]) == path {
			device = fields[2] // the last one is on top
		}
	}
	if device != "" {
		_ = os.WriteFile(filepath.Join("/sys/class/bdi", device, "read_ahead_kb"), []byte(readAheadKiB), 0)
	}
}

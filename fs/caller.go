package fs

import (
	"bytes"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ProcessName gives the name of the program that a request comes from, as ps shows it: at most 15 bytes, "" if that
// can't be told. The kernel tells the thread, whose own name a program may choose; the program's is its first thread's.
func ProcessName(thread uint32) string {
	status, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(thread), 10) + "/status")
	if err != nil {
		return ""
	}
	process := field(status, "Tgid:")
	if process == strconv.FormatUint(uint64(thread), 10) {
		return field(status, "Name:")
	}
	name, err := os.ReadFile("/proc/" + process + "/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// field reads a line of a file of /proc.
func field(text []byte, name string) string {
	_, rest, _ := bytes.Cut(text, []byte(name))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strings.TrimSpace(string(line))
}

// isOne tells whether a program's name is one of those that the patterns name, in whatever case.
func isOne(patterns []string, name string) bool {
	name = strings.ToLower(name)
	return name != "" && slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(strings.ToLower(p), name)
		return ok && err == nil
	})
}

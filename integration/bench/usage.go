package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// usage is what a process has used.
type usage struct {
	user, system float64 // seconds
	peak         float64 // bytes resident, at most (since resetPeak)
	resident     float64 // bytes resident now
	private      float64 // of these, what is nobody's file
}

// usageOf reads /proc.
func usageOf(pid int) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const tick = 100 // a second, on every Linux that there is
	var ut, st float64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &ut, &st); err != nil {
		return u, err
	}
	u.user, u.system = ut/tick, st/tick
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		into, wanted := map[string]*float64{"VmHWM": &u.peak, "VmRSS": &u.resident, "RssAnon": &u.private}[name]
		if !wanted {
			continue
		}
		if _, err := fmt.Sscan(rest, into); err != nil {
			return u, err
		}
		*into *= 1024
	}
	return u, nil
}

// resetPeak lets usage.peak begin anew.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200)
}

// pidOf reads what `megadisk status --json` says.
func pidOf(status []byte) (int, error) {
	var all []struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(status, &all); err != nil {
		return 0, err
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("%d processes in place of one", cmp.Or(len(all), 0))
	}
	return all[0].PID, nil
}

// seconds is the processor time, in user space and in the kernel, of the calling thread (unix.RUSAGE_THREAD) or of this
// process (unix.RUSAGE_SELF).
func seconds(who int) float64 {
	var r unix.Rusage
	if unix.Getrusage(who, &r) != nil {
		return 0
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// split is where the processor time of something went that a program did in a mount.
type split struct {
	mount  usage
	reader float64 // seconds: the thread that did it
	server float64 // seconds: the rest of this process, which is the server
}

// splitOf does something in a thread of its own.
func (r *reading) splitOf(do func() error) (s split, err error) {
	before, err := r.mount.usage()
	if err != nil {
		return s, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, all := seconds(unix.RUSAGE_THREAD), seconds(unix.RUSAGE_SELF)
	err = do()
	s.reader = seconds(unix.RUSAGE_THREAD) - own
	s.server = seconds(unix.RUSAGE_SELF) - all - s.reader
	if err != nil {
		return s, err
	}
	after, err := r.mount.usage()
	s.mount.user, s.mount.system = after.user-before.user, after.system-before.system
	return s, err
}

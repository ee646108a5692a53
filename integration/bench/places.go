package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"megadisk/megaclient/megatest"
)

// place is a folder that the same work runs in.
type place struct {
	name  string
	dir   string
	close func()
	drain func() error // all is in the cloud; nil: nothing to drain
	cold  func() error // forget all that is cached
	drop  func() error // forget what is cached in the kernel only

	// Of the megadisk mount only.
	work    string // a folder of a local disk
	server  *megatest.Server
	account *megatest.Account
	usage   func() (usage, error)
}

const (
	email    = "bench@example.com"
	password = "bench"
)

func openPlaces(c config, work string) ([]*place, error) {
	plain := filepath.Join(work, "plain")
	if err := os.Mkdir(plain, 0o755); err != nil {
		return nil, err
	}
	places := []*place{{name: "plain", dir: plain, close: func() {}, cold: func() error { return dropCaches(plain) }, drop: func() error { return dropCaches(plain) }}}
	loop, err := openLoopback(work)
	if err != nil {
		fmt.Println("no loopback beside:", err)
	} else {
		places = append(places, loop)
	}
	disk, err := openMegadisk(c, work)
	if err != nil {
		for _, p := range places {
			p.close()
		}
		return nil, err
	}
	return append(places, disk), nil
}

func awaitMount(point string) error {
	var outside, inside unix.Stat_t
	if err := unix.Stat(filepath.Dir(point), &outside); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if unix.Stat(point, &inside) == nil && inside.Dev != outside.Dev {
			return nil
		}
	}
	return fmt.Errorf("%s: not mounted after 10 s", point)
}

func openMegadisk(c config, work string) (*place, error) {
	server := megatest.NewServer()
	account := server.AddAccount(email, password, megatest.Quota(1<<40))
	server.Faults().SetLatency(c.rtt)
	server.Faults().SetBandwidth(c.conn, c.total)
	point, cache := filepath.Join(work, "megadisk"), filepath.Join(work, "cache")
	if err := os.Mkdir(point, 0o755); err != nil {
		return nil, err
	}
	output, err := programFor(c, work, server)
	if err != nil {
		return nil, err
	}
	call := func(stdin string, args ...string) error { _, err := output(stdin, args...); return err }
	if err := errors.Join(call(password+"\n", "login", email, "--password-file", "-"), call("", "mount", point)); err != nil {
		return nil, err
	}
	return &place{name: "megadisk", dir: point, work: work, server: server, account: account,
		usage: func() (usage, error) {
			out, err := output("", "status", "--json")
			if err != nil {
				return usage{}, err
			}
			pid, err := pidOf(out)
			if err != nil {
				return usage{}, err
			}
			return usageOf(pid)
		},
		drop:  func() error { return dropCaches(work) },
		close: func() { _ = call("", "unmount", "--no-wait", point); server.Close() },
		drain: func() error { return call("", "flush") },
		cold: func() error {
			if err := call("", "unmount", point); err != nil {
				return err
			}
			return errors.Join(os.RemoveAll(cache), dropCaches(work), call("", "mount", point))
		}}, nil
}

// programFor gives a function that runs megadisk against a server, with all of its folders below work.
func programFor(c config, work string, server *megatest.Server) (run func(stdin string, args ...string) ([]byte, error), err error) {
	bin, err := filepath.Abs(c.bin)
	if err != nil {
		return nil, err
	}
	return func(stdin string, args ...string) ([]byte, error) {
		cmd := exec.Command(bin, args...)
		cmd.Stdin = strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "MEGADISK_API_URL="+server.URL(), "MEGADISK_KEYRING=file", "XDG_RUNTIME_DIR="+filepath.Join(work, "run"),
			"MEGADISK_STATE_DIR="+filepath.Join(work, "state"), "MEGADISK_CACHE_DIR="+filepath.Join(work, "cache"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("megadisk %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return out, nil
	}, nil
}

// dropCaches empties the kernel's caches where it may (root); elsewhere it asks for the files below dir only. What comes
// into them next finds memory.
func dropCaches(dir string) error {
	defer retake()
	unix.Sync()
	if os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200) == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/doctor"
	"megadisk/cmd/megadisk/internal/serve"
)

func newDoctor(c *common) *cobra.Command {
	var asJSON bool
	var bundle string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps megadisk from working here, and say what to do",
		Long: `Looks at FUSE and its helper, AppArmor, the clock, the disks, the server, the session, the quota and mounts that died.
Exit status 1 when something doesn't work. --bundle writes what a helper needs to know, without names, addresses or keys.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := c.examine(cmd.Context())
			if bundle != "" {
				if err := writeBundle(cmd.Context(), c, bundle, checks); err != nil {
					return err
				}
			}
			return tellChecks(os.Stdout, checks, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs: an array, one object a check")
	cmd.Flags().StringVar(&bundle, "bundle", "", "also write a report to this new file")
	return cmd
}

func tellChecks(w io.Writer, checks []doctor.Check, asJSON bool) error {
	failed := 0
	for _, check := range checks {
		if check.State == doctor.Failure {
			failed++
		}
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(checks); err != nil {
			return err
		}
	} else {
		for _, check := range checks {
			fmt.Fprintf(w, "%-8s %-12s %s\n", check.State, check.Name, check.Says)
			if check.Fix != "" {
				fmt.Fprintf(w, "%-8s %-12s -> %s\n", "", "", check.Fix)
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed: what to do stands beside each", failed, len(checks))
	}
	return nil
}

// examine makes all checks.
func (c *common) examine(ctx context.Context) []doctor.Check {
	conf, _ := os.ReadFile("/etc/fuse.conf")                             // none: nothing is allowed
	profiles, _ := os.ReadFile("/sys/kernel/security/apparmor/profiles") // none: no AppArmor, or not for us to see
	reach, clock := doctor.Server(ctx, strings.TrimRight(c.apiURL, "/"))
	dirs := c.dirs()
	checks := []doctor.Check{
		doctor.FUSE(), doctor.Helper(), doctor.FuseConf(string(conf)), doctor.AppArmor(string(profiles)),
		doctor.Room("state disk", dirs.State), doctor.Room("cache disk", dirs.Cache), doctor.Dead(serve.DeadMounts()), clock, reach,
	}
	if reach.State == doctor.Failure {
		return checks
	}
	return append(checks, c.examineSession(ctx)...)
}

// examineSession asks the server who we are, and how full the account is.
func (c *common) examineSession(ctx context.Context) []doctor.Check {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, err := c.resume(ctx, "")
	if err != nil {
		return []doctor.Check{doctor.Session("", sentence(err), "megadisk login EMAIL")}
	}
	defer client.Close()
	who, err := client.Account(ctx)
	if err != nil {
		return []doctor.Check{doctor.Session("", sentence(err), "megadisk login "+client.Session().Email)}
	}
	checks := []doctor.Check{doctor.Session(who.Email, "", "")}
	quota, err := client.Quota(ctx)
	if err != nil {
		return checks
	}
	return append(checks, doctor.Quota(quota.Used, quota.Total))
}

// report is what a bundle holds: nothing in it names a person, a file or a secret.
type report struct {
	Made      time.Time        `json:"made"`
	Version   string           `json:"version"`
	System    string           `json:"system"`
	Checks    []doctor.Check   `json:"checks"`
	Processes []control.Status `json:"processes"`
	Log       []string         `json:"log"` // its last lines; names never reach a log
}

func writeBundle(ctx context.Context, c *common, path string, checks []doctor.Check) error {
	r := report{Made: time.Now(), Version: version, System: system(), Processes: []control.Status{}, Log: lastLines(c)}
	hide := c.secrets(ctx)
	for _, process := range c.processes() {
		if st, err := process.Status(ctx); err == nil {
			r.Processes = append(r.Processes, redacted(st, hide))
		}
	}
	for _, check := range checks {
		check.Says, check.Fix = hide.Replace(check.Says), hide.Replace(check.Fix)
		r.Checks = append(r.Checks, check)
	}
	for i := range r.Log {
		r.Log[i] = hide.Replace(r.Log[i])
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	enc := json.NewEncoder(f)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		f.Close()
		return fmt.Errorf("writing the report: %w", err)
	}
	return f.Close()
}

// redacted is a status without names. Sentences go through hide.
func redacted(st control.Status, hide *strings.Replacer) control.Status {
	st.Account = "…"
	st.Problem, st.Cache.Degraded = hide.Replace(st.Problem), hide.Replace(st.Cache.Degraded)
	st.Notices = each(st.Notices, hide.Replace)
	st.Mounts = each(st.Mounts, func(m control.Mount) control.Mount { return control.Mount{ReadOnly: m.ReadOnly} })
	st.Pending.Items = each(st.Pending.Items, func(c control.Change) control.Change {
		c.Path, c.Reason = "", hide.Replace(c.Reason)
		return c
	})
	st.HereOnly.Items, st.Interrupted = each(st.HereOnly.Items, nameless), each(st.Interrupted, nameless)
	st.Transfer = each(st.Transfer, func(t control.Transfer) control.Transfer {
		t.Path = ""
		return t
	})
	st.Pinned = each(st.Pinned, func(p control.Pinned) control.Pinned {
		if p.Path = ""; p.Problem != "" {
			p.Problem = "…" // it begins with the path of a file
		}
		return p
	})
	return st
}

func nameless(f control.HereFile) control.HereFile { return control.HereFile{Size: f.Size} }

// each is a list with fn done to a copy of each of its things.
func each[T any](list []T, fn func(T) T) []T {
	var out []T
	for _, thing := range list {
		out = append(out, fn(thing))
	}
	return out
}

// secrets takes what names a person out of texts: the home folder, e-mail addresses, mount points.
func (c *common) secrets(ctx context.Context) *strings.Replacer {
	var pairs []string
	add := func(text, instead string) {
		if len(text) > 1 {
			pairs = append(pairs, text, instead)
		}
	}
	for _, process := range c.processes() {
		if st, err := process.Status(ctx); err == nil {
			add(st.Account, "EMAIL")
			for _, m := range st.Mounts {
				add(m.Mountpoint, "MOUNTPOINT")
			}
		}
	}
	if st, err := c.store(); err == nil {
		for _, email := range st.Emails() {
			add(email, "EMAIL")
		}
	}
	for _, point := range serve.DeadMounts() {
		add(point, "MOUNTPOINT")
	}
	add(os.Getenv("HOME"), "HOME")
	host, _ := os.Hostname()
	add(host, "HOST")
	return strings.NewReplacer(pairs...)
}

func system() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return fmt.Sprintf("%s %s, %d cores, %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), runtime.Version())
}

// logKept is how many lines of a log a report holds.
const logKept = 200

// lastLines are the ends of the logs.
func lastLines(c *common) []string {
	var all []string
	logs, _ := filepath.Glob(filepath.Join(c.dirs().State, "*", "*", logFile))
	for _, name := range logs {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		var lines []string
		for s := bufio.NewScanner(f); s.Scan(); {
			if lines = append(lines, s.Text()); len(lines) > logKept {
				lines = lines[1:]
			}
		}
		f.Close()
		all = append(all, lines...)
	}
	return all
}

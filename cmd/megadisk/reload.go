package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/daemon"
	"megadisk/cmd/megadisk/internal/logfile"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
)

// hangsUp tells whether SIGHUP asks this process to read its configuration again, as it asks a service; elsewhere it
// says that the terminal was closed.
func hangsUp() bool { return !daemon.Child() && os.Getenv("NOTIFY_SOCKET") == "" }

// reloads gives the requests to read the configuration again.
func (c *common) reloads() (requests <-chan os.Signal, stop func()) {
	asked := make(chan os.Signal, 1)
	if !c.front {
		signal.Notify(asked, syscall.SIGHUP)
	}
	return asked, func() { signal.Stop(asked) }
}

// reload reads the configuration again, for what can change while something is mounted. A mistake in it changes
// nothing.
func (c *common) reload(p *serve.Process) {
	next, m := &common{config: c.config}, &mountFlags{}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	next.add(set)
	m.add(set)
	next.config = c.config
	_, err := next.settle("mount", set)
	if err == nil {
		err = m.check()
	}
	const mistake = "the configuration has a mistake, which `megadisk config show` names; it stays as it was"
	if err != nil {
		c.log.Error(mistake)
		return
	}
	fixed := func(name string) bool { return c.origins[name] == fromCommandLine }
	level, format := c.logLevel, c.logFormat
	if !fixed("log-level") {
		c.logLevel = next.logLevel
	}
	if !fixed("log-format") {
		c.logFormat = next.logFormat
	}
	if c.setLog() != nil {
		c.logLevel, c.logFormat = level, format
		c.log.Error(mistake)
		return
	}
	if !fixed("notify") {
		c.notify = m.notify
	}
	if !fixed("metered") {
		p.SetMetered(m.reading.metered)
	}
	c.log.Info("the configuration was read again")
}

// logToFile makes the log of a process in the background one that doesn't grow without end.
func (c *common) logToFile(client *megaclient.Client) error {
	host, err := paths.Host(c.apiURL)
	if err != nil {
		return err
	}
	state, _, err := c.dirs().Account(host, string(client.Session().User))
	if err != nil {
		return err
	}
	file, err := logfile.Open(filepath.Join(state, logFile))
	if err != nil {
		return err
	}
	c.log.SetOutput(file)
	return file.TakeStandardError()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/paths"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/cmd/megadisk/internal/systemd"
	"megadisk/megaclient"
)

// memoryLimit is from where on the garbage collector works more in place of taking more memory. What is in use while a
// tree of a million is fetched, or read through, stays below it.
const memoryLimit = 176 << 20

// hold is the process that holds the mounts of an account, until the last one is gone or a signal comes. It
// calls ready when the first one answers.
func hold(ctx context.Context, c *common, client *megaclient.Client, socket string, req control.MountRequest, ready func()) error {
	serve.NoDumps()
	debug.SetMemoryLimit(memoryLimit)
	again, stop := c.reloads()
	defer stop()
	p, err := serve.Open(ctx, c.serveOptions(client))
	if err != nil {
		return err
	}
	server, err := control.Serve(socket, p, describe)
	if err != nil {
		return errors.Join(err, p.Close())
	}
	defer c.serveMetrics(p)()
	if err := p.Mount(ctx, req); err != nil {
		server.Close()
		return errors.Join(err, p.Close())
	}
	ready()
	manager := systemd.FromEnvironment()
	manager.Ready()
	done := c.attend(p, manager, again)
	p.Wait(ctx)
	manager.Stopping()
	if manager != nil {
		drain(p, manager)
	}
	done()
	err = p.Close()
	server.Close()
	return err
}

// serveMetrics lets Prometheus ask, if that is wanted, until withdraw is called. No mount depends on it: at boot, several accounts
// may have one address.
func (c *common) serveMetrics(p *serve.Process) (withdraw func()) {
	if c.metrics == nil {
		return func() {}
	}
	c.metrics.Watch(func() control.Status {
		st, _ := p.Status(context.Background()) // never fails
		return st
	})
	withdraw, err := c.metrics.Serve(c.metricsAt)
	if err != nil {
		p.Notice(fmt.Sprintf("%v: there are none until it is mounted anew with another --metrics", err))
		return func() {}
	}
	return withdraw
}

// socket is the path of the control socket of the client's account.
func (c *common) socket(client *megaclient.Client) (string, error) {
	host, err := paths.Host(c.apiURL)
	if err != nil {
		return "", usage("%v", err)
	}
	return c.dirs().Socket(host, string(client.Session().User))
}

// serveOptions says where the account's stores are and who writes the log.
func (c *common) serveOptions(client *megaclient.Client) serve.Options {
	log, _ := c.logger() // checked when the client was resumed
	host, _ := paths.Host(c.apiURL)
	session := func(ctx context.Context) (megaclient.Session, error) {
		st, err := c.store()
		if err != nil {
			return megaclient.Session{}, err
		}
		return st.Load(ctx, string(client.Session().User))
	}
	o := serve.Options{Client: client, Session: session, OpenLink: c.openLink, Dirs: c.dirs(), Host: host, Log: log}
	if c.metrics != nil {
		o.Observe = c.metrics.Operation
	}
	if c.reading != nil {
		o = c.reading.serve(o)
	}
	if c.staging != nil {
		o = c.staging.serve(o)
	}
	if c.sending != nil {
		o = c.sending.serve(o)
	}
	if c.desktop != nil {
		o = c.desktop.serve(o)
	}
	return o
}

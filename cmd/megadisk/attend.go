package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/dustin/go-humanize"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/desktop"
	"megadisk/cmd/megadisk/internal/inhibit"
	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/cmd/megadisk/internal/systemd"
)

// What the process that holds the mounts does for the machine around it.

const (
	attendEvery = 2 * time.Second
	// patience is how long a service that is stopped waits for uploads that don't move. What is pending then stays on
	// the disk for the next start.
	patience = 30 * time.Second
)

// attend keeps the service manager and logind informed and reads the configuration again when it is asked to, until
// done is called.
func (c *common) attend(p *serve.Process, manager *systemd.Notifier, again <-chan os.Signal) (done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		every := attendEvery
		if dog := systemd.Watchdog(); dog > 0 {
			every = min(every, dog/3)
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		var hold inhibit.Lock
		var told messages
		defer hold.Set(false)
		for last := ""; ; {
			st, _ := p.Status(ctx) // never fails; it asks every part, so that a lock held for ever stops the watchdog's pings
			manager.Alive()
			hold.Set(st.Pending.Changes > 0 && st.Online) // out of reach of the server, waiting would be for nothing
			if news := told.news(st); news != "" && c.notify {
				go desktop.Show("megadisk", news) // as long as the desktop takes; nothing waits for it
			}
			var list []control.Happening
			list, told.seen = p.Conflicts(told.seen)
			if text := conflicts(list); text != "" && c.notify {
				go desktop.Show("megadisk", text)
			}
			if text := summary(st); text != last {
				manager.Status(text)
				last = text
			}
			select {
			case <-tick.C:
			case <-again:
				c.reload(p)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// drain uploads what is pending before a service stops, for as long as the uploads move.
func drain(p *serve.Process, manager *systemd.Notifier) {
	manager.MoreTime(2 * patience)
	p.Drain(patience, func() { manager.MoreTime(2 * patience) })
}

// summary is a line about a process, without names.
func summary(st control.Status) string {
	left := "everything is in the cloud"
	if n := st.Pending.Changes; n > 0 {
		left = fmt.Sprintf("%d changes (%s) are not in the cloud yet", n, humanize.IBytes(uint64(st.Pending.Bytes)))
	}
	switch {
	case st.Problem != "":
		return st.Problem + "; " + left
	case st.Offline != nil:
		return "offline; " + left
	}
	return left
}

// standBeside is a mount in front that another process holds: it stays as long as the mount does, and takes it away
// when a signal comes. That the other process died is an error, so that the service manager starts both again.
func standBeside(ctx context.Context, process *control.Client, point string) error {
	manager := systemd.FromEnvironment()
	manager.Ready()
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			manager.Stopping()
			_, err := process.Unmount(context.Background(), control.UnmountRequest{Mountpoint: point})
			return err
		case <-tick.C:
			manager.Alive()
			st, err := process.Status(ctx)
			if err == nil && mountOf(st, point) == point || ctx.Err() != nil {
				continue
			}
			return serve.CheckEnd(point)
		}
	}
}

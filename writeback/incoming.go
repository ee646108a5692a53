package writeback

import (
	"context"
	"errors"
	"fmt"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// What others share comes in parts: the folder by the stream, its key at the same time or later, who its owner is
// before, or only when that is asked for. What is missing is looked for when an event says that there may be something,
// and, since the process may have ended before it was found, at the start.

// incomingLoop looks for keys and owners of what others share.
func (e *Engine) incomingLoop(ctx context.Context) {
	e.wantIncoming()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.stream.keys:
		}
		err := e.learnKeys(ctx)
		if err == nil || classify(err) == errRefused {
			err = errors.Join(err, e.learnOwners(ctx))
		}
		if err == nil || isCancel(ctx, err) {
			continue
		}
		e.trouble(err)
		if classify(err) == errNetwork && sleep(ctx, e.times.RetryFirst) {
			e.stream.wantKeys()
		}
	}
}

// wantIncoming has incomingLoop look, if something is missing.
func (e *Engine) wantIncoming() {
	unnamed, err := e.unnamedOwners()
	locked := false
	if err == nil {
		locked, err = e.tree.Locked()
	}
	if err != nil {
		e.log.WithError(err).Warn("what others share could not be looked at")
	}
	if len(unnamed) > 0 || locked {
		e.stream.wantKeys()
	}
}

func (e *Engine) learnKeys(ctx context.Context) error {
	if err := e.client.LoadKeys(ctx); err != nil {
		return err
	}
	err := e.update(ctx, func(c *change) error { return c.AddShareKeys(e.client.ShareKeys()) })
	if err != nil {
		return err
	}
	_, err = e.tree.Unlock(ctx)
	return err
}

// learnOwners asks for the addresses of those who share something and whom nobody has named. Whom the server doesn't
// name either goes by the handle.
func (e *Engine) learnOwners(ctx context.Context) error {
	unnamed, err := e.unnamedOwners()
	if err != nil {
		return err
	}
	var found []megaclient.User
	for _, h := range unnamed {
		mail, err := e.client.UserEmail(ctx, h)
		if err == nil {
			found = append(found, megaclient.User{Handle: h, Email: mail})
		} else if classify(err) != errRefused {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	if err := e.update(ctx, func(c *change) error { return c.hearUsers(found) }); err != nil {
		return fmt.Errorf("noting who shares something: %w", err)
	}
	return nil
}

// unnamedOwners lists who shares something and has no address here.
func (e *Engine) unnamedOwners() (list []megaclient.UserHandle, err error) {
	err = e.tree.View(func(tx *tree.Tx) error {
		known, owners, err := knownUsers(tx)
		for h := range owners {
			if known[h] == "" {
				list = append(list, h)
			}
		}
		return err
	})
	return list, err
}

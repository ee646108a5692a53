package writeback

import (
	"context"
	"fmt"

	"megadisk/megaclient"
)

// fullFetch fetches the whole tree and merges it into ours (mark and sweep).
// No command is sent meanwhile, so that what it brings is newer than anything
// acknowledged.
func (e *Engine) fullFetch(ctx context.Context) error {
	if !e.enterLane(ctx) {
		return ctx.Err()
	}
	defer e.leaveLane()
	begun := e.now()
	if err := e.client.LoadKeys(ctx); err != nil {
		if classify(err) != errRefused {
			return fmt.Errorf("loading keys: %w", err)
		}
		e.log.Warn("the account's share keys could not be read")
	}
	epoch, err := e.tree.BeginFetch(ctx)
	if err != nil {
		return fmt.Errorf("beginning a fetch: %w", err)
	}
	first := !e.tree.Fetched() && !e.hasFlight()
	page := make([]*megaclient.Node, 0, nodesAtOnce)
	rooted := false
	result, err := e.client.FetchNodes(ctx, first, func(n *megaclient.Node) error {
		rooted = rooted || n.Type == megaclient.RootNode
		if page = append(page, n); len(page) < cap(page) {
			return nil
		}
		err := e.applyFetched(ctx, page)
		page = page[:0]
		return err
	})
	if err == nil {
		err = e.applyFetched(ctx, page)
	}
	if err == nil && !rooted { // nothing is removed because of an answer that can't be all
		err = fmt.Errorf("%w: a tree without its root", megaclient.ErrBadAnswer)
	}
	if err != nil {
		return fmt.Errorf("fetching the tree: %w", err)
	}
	if err := e.endFetch(ctx, epoch, result); err != nil {
		return err
	}
	failpoint("fetched")
	e.online()
	e.stream.fetched(begun)
	e.wantIncoming()
	e.queue.kick()
	return nil
}

// applyFetched applies some nodes of a fetch.
func (e *Engine) applyFetched(ctx context.Context, page []*megaclient.Node) error {
	for len(page) > 0 {
		n := 0
		err := e.update(ctx, func(c *change) error {
			for n = 0; n < len(page) && !c.Full(); n++ {
				err := c.part(c.markFound(page[n]), page[n])
				if err == nil {
					err = c.keepNanos(page[n].Handle, func() error { return c.ApplyNode(page[n], "") })
				}
				if err != nil {
					if isFatal(err) {
						return err
					}
					e.log.Warn("a node of the full fetch could not be applied")
				}
			}
			return c.finishEvents()
		})
		if err != nil {
			return fmt.Errorf("applying fetched nodes: %w", err)
		}
		page = page[n:]
	}
	return nil
}

// endFetch sweeps what wasn't fetched any more, and ends echo rows: what was
// acknowledged before is in what was fetched.
func (e *Engine) endFetch(ctx context.Context, epoch uint32, result *megaclient.FetchResult) error {
	links := make([][2]megaclient.Handle, 0, len(result.Links))
	for node, public := range result.Links {
		links = append(links, [2]megaclient.Handle{node, public})
	}
	for len(links) > 0 {
		n := 0
		err := e.update(ctx, func(c *change) error {
			for n = 0; n < len(links) && !c.Full(); n++ {
				if err := c.ApplyLink(links[n][0], links[n][1], false); err != nil && isFatal(err) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("applying links: %w", err)
		}
		links = links[n:]
	}
	err := e.update(ctx, func(c *change) error { return c.AddShareKeys(e.client.ShareKeys()) })
	if err != nil {
		return fmt.Errorf("storing share keys: %w", err)
	}
	if _, err := e.tree.Unlock(ctx); err != nil {
		return fmt.Errorf("unlocking nodes: %w", err)
	}
	if err := e.tree.EndFetch(ctx, epoch); err != nil {
		return fmt.Errorf("sweeping after a fetch: %w", err)
	}
	err = e.update(ctx, func(c *change) error {
		if err := c.keepPeople(result); err != nil {
			return err
		}
		return c.SetSN(result.SN)
	})
	for more := true; more && err == nil; { // what a crash leaves of them ends when the stream says that nothing is new
		err = e.update(ctx, func(c *change) (err error) {
			more, err = c.endSomeEchoes()
			return err
		})
	}
	return err
}

// endSomeEchoes ends as many echo rows as a transaction takes; more: there are others.
func (c *change) endSomeEchoes() (more bool, err error) {
	for _, ids := range c.e.echoes {
		for id := range ids {
			if len(c.ended) == rowsAtOnce {
				return true, nil
			}
			if err := c.endEcho(id); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

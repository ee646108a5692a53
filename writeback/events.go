package writeback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// errRefetch ends the stream because the whole tree must be fetched again.
var errRefetch = errors.New("the tree must be fetched again")

// nodesAtOnce bounds the nodes that one transaction applies.
const nodesAtOnce = 400

// applyAnswer applies one answer of the event stream, in bounded transactions
// that may be repeated; the sequence number is in the last.
func (e *Engine) applyAnswer(ctx context.Context, a *megaclient.Answer) error {
	e.online()
	e.sessionLives()
	if len(a.Packets) == 0 && !a.More {
		return e.applyIdle(ctx, a)
	}
	e.stream.fellBehind(a.Asked)
	at := cursor{packets: a.Packets}
	for {
		e.removals.Lock()
		err := e.update(ctx, func(c *change) error {
			at.failed = nil
			for n := 0; n < nodesAtOnce && !c.Full() && at.more(); n++ {
				if err := c.applyNext(&at); err != nil {
					return err
				}
			}
			if err := c.finishEvents(); err != nil {
				return err
			}
			if at.more() {
				return nil
			}
			return c.SetSN(a.SN)
		})
		e.removals.Unlock()
		if err != nil {
			return fmt.Errorf("applying events: %w", err)
		}
		if at.failed != nil {
			// What it was about isn't said: names and keys stay out of the log.
			e.log.WithField("kind", fmt.Sprintf("%T", at.failed)).Warn("an event could not be applied; the tree will be fetched again")
			e.stream.wantFetch()
		}
		if !at.more() {
			break
		}
	}
	failpoint("events-applied")
	e.afterEvents(a)
	if e.stream.fetchWanted() {
		return errRefetch
	}
	return nil
}

// cursor is how far an answer has been applied.
type cursor struct {
	packets []megaclient.Packet
	i, node int
	failed  megaclient.Packet          // the last one that could not be applied
	echoes  []echoID                   // rows that end with the packet, when all of its nodes have been applied
	came    map[megaclient.Handle]bool // the packet's nodes so far
}

func (at *cursor) more() bool { return at.i < len(at.packets) }

func (at *cursor) nextPacket() { at.i, at.node, at.echoes, at.came = at.i+1, 0, nil, nil }

// comesAlong notes a node of the packet, and tells whether it is only there because it lies below another one.
func (at *cursor) comesAlong(n *megaclient.Node) bool {
	if at.came == nil {
		at.came = map[megaclient.Handle]bool{}
	}
	at.came[n.Handle] = true
	return at.came[n.Parent]
}

// applyNext applies the next packet, or the next node of a large one.
func (c *change) applyNext(at *cursor) error {
	p := at.packets[at.i]
	if at.node == 0 {
		if err := c.passed(p.PacketTag()); err != nil {
			return err
		}
	}
	var err error
	if nodes, ok := p.(*megaclient.NodesPacket); ok {
		if at.node < len(nodes.Nodes) {
			err = c.applyNode(nodes.Nodes[at.node], p.PacketTag(), at)
			at.node++
		}
		if at.node >= len(nodes.Nodes) {
			if err := c.endEchoes(at, nodes); err != nil {
				return err
			}
			if len(nodes.Users) > 0 {
				err = errors.Join(err, c.hearUsers(nodes.Users))
			}
			c.markEchoed(p)
			at.nextPacket()
		}
	} else {
		err = c.applyPacket(p)
		c.markEchoed(p)
		at.nextPacket()
	}
	if err != nil && !isFatal(err) {
		at.failed = p
		return nil
	}
	return err
}

// endEchoes ends the rows of a packet that has been applied as a whole: a large one takes several transactions, and is
// ours until the last. The answer may have come, and made rows, after its first node was applied.
func (c *change) endEchoes(at *cursor, p *megaclient.NodesPacket) error {
	for _, f := range []field{fieldPlace, fieldAttrs} {
		if len(p.Nodes) == 0 {
			break
		}
		if id := (echoID{p.Nodes[0].Handle, f, p.PacketTag()}); !slices.Contains(at.echoes, id) {
			at.echoes = append(at.echoes, id)
		}
	}
	for _, id := range at.echoes {
		delete(c.ended, id)
		if err := c.endEcho(id); err != nil {
			return err
		}
	}
	return nil
}

// isFatal tells apart an event that makes no sense from a state that can't
// take any.
func isFatal(err error) bool {
	return errors.Is(err, tree.ErrClosed) || errors.Is(err, tree.ErrTooBig) || errors.Is(err, tree.ErrCorrupt) ||
		errors.Is(err, context.Canceled)
}

func (c *change) applyPacket(p megaclient.Packet) error {
	switch p := p.(type) {
	case *megaclient.AttrsPacket:
		return c.applyAttrs(p)
	case *megaclient.RemovePacket:
		return c.applyRemove(p)
	case *megaclient.FileAttrsPacket:
		return c.ApplyFileAttrs(p.Node, p.FileAttrs)
	case *megaclient.LinkPacket:
		return c.ApplyLink(p.Node, p.Public, p.Removed)
	case *megaclient.UsersPacket:
		return c.hearUsers(p.Users)
	case *megaclient.BadPacket:
		return fmt.Errorf("%w: %w", tree.ErrInvalid, p.Err)
	case *megaclient.SharePacket:
		if !p.Removed && !p.KeyOnly && !p.Link {
			if err := c.ApplyAccess(p.Node, p.Owner, p.Access); err != nil {
				return err
			}
		}
		if err := c.applyShare(p); err != nil {
			return err
		}
		return c.AddShareKeys(c.e.client.ShareKeys())
	}
	return nil
}

// applyNode applies a node, but for the fields that we have changed since.
func (c *change) applyNode(n *megaclient.Node, tag string, at *cursor) error {
	along := at.comesAlong(n)
	ours := c.markFound(n)
	if n.Version {
		if err := c.noteVersion(n); err != nil {
			return err
		}
	}
	if held, err := c.holdOff(n.Handle, fieldGone, tag); held || err != nil {
		return err
	}
	echo := c.expects(echoID{n.Handle, fieldPlace, tag})
	moved := echo && !c.expects(echoID{n.Handle, fieldAttrs, tag}) // by us; who makes a node gives it both
	for _, f := range []field{fieldPlace, fieldAttrs} {
		if _, err := c.holdOff(n.Handle, f, tag); err != nil {
			return err
		}
		id := echoID{n.Handle, f, tag}
		if f == fieldPlace && c.expects(id) {
			if err := c.doomMoved(n.Handle); err != nil {
				return err
			}
		}
		if c.expects(id) {
			c.ended[id] = true
			at.echoes = append(at.echoes, id)
		}
	}
	if !c.e.ownTag(tag) {
		if err := c.pardon(n.Handle); err != nil {
			return err
		}
	}
	if done, err := c.overtakenVersion(n, tag, moved); done || err != nil {
		return err
	}
	_, known := c.ByHandle(n.Handle)
	above, older := c.IsVersion(n.Handle)
	if echo && !known && !(moved && older) && !c.isBin(n.Parent) {
		return nil // what we made or moved is gone since, as an older version of something removed, perhaps
	}
	n, wanted, err := c.upToDate(n)
	if err != nil || !wanted {
		return err
	}
	if moved && older {
		if err := c.unfollow(above, n); err != nil {
			return err
		}
	}
	stays := c.staysOut(n, tag, along)
	if err := c.part(ours, n); err != nil {
		return err
	}
	err = c.applyOurs(c.unheard(tag), func() error {
		return c.keepNanos(n.Handle, func() error { return c.ApplyNode(n, tag) })
	})
	if err == nil && ours != 0 {
		err = c.created(ours, n.Handle)
	}
	if err == nil && !n.Version {
		err = c.noteKeyless(n.Handle, tag)
	}
	if ino, known := c.ByHandle(n.Handle); err == nil && stays && known {
		err = c.TakeOut(ino)
	}
	return err
}

// upToDate replaces the fields of a node that are older than our changes by
// what the shadow says. A node whose place is older and that has no inode any
// more isn't wanted: we moved it to the bin since.
func (c *change) upToDate(n *megaclient.Node) (_ *megaclient.Node, wanted bool, err error) {
	place, attrs := c.awaited(n.Handle, fieldPlace), c.awaited(n.Handle, fieldAttrs)
	if n.Version || (!place && !attrs) {
		return n, true, nil // that it became an older version is never ours to hold off
	}
	ino, known := c.ByHandle(n.Handle)
	if !known {
		return n, !place, nil
	}
	in, err := c.Get(ino)
	if err != nil {
		return n, false, err
	}
	if in.Cloud == nil || in.Cloud.Handle != n.Handle {
		return n, !place, nil
	}
	return withShadow(*n, in.Cloud, place, attrs), true, nil
}

// created notes that a creation in flight has its node: it isn't new any more,
// and what comes later for its place is no rival but its successor.
func (c *change) created(ino tree.Ino, h megaclient.Handle) error {
	in, err := c.Get(ino)
	if err != nil || in.Removed || in.Cloud == nil || in.Cloud.Handle != h || !in.Pending.Has(tree.PendingCreate) {
		return nil
	}
	differs, err := c.placeDiffers(&in)
	if err != nil {
		return err
	}
	in.Pending &^= tree.PendingCreate
	if differs {
		in.Pending |= tree.PendingPlace
	}
	if in.Kind == tree.File {
		in.Pending |= tree.PendingContent
	}
	return c.Put(&in)
}

// keepNanos applies something to a node and keeps the mtime that was set here
// if it is the same second: the cloud knows no fractions.
func (c *change) keepNanos(h megaclient.Handle, apply func() error) error {
	ino, known := c.ByHandle(h)
	if !known {
		return apply()
	}
	before, err := c.Get(ino)
	if err != nil {
		return err
	}
	if err := apply(); err != nil {
		return err
	}
	in, err := c.Get(ino)
	if err != nil || in.Exact || in.Mtime == before.Mtime || unixSeconds(in.Mtime) != unixSeconds(before.Mtime) {
		return nil
	}
	in.Mtime = before.Mtime
	if in.Size == before.Size && in.Mode == before.Mode && in.HasMode == before.HasMode && maps.Equal(in.Xattrs, before.Xattrs) {
		in.Ctime = before.Ctime // nothing that a program can see has changed
	}
	return c.Put(&in)
}

// withShadow puts the shadow's fields in the place of older ones.
func withShadow(n megaclient.Node, shadow *tree.Cloud, place, attrs bool) *megaclient.Node {
	if place {
		n.Parent = shadow.Parent
	}
	if attrs && shadow.Attrs != nil {
		n.Key, n.Attrs, n.RawAttrs = shadow.Key, shadow.Attrs, ""
	}
	return &n
}

func (c *change) applyAttrs(p *megaclient.AttrsPacket) error {
	held, err := c.holdOff(p.Node, fieldAttrs, p.PacketTag())
	if err == nil && !held {
		held, err = c.holdOff(p.Node, fieldGone, p.PacketTag())
	}
	if err != nil {
		return err
	}
	if err := c.endEcho(echoID{p.Node, fieldAttrs, p.PacketTag()}); err != nil {
		return err
	}
	if held {
		return c.heldAttrs(p)
	}
	if done, err := c.overtakenAttrs(p); done || err != nil {
		return err
	}
	return c.applyOurs(c.unheard(p.PacketTag()), func() error {
		return c.keepNanos(p.Node, func() error { return c.ApplyAttrs(p.Node, p.RawAttrs, p.PacketTag()) })
	})
}

func (c *change) applyRemove(p *megaclient.RemovePacket) error {
	if p.Move {
		if !c.e.ownTag(p.PacketTag()) {
			if err := c.pardon(p.Node); err != nil {
				return err
			}
		}
		if held, err := c.holdOff(p.Node, fieldPlace, p.PacketTag()); held || err != nil {
			return err // ours, or older than ours: the place is the shadow's
		}
		return c.ApplyRemove(p.Node, true)
	}
	if err := c.endEcho(echoID{p.Node, fieldGone, p.PacketTag()}); err != nil {
		return err
	}
	return c.ApplyRemove(p.Node, false)
}

// finishEvents stores what events said about the batch in flight.
func (c *change) finishEvents() error {
	if !c.flightMarked {
		return nil
	}
	return putRow(c.b, stringKey(rowBatch, c.e.flight.Batch.ID), c.e.flight.batchRow)
}

// adoptPending gives a journal row to what the cloud's changes left pending.
func (e *Engine) adoptPending(ctx context.Context, inos []tree.Ino) error {
	var missing []tree.Ino
	for _, ino := range inos {
		if !e.queue.has(ino) {
			missing = append(missing, ino)
		}
	}
	for len(missing) > 0 {
		n := min(len(missing), rowsAtOnce)
		err := e.update(ctx, func(c *change) error {
			for _, ino := range missing[:n] {
				in, err := c.Get(ino)
				if err != nil || in.Pending == 0 || (in.Removed && in.Cloud == nil) {
					continue
				}
				if err := c.touch(ino, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("journaling what is pending: %w", err)
		}
		missing = missing[n:]
	}
	return nil
}

// applyIdle: nothing was new when the question was asked. So no packet will
// come any more for what was acknowledged long enough before.
func (e *Engine) applyIdle(ctx context.Context, a *megaclient.Answer) error {
	before := a.Asked.Add(-e.times.EchoGrace)
	for more := true; more; {
		err := e.update(ctx, func(c *change) error {
			if err := c.DropHalves(); err != nil {
				return err
			}
			if more = c.Full(); more {
				return nil
			}
			return c.expireEchoes(before)
		})
		if err != nil {
			return fmt.Errorf("ending echo rows: %w", err)
		}
	}
	if e.stream.fetchWanted() {
		return errRefetch
	}
	e.stream.sawIdle(a.Asked)
	return nil
}

// afterEvents starts what packets ask for besides changing the tree.
func (e *Engine) afterEvents(a *megaclient.Answer) {
	missing := false
	for _, p := range a.Packets {
		switch p := p.(type) {
		case *megaclient.PendingKeysPacket, *megaclient.SharePacket:
			missing = true
		case *megaclient.NodesPacket:
			missing = missing || slices.ContainsFunc(p.Nodes, func(n *megaclient.Node) bool { return n.SharedBy != "" })
		case *megaclient.QuotaPacket:
			e.status.wantQuota()
		case *megaclient.UserAttrsPacket:
			if slices.Contains(p.Names, megaclient.VersionsAttr) {
				poke(e.askVersions)
			}
		case *megaclient.RemovePacket:
			if e.walls.any.Load() {
				e.status.wantQuota() // somebody may be making room
			}
		}
	}
	if missing {
		e.stream.wantKeys()
	}
	e.queue.kick()
	poke(e.spendSoon)
	poke(e.keysSoon)
}

package writeback

import (
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"megadisk/megaclient"
)

// field is a part of a node that one command changes.
type field byte

const (
	fieldPlace field = 'p' // the parent
	fieldAttrs field = 'a' // attributes, the name among them
	fieldGone  field = 'g' // the node as a whole: removed for good
)

// echoID names one packet of ours that is still to come.
type echoID struct {
	handle megaclient.Handle
	field  field
	tag    string
}

// echoRow is its row's value.
type echoRow struct {
	Acked int64 `cbor:"1,keyasint"` // Unix ns, of the acknowledgement
}

// echoIndex is the echo rows in memory: by node, then by field and tag. While
// a field has any, packets for it are older than our change.
type echoIndex map[megaclient.Handle]map[echoID]time.Time

func (x echoIndex) add(id echoID, at time.Time) {
	if x[id.handle] == nil {
		x[id.handle] = map[echoID]time.Time{}
	}
	x[id.handle][id] = at
}

func (x echoIndex) remove(id echoID) {
	delete(x[id.handle], id)
	if len(x[id.handle]) == 0 {
		delete(x, id.handle)
	}
}

func (id echoID) key() []byte {
	return stringKey(rowEcho, fmt.Sprintf("%s%c%s", id.handle, id.field, id.tag))
}

// parseEchoKey is the inverse of key.
func parseEchoKey(k []byte) (echoID, bool) {
	const handleLen = 8
	if len(k) < 2+handleLen+1 {
		return echoID{}, false
	}
	k = k[2:]
	return echoID{megaclient.Handle(k[:handleLen]), field(k[handleLen]), string(k[handleLen+1:])}, true
}

// addEcho notes that packets of our own command are still to come.
func (c *change) addEcho(h megaclient.Handle, tag string, fields ...field) error {
	now := c.e.now()
	for _, f := range fields {
		id := echoID{h, f, tag}
		if err := putRow(c.b, id.key(), echoRow{Acked: now.UnixNano()}); err != nil {
			return err
		}
		c.after = append(c.after, func() {
			c.e.echoes.add(id, now)
			c.e.ownTags(1, tag)
		})
	}
	return nil
}

// expects tells whether this very packet of ours is still to come.
func (c *change) expects(id echoID) bool {
	_, ok := c.e.echoes[id.handle][id]
	return ok && !c.ended[id]
}

// awaited tells whether packets for the field are held off: they are older
// than our change.
func (c *change) awaited(h megaclient.Handle, f field) bool {
	for id := range c.e.echoes[h] {
		if id.field == f && !c.ended[id] {
			return true
		}
	}
	return false
}

// endEcho removes a row, if there is one.
func (c *change) endEcho(id echoID) error {
	if !c.expects(id) {
		return nil
	}
	c.ended[id] = true
	c.after = append(c.after, func() {
		c.e.echoes.remove(id)
		c.e.ownTags(-1, id.tag)
	})
	return c.b.Delete(id.key())
}

func (e *Engine) replayEchoes(b *badger.Txn) error {
	return scanRows(b, []byte{rowPrefix, rowEcho}, func(key, raw []byte) error {
		var row echoRow
		if err := decodeRow(raw, &row); err != nil {
			return fmt.Errorf("echo row: %w", err)
		}
		if id, ok := parseEchoKey(key); ok {
			e.echoes.add(id, time.Unix(0, row.Acked))
			e.ownTags(1, id.tag)
		}
		return nil
	})
}

// expireEchoes ends the rows of commands acknowledged before a time: the
// stream said later that nothing is new, so no packet will come for them.
func (c *change) expireEchoes(before time.Time) error {
	n := 0
	for _, ids := range c.e.echoes {
		for id, acked := range ids {
			if !acked.Before(before) {
				continue
			}
			if err := c.endEcho(id); err != nil {
				return err
			}
			if n++; n >= rowsAtOnce {
				return nil
			}
		}
	}
	return nil
}

// ownTag is the tree's question whether a packet is ours.
func (e *Engine) ownTag(tag string) bool {
	if tag == "" {
		return false
	}
	e.keysMu.Lock()
	defer e.keysMu.Unlock()
	return e.tags[tag] > 0
}

// ownTags counts commands of ours that are in flight or have packets to come.
func (e *Engine) ownTags(by int, tags ...string) {
	e.keysMu.Lock()
	defer e.keysMu.Unlock()
	for _, tag := range tags {
		if e.tags[tag] += by; e.tags[tag] <= 0 {
			delete(e.tags, tag)
		}
	}
}

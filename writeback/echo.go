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

// echoRow is its row's value. Commands are executed, and their packets come, in
// the order of Seq.
type echoRow struct {
	Acked int64  `cbor:"1,keyasint"`           // Unix ns, of the acknowledgement: nothing goes by it, since clocks are set
	Seq   uint64 `cbor:"2,keyasint,omitempty"` // the command's place among ours
	// Held: somebody's packet for the field was held off. That it was older than
	// our change is proved by our packet only.
	Held bool `cbor:"3,keyasint,omitempty"`
	// Set: the fields of the attributes that the command was to change.
	Set []string `cbor:"4,keyasint,omitempty"`

	since time.Time // of the acknowledgement, or of the start, by the clock that nobody sets
}

// echoIndex is the echo rows in memory: by node, then by field and tag. While
// a field has any, packets for it are older than our change.
type echoIndex map[megaclient.Handle]map[echoID]echoRow

func (x echoIndex) put(id echoID, row echoRow) {
	if x[id.handle] == nil {
		x[id.handle] = map[echoID]echoRow{}
	}
	x[id.handle][id] = row
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

// addEcho notes that packets of a command of the batch in flight are still to
// come.
func (c *change) addEcho(h megaclient.Handle, tag string, fields ...field) error {
	for _, f := range fields {
		id, row := echoID{h, f, tag}, echoRow{Acked: c.e.now().UnixNano(), Seq: c.e.flight.seqOf(tag), since: time.Now()}
		if f == fieldAttrs {
			row.Set = c.e.flight.Items[c.e.flight.tags[tag]].Set
		}
		if err := putRow(c.b, id.key(), row); err != nil {
			return err
		}
		c.after = append(c.after, func() {
			c.e.echoes.put(id, row)
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

// holdOff is awaited, for a packet with that tag. It remembers if somebody
// else's is held off.
func (c *change) holdOff(h megaclient.Handle, f field, tag string) (bool, error) {
	if !c.awaited(h, f) {
		return false, nil
	}
	if c.e.ownTag(tag) {
		return true, nil
	}
	for id, row := range c.e.echoes[h] {
		if id.field != f || c.ended[id] || row.Held {
			continue
		}
		row.Held, c.held[id] = true, true
		if err := putRow(c.b, id.key(), row); err != nil {
			return true, err
		}
		c.after = append(c.after, func() {
			if _, there := c.e.echoes[id.handle][id]; there {
				c.e.echoes.put(id, row)
			}
		})
	}
	return true, nil
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

// giveUpEcho removes a row whose packet won't come: the command changed
// nothing. What was held off for it may have been newer, so all is fetched.
func (c *change) giveUpEcho(id echoID, row echoRow) error {
	if row.Held || c.held[id] {
		c.e.stream.wantFetch()
	}
	return c.endEcho(id)
}

// passed: a packet of ours has come, so those of earlier commands have.
func (c *change) passed(tag string) error {
	if !c.e.ownTag(tag) {
		return nil
	}
	seq := c.e.flight.seqOf(tag)
	for _, ids := range c.e.echoes {
		for id, row := range ids {
			if id.tag == tag {
				seq = row.Seq
			}
		}
	}
	for _, ids := range c.e.echoes {
		for id, row := range ids {
			if row.Seq < seq && !c.ended[id] {
				if err := c.giveUpEcho(id, row); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// expireEchoes ends the rows of commands acknowledged before a time, or, if a
// run before this one acknowledged them, when this one began before it: the
// stream said later that nothing is new, so no packet will come for them.
func (c *change) expireEchoes(before time.Time) error {
	n := 0
	for _, ids := range c.e.echoes {
		for id, row := range ids {
			if !row.since.Before(before) {
				continue
			}
			if err := c.giveUpEcho(id, row); err != nil {
				return err
			}
			if n++; n >= rowsAtOnce {
				return nil
			}
		}
	}
	return nil
}

func (e *Engine) replayEchoes(b *badger.Txn) error {
	return scanRows(b, []byte{rowPrefix, rowEcho}, func(key, raw []byte) error {
		var row echoRow
		if err := decodeRow(raw, &row); err != nil {
			return fmt.Errorf("echo row: %w", err)
		}
		row.since = time.Now()
		if id, ok := parseEchoKey(key); ok {
			e.echoes.put(id, row)
			e.ownTags(1, id.tag)
			e.sent = max(e.sent, row.Seq)
		}
		return nil
	})
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

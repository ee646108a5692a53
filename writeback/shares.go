package writeback

import (
	"context"
	"strings"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// Who has what of ours: as the last full fetch said, kept up by events. And whose keys were taken for the right ones,
// which no server can change.

const (
	// metaShares is the value of the tree that holds, for each folder of ours, who may do what there.
	metaShares = "writeback/shares"
	// metaTrusted is the one that holds, for each address to which a folder's key was given, whose keys these were.
	metaTrusted = "writeback/trusted"
)

// Trusted are the keys that an address had when a folder's key was given to it.
type Trusted struct {
	User     megaclient.UserHandle  `cbor:"1,keyasint"`
	Signing  megacrypto.Credentials `cbor:"2,keyasint"`
	Exchange megacrypto.Credentials `cbor:"3,keyasint"`
	Compared bool                   `cbor:"4,keyasint,omitempty"` // a person has compared the fingerprint
}

type (
	accesses  = map[megaclient.UserHandle]int
	outShares = map[megaclient.Handle]accesses
)

// readMeta reads a value of the tree into v; false if there is none.
func readMeta(tx *tree.Tx, name string, v any) (bool, error) {
	raw, err := tx.Meta(name)
	if err != nil || raw == nil {
		return false, err
	}
	return true, decodeRow(raw, v)
}

func (c *change) writeMeta(name string, v any) error {
	raw, err := encodeRow(v)
	if err != nil {
		return err
	}
	return c.SetMeta(name, raw)
}

// keepShares notes who has what of ours.
func (c *change) keepShares(shares []megaclient.Share) error {
	all := outShares{}
	for _, s := range shares {
		if s.User == "" {
			continue // a link, or an invitation that nobody has accepted
		}
		if all[s.Node] == nil {
			all[s.Node] = accesses{}
		}
		all[s.Node][s.User] = s.Access
	}
	return c.writeMeta(metaShares, all)
}

// applyShare notes a change in who has what, if it is about a folder of ours.
func (c *change) applyShare(p *megaclient.SharePacket) error {
	all := outShares{}
	known, err := readMeta(c.Tx, metaShares, &all)
	if err != nil || !known || p.User == "" || p.KeyOnly || p.Pending || p.Owner != c.e.client.User() {
		return err
	}
	if p.Removed {
		delete(all[p.Node], p.User)
		if len(all[p.Node]) == 0 {
			delete(all, p.Node)
		}
	} else {
		if all[p.Node] == nil {
			all[p.Node] = accesses{}
		}
		all[p.Node][p.User] = p.Access
	}
	return c.writeMeta(metaShares, all)
}

// Shares tells who may do what in a folder of ours; known is false if that was never heard: see AskPeople.
func (e *Engine) Shares(folder megaclient.Handle) (who map[megaclient.UserHandle]int, known bool, err error) {
	all := outShares{}
	err = e.tree.View(func(tx *tree.Tx) error {
		known, err = readMeta(tx, metaShares, &all)
		return err
	})
	return all[folder], known, err
}

// Trusted gives the keys that were taken for those of an address; false if none were.
func (e *Engine) Trusted(mail string) (t Trusted, known bool, err error) {
	all := map[string]Trusted{}
	err = e.tree.View(func(tx *tree.Tx) error {
		_, err := readMeta(tx, metaTrusted, &all)
		return err
	})
	t, known = all[strings.ToLower(mail)]
	return t, known, err
}

// Trust takes keys for those of an address.
func (e *Engine) Trust(ctx context.Context, mail string, t Trusted) error {
	return e.update(ctx, func(c *change) error {
		all := map[string]Trusted{}
		if _, err := readMeta(c.Tx, metaTrusted, &all); err != nil {
			return err
		}
		all[strings.ToLower(mail)] = t
		return c.writeMeta(metaTrusted, all)
	})
}

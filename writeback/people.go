package writeback

import (
	"context"
	"strings"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// The addresses of others: of this account's contacts, and of those who share something with it. A full fetch and
// events tell them; of who shares something and was told of by neither, it is asked for (incoming.go).

// metaUsers is the value of the tree that holds the addresses.
const metaUsers = "writeback/users"

type addresses = map[megaclient.UserHandle]string

// AskPeople asks the cloud for contacts and shares, which only a full fetch tells.
func (e *Engine) AskPeople(ctx context.Context) error {
	result, err := e.client.FetchNodes(ctx, false, func(*megaclient.Node) error { return nil })
	if err != nil {
		return err
	}
	return e.update(ctx, func(c *change) error { return c.keepPeople(result) })
}

// keepPeople notes what a full fetch says about others.
func (c *change) keepPeople(result *megaclient.FetchResult) error {
	before, owners, err := knownUsers(c.Tx)
	if err != nil {
		return err
	}
	known := addresses{}
	for owner := range owners {
		if mail := before[owner]; mail != "" {
			known[owner] = mail // who is no contact isn't in the fetch
		}
	}
	if err := c.noteUsers(known, owners, result.Users); err != nil {
		return err
	}
	return c.keepShares(result.OutShares)
}

// hearUsers notes what events, or an answer, say about others.
func (c *change) hearUsers(users []megaclient.User) error {
	known, owners, err := knownUsers(c.Tx)
	if err != nil {
		return err
	}
	return c.noteUsers(known, owners, users)
}

// noteUsers brings addresses up to date. An address is that of one user only: of who was said last to have it.
func (c *change) noteUsers(known addresses, owners map[megaclient.UserHandle]bool, users []megaclient.User) error {
	for _, u := range users {
		wanted := u.Contact || owners[u.Handle] || known[u.Handle] != "" && !u.Former
		if !wanted {
			delete(known, u.Handle)
			continue
		}
		if u.Email == "" {
			continue
		}
		for h, mail := range known {
			if h != u.Handle && strings.EqualFold(mail, u.Email) {
				delete(known, h)
			}
		}
		known[u.Handle] = u.Email
	}
	return c.writeMeta(metaUsers, known)
}

// knownUsers gives the addresses that are known, and who shares something with this account.
func knownUsers(tx *tree.Tx) (known addresses, owners map[megaclient.UserHandle]bool, err error) {
	known = addresses{}
	if _, err := readMeta(tx, metaUsers, &known); err != nil {
		return nil, nil, err
	}
	owners, err = shareOwners(tx)
	return known, owners, err
}

// shareOwners tells who shares something with this account.
func shareOwners(tx *tree.Tx) (map[megaclient.UserHandle]bool, error) {
	shares, err := tx.ReadDir(tree.SharesIno, "", 0)
	owners := map[megaclient.UserHandle]bool{}
	for _, in := range shares {
		if in.Cloud != nil && in.Cloud.SharedBy != "" {
			owners[in.Cloud.SharedBy] = true
		}
	}
	return owners, err
}

func (e *Engine) users() (addresses, error) {
	known := addresses{}
	err := e.tree.View(func(tx *tree.Tx) error {
		_, err := readMeta(tx, metaUsers, &known)
		return err
	})
	return known, err
}

// ShareOwner names who shares something with this account: by the e-mail
// address, or by the user's handle as long as that isn't known.
func (e *Engine) ShareOwner(h megaclient.UserHandle) string {
	known, err := e.users()
	if err != nil {
		e.log.WithError(err).Warn("the addresses of those who share could not be read")
	}
	if mail := known[h]; mail != "" {
		return tree.Shown(mail)
	}
	return string(h)
}

// UserByMail finds a contact by the address; "" if there is none that was heard of: see AskPeople.
func (e *Engine) UserByMail(mail string) (found megaclient.UserHandle, err error) {
	users, err := e.users()
	for h, m := range users {
		if strings.EqualFold(m, mail) {
			found = h
		}
	}
	return found, err
}

// UserMail gives the address of a user, "" if it isn't known.
func (e *Engine) UserMail(h megaclient.UserHandle) (string, error) {
	users, err := e.users()
	return users[h], err
}

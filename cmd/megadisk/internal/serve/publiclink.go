package serve

import (
	"context"
	"errors"

	"megadisk/megaclient"
	"megadisk/writeback"
)

// What is different when the process holds mounts of a public link and not of an account.

// ErrLinkReadOnly means that something would have to change what a public link shows.
var ErrLinkReadOnly = errors.New("what a public link shows can't be changed: `megadisk import` copies it into your own drive")

// stateKey opens what protects the stores. A link's is made only after the link has opened something: a mistyped key
// would lock the right one out.
func stateKey(ctx context.Context, o Options, state string) ([32]byte, error) {
	_, isLink := o.Client.Link()
	if isLink && !writeback.HasState(state) {
		if err := contact(ctx, o.Client); err != nil {
			return [32]byte{}, err
		}
	}
	key, err := writeback.OpenStateKey(state, o.Client.Session().MasterKey)
	if isLink && errors.Is(err, writeback.ErrWrongMaster) {
		err = megaclient.ErrLinkWrongKey
	}
	return key, err
}

// account names the account, or the link without its key.
func (p *Process) account() string {
	if link, is := p.o.Client.Link(); is {
		link.Key, link.Sub = nil, ""
		return link.String()
	}
	return p.o.Client.Session().Email
}

// changeable refuses what would change something that can't be changed.
func (p *Process) changeable() error {
	if _, is := p.o.Client.Link(); is {
		return ErrLinkReadOnly
	}
	return nil
}

// problem is what the person must do something about.
func (p *Process) problem(e writeback.Status) string {
	if p.o.Client.LinkGone() {
		return "the link leads nowhere any more: what is here can still be read"
	}
	return problem(e)
}

package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

var _ control.Sharer = (*Process)(nil)

// accessLevels are the words for what somebody may do in a folder.
var accessLevels = map[int]string{megaclient.AccessRead: "read", megaclient.AccessWrite: "write", megaclient.AccessFull: "full"}

// ownFolder finds the folder of our own at a path.
func (p *Process) ownFolder(path string) (tree.Inode, error) {
	if err := p.changeable(); err != nil {
		return tree.Inode{}, err
	}
	ino, err := p.inodeAt(path)
	if err != nil {
		return tree.Inode{}, err
	}
	in, err := p.engine.Tree().Get(ino)
	switch {
	case err != nil:
		return in, err
	case in.Kind != tree.Dir || in.Parent == 0 || in.Cloud == nil:
		return in, errors.New("only a folder below the top of the drive can be shared, once it is in the cloud")
	case in.Cloud.Owner != p.o.Client.User():
		return in, errors.New("only its owner can share that folder with others")
	}
	return in, nil
}

// Shares tells who has access to the folder at a path.
func (p *Process) Shares(ctx context.Context, path string) ([]control.Access, error) {
	in, err := p.ownFolder(path)
	if err != nil {
		return nil, err
	}
	who, err := p.whoHas(ctx, in.Cloud.Handle)
	if err != nil {
		return nil, err
	}
	list := make([]control.Access, 0, len(who))
	for user, level := range who {
		mail, err := p.engine.UserMail(user)
		if err != nil {
			return nil, err
		}
		list = append(list, control.Access{Email: cmp.Or(mail, string(user)), Level: accessLevels[level]})
	}
	slices.SortFunc(list, func(a, b control.Access) int { return cmp.Compare(a.Email, b.Email) })
	return list, nil
}

// whoHas tells who has access to a folder of ours; a state of an earlier program has never heard of it, and asks once.
func (p *Process) whoHas(ctx context.Context, folder megaclient.Handle) (map[megaclient.UserHandle]int, error) {
	who, known, err := p.engine.Shares(folder)
	if err == nil && !known {
		if err = p.engine.AskPeople(ctx); err == nil {
			who, _, err = p.engine.Shares(folder)
		}
	}
	return who, err
}

// contactOf finds who has an address, among those who were heard of, or else among those of now.
func (p *Process) contactOf(ctx context.Context, mail string) (megaclient.UserHandle, error) {
	user, err := p.engine.UserByMail(mail)
	if err == nil && user == "" {
		if err = p.engine.AskPeople(ctx); err == nil {
			user, err = p.engine.UserByMail(mail)
		}
	}
	if err == nil && user == "" {
		err = notThere("%s is not a contact of this account: invite the address in MEGA's web client first", mail)
	}
	return user, err
}

// Share lets somebody into a folder, whose content goes up first.
func (p *Process) Share(ctx context.Context, r control.ShareRequest) (done control.Shared, err error) {
	level := -1
	for l, word := range accessLevels {
		if word == r.Level {
			level = l
		}
	}
	in, err := p.ownFolder(r.Path)
	if err != nil {
		return done, err
	}
	peer, compared, err := p.peerOf(ctx, r)
	if err != nil {
		return done, err
	}
	if err := p.engine.Flush(ctx, in.Ino); err != nil {
		return done, fmt.Errorf("it isn't wholly in the cloud yet: %w", err)
	}
	below, err := p.keysBelow(in.Ino)
	if err != nil {
		return done, err
	}
	trusted := writeback.Trusted{User: peer.User, Signing: peer.Signing, Exchange: peer.Exchange, Compared: compared}
	if err := p.engine.Trust(ctx, r.Email, trusted); err != nil {
		return done, err
	}
	if err := p.o.Client.ShareFolder(ctx, nodeOf(in.Cloud), below, peer, level); err != nil {
		return done, err
	}
	return control.Shared{Access: control.Access{Email: r.Email, Level: r.Level}, Fingerprint: peer.Signing.String(), Compared: compared}, nil
}

// peerOf finds whose keys an address has, and refuses those that nobody vouches for. compared says that a person did.
func (p *Process) peerOf(ctx context.Context, r control.ShareRequest) (peer megaclient.Peer, compared bool, err error) {
	user, err := p.contactOf(ctx, r.Email)
	if err != nil {
		return peer, false, err
	}
	peer, err = p.o.Client.Peer(ctx, user)
	switch {
	case errors.Is(err, megaclient.ErrNoPeerKeys):
		return peer, false, fmt.Errorf("%s has no keys yet that could be checked: they are made when MEGA's web client is next opened there", r.Email)
	case errors.Is(err, megacrypto.ErrKeySignature):
		return peer, false, fmt.Errorf("the keys that the server gives for %s are not signed by one another: nothing was shared, since somebody else may have put them there", r.Email)
	case err != nil:
		return peer, false, err
	}
	trusted, before, err := p.engine.Trusted(r.Email)
	if err != nil {
		return peer, false, err
	}
	same := before && trusted.User == user && trusted.Signing == peer.Signing && trusted.Exchange == peer.Exchange
	switch {
	case r.Credentials != nil && *r.Credentials == peer.Signing:
		return peer, true, nil
	case r.Credentials != nil:
		return peer, false, fmt.Errorf("the key that the server gives for %s has another fingerprint than the one given: nothing was shared", r.Email)
	case same:
		return peer, trusted.Compared || peer.Known == megaclient.Compared, nil
	case !before && (peer.Known == megaclient.Met || peer.Known == megaclient.Compared):
		return peer, peer.Known == megaclient.Compared, nil
	case before || peer.Known == megaclient.Changed:
		return peer, false, fmt.Errorf("the keys of %s are others than before, after a reset of that account or by a lie: %s", r.Email, askThem(peer))
	}
	return peer, false, fmt.Errorf("this account has never met the keys that the server gives for %s: %s", r.Email, askThem(peer))
}

// askThem says how keys are compared.
func askThem(peer megaclient.Peer) string {
	return fmt.Sprintf("ask them, not through MEGA, for the credentials that MEGA's apps show of them; if these are the same, say --fingerprint '%s'", peer.Signing)
}

// Unshare takes somebody's access back.
func (p *Process) Unshare(ctx context.Context, r control.ShareRequest) error {
	in, err := p.ownFolder(r.Path)
	if err != nil {
		return err
	}
	who, err := p.whoHas(ctx, in.Cloud.Handle)
	if err != nil {
		return err
	}
	user, err := p.engine.UserByMail(r.Email)
	if err != nil {
		return err
	}
	if _, has := who[cmp.Or(user, megaclient.UserHandle(r.Email))]; !has {
		return notThere("%s has no access to that folder: `megadisk share PATH` lists who has", r.Email)
	}
	if len(who) == 1 {
		if err := p.keysAreOurs(in.Ino); err != nil {
			return err
		}
	}
	return p.o.Client.UnshareFolder(ctx, in.Cloud.Handle, cmp.Or(user, megaclient.UserHandle(r.Email)))
}

// keysAreOurs refuses to end a share in which others put something: its keys are encrypted for the share alone, MEGA's
// own clients take them over before they end one, and what the server keeps of them afterwards nobody says.
func (p *Process) keysAreOurs(dir tree.Ino) error {
	foreign := 0
	err := p.eachNodeBelow(dir, func(c *tree.Cloud) {
		if c.Foreign {
			foreign++
		}
	})
	if err == nil && foreign > 0 {
		err = fmt.Errorf("others have put things into that folder (%d), whose keys only MEGA's own clients take over when the last one loses access: end the share in MEGA's web client", foreign)
	}
	return err
}

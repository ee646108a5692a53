package megaclient

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"

	"megadisk/megaclient/megacrypto"
)

// Sharing a folder of our own with another user (PROTOCOL 3.10, 7). The server is asked twice: s2 lets the user in, and
// pk brings the folder's key, encrypted between the two. Who that user is, is what matters: the key goes to whoever has
// the private half of a Cu25519 key that the server gave us. So it must be signed by an Ed25519 key, and that one is
// known by its fingerprint: from the account's own key store, or from a person who compared it.

// Attributes of a user that everybody may read.
const (
	signingKeyAttr   = "+puEd255"
	exchangeKeyAttr  = "+puCu255"
	exchangeSignAttr = "+sigCu255"
)

// Errors of sharing.
var (
	// ErrNewShare says that a folder has no key for others. The account keeps such keys where only MEGA's own clients may
	// write, so one of these has to make it.
	ErrNewShare = errors.New("the folder has no key for others yet, and only MEGA's own clients can make one: share it once in MEGA's web client")
	// ErrNoPeerKeys says that a user has no keys that could be checked.
	ErrNoPeerKeys = errors.New("the user has no signed keys yet")
)

// Acquaintance says how well the account's own key store knows a user's keys.
type Acquaintance int

// What there is.
const (
	Stranger Acquaintance = iota // never met
	Met                          // MEGA's clients have noted the keys when they first came by
	Compared                     // its person has compared the fingerprint
	Changed                      // they are others than before
)

// Peer is another user with the keys that the server gives for him; signed, as he has them, by one another.
type Peer struct {
	User UserHandle
	// Signing is what tells the user: the fingerprint of his Ed25519 key, as MEGA's apps show it.
	Signing  megacrypto.Credentials
	Exchange megacrypto.Credentials // of the Cu25519 key
	Known    Acquaintance

	exchange []byte
}

// Peer asks for a user's keys and checks their signature: megacrypto.ErrKeySignature, or ErrNoPeerKeys. Whether it is
// the user who is meant, only Signing tells.
func (c *Client) Peer(ctx context.Context, user UserHandle) (Peer, error) {
	var raw [3][]byte
	for i, name := range []string{signingKeyAttr, exchangeKeyAttr, exchangeSignAttr} {
		var err error
		if raw[i], err = c.userAttribute(ctx, user, name); errors.Is(err, ENOENT) {
			return Peer{}, ErrNoPeerKeys
		} else if err != nil {
			return Peer{}, fmt.Errorf("asking for a user's keys: %w", err)
		}
	}
	if err := megacrypto.VerifyKey(raw[0], raw[1], raw[2]); err != nil {
		return Peer{}, fmt.Errorf("checking a user's keys: %w", err)
	}
	p := Peer{User: user, Signing: megacrypto.CredentialsOf(raw[0]), Exchange: megacrypto.CredentialsOf(raw[1]), exchange: raw[1]}
	keys, err := c.accountKeys(ctx)
	if err != nil && !errors.Is(err, ENOENT) {
		return Peer{}, err
	}
	p.Known = p.acquaintance(keys)
	return p, nil
}

func (p Peer) acquaintance(keys megacrypto.AccountKeys) Acquaintance {
	signing, met := keys.SigningKeys[string(p.User)]
	exchange, metExchange := keys.ExchangeKeys[string(p.User)]
	switch {
	case met && signing.Credentials != p.Signing, metExchange && exchange.Credentials != p.Exchange:
		return Changed
	case !met:
		return Stranger
	case signing.Compared:
		return Compared
	}
	return Met
}

// ShareFolder lets a user into a folder of our own and sends its key; below gives all nodes in it. Doing it again is
// harmless, and is what is to be done after an error. Errors: ErrNewShare.
func (c *Client) ShareFolder(ctx context.Context, n *Node, below []KeyedNode, with Peer, access int) error {
	keys, err := c.accountKeys(ctx)
	if errors.Is(err, ENOENT) {
		return ErrNewShare // an account of the old kind gives keys to RSA keys, which nobody has signed
	}
	if err != nil {
		return err
	}
	key, known := keys.ShareKeys[string(n.Handle)]
	if !known {
		return ErrNewShare
	}
	sealed, err := sealFor(keys.Cu25519Private, with, key)
	if err != nil {
		return fmt.Errorf("encrypting a folder's key: %w", err)
	}
	c.learnShare(n.Handle, key, fromAccount)
	if _, err := c.do(ctx, shareFolder{folder: n, key: key, below: below, with: string(with.User), access: access}); err != nil {
		return fmt.Errorf("sharing a folder: %w", err)
	}
	send := map[string]any{"a": "pk", "u": with.User, "h": n.Handle, "k": sealed}
	if err := c.command(ctx, laneRead, send, nil); err != nil {
		return fmt.Errorf("the folder is shared, but its key could not be sent (do it again): %w", err)
	}
	return nil
}

// sealFor encrypts a share's key for another user.
func sealFor(private []byte, with Peer, key megacrypto.Key) (string, error) {
	own, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return "", err
	}
	kek, err := pairKey(own, with.exchange)
	if err != nil {
		return "", err
	}
	sealed, err := megacrypto.EncryptKey(kek, key[:])
	return megacrypto.EncodeBase64(sealed), err
}

// UnshareFolder takes a user's access to a folder back.
func (c *Client) UnshareFolder(ctx context.Context, folder Handle, user UserHandle) error {
	if _, err := c.do(ctx, unshareFolder{folder, user}); err != nil {
		return fmt.Errorf("taking a user's access back: %w", err)
	}
	return nil
}

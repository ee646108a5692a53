package megaclient

import (
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"megadisk/megaclient/megacrypto"
)

// pairwiseInfo is what the key between two users is derived for, as MEGA's clients write it.
const pairwiseInfo = "strongvelope pairwise key"

// LoadKeys learns the share keys that only the account's own key store has (PROTOCOL 3.10): those in
// the user attribute ^!keys, and those of incoming shares that wait to be taken up, which are
// encrypted between the two users by Curve25519. It only reads: nothing is written or confirmed on
// the server, so that MEGA's own clients still find everything. An account without ^!keys is no error.
func (c *Client) LoadKeys(ctx context.Context) error {
	if c.link != nil {
		return nil
	}
	keys, err := c.accountKeys(ctx)
	if errors.Is(err, ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.modern = true
	c.mu.Unlock()
	for h, k := range keys.ShareKeys {
		c.learnShare(Handle(h), k, fromAccount)
	}
	pending := make(map[UserHandle]map[Handle][]byte)
	for h, p := range keys.PendingInShares {
		note(pending, UserHandle(p.User), Handle(h), p.Key)
	}
	if err := c.pendingKeys(ctx, pending); err != nil {
		return fmt.Errorf("reading the keys of new shares: %w", err)
	}
	return c.openPending(ctx, keys.Cu25519Private, pending)
}

// accountKeys reads ^!keys; ENOENT if the account has none.
func (c *Client) accountKeys(ctx context.Context) (megacrypto.AccountKeys, error) {
	blob, err := c.userAttribute(ctx, c.session.User, "^!keys")
	if err != nil {
		return megacrypto.AccountKeys{}, fmt.Errorf("reading the account's keys: %w", err)
	}
	keys, err := megacrypto.ParseAccountKeys(c.masterKey(), blob)
	if err != nil {
		return megacrypto.AccountKeys{}, fmt.Errorf("reading the account's keys: %w", err)
	}
	return keys, nil
}

func note(pending map[UserHandle]map[Handle][]byte, u UserHandle, h Handle, key []byte) {
	if !validUser(u) || !validHandle(h) {
		return
	}
	if pending[u] == nil {
		pending[u] = make(map[Handle][]byte)
	}
	pending[u][h] = key
}

// pendingKeys asks for the keys that other users have left for us: {user:{share:key},"d":last}.
func (c *Client) pendingKeys(ctx context.Context, pending map[UserHandle]map[Handle][]byte) error {
	var got json.RawMessage
	if err := c.command(ctx, laneRead, map[string]string{"a": "pk"}, &got); err != nil {
		if errors.Is(err, ENOENT) {
			return nil
		}
		return err
	}
	var users map[UserHandle]json.RawMessage
	if json.Unmarshal(got, &users) != nil {
		return nil // 0: there is nothing
	}
	for u, raw := range users {
		var shares map[Handle]string
		if json.Unmarshal(raw, &shares) != nil {
			continue
		}
		for h, text := range shares {
			if key, err := megacrypto.DecodeBase64(text); err == nil {
				note(pending, u, h, key)
			}
		}
	}
	return nil
}

// openPending decrypts keys from other users. One that fails is left out: its share stays locked.
func (c *Client) openPending(ctx context.Context, private []byte, pending map[UserHandle]map[Handle][]byte) error {
	if len(pending) == 0 {
		return nil
	}
	own, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil // an account that can't have received any
	}
	for user, shares := range pending {
		kek, err := c.pairwiseKey(ctx, own, user)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, ESID) || errors.Is(err, ErrUnreachable) {
				return fmt.Errorf("asking for a contact's public key: %w", err)
			}
			continue
		}
		for h, sealed := range shares {
			key, err := megacrypto.DecryptKey(kek, sealed)
			if err == nil && len(key) == len(megacrypto.Key{}) {
				c.learnShare(h, megacrypto.Key(key), fromPeer)
			}
		}
	}
	return nil
}

// pairwiseKey gives the key between us and another user: HKDF-SHA256 of the Curve25519 secret.
func (c *Client) pairwiseKey(ctx context.Context, own *ecdh.PrivateKey, user UserHandle) (megacrypto.Key, error) {
	raw, err := c.userAttribute(ctx, user, exchangeKeyAttr)
	if err != nil {
		return megacrypto.Key{}, err
	}
	return pairKey(own, raw)
}

// pairKey is pairwiseKey with the other user's public key at hand.
func pairKey(own *ecdh.PrivateKey, raw []byte) (megacrypto.Key, error) {
	public, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		return megacrypto.Key{}, err
	}
	secret, err := own.ECDH(public)
	if err != nil {
		return megacrypto.Key{}, err
	}
	key, err := hkdf.Key(sha256.New, secret, nil, pairwiseInfo, len(megacrypto.Key{}))
	if err != nil {
		return megacrypto.Key{}, err
	}
	return megacrypto.Key(key), nil
}

// userAttribute reads an attribute of a user (PROTOCOL 7, uga); ENOENT if there is none.
func (c *Client) userAttribute(ctx context.Context, user UserHandle, name string) ([]byte, error) {
	text, err := c.userAttributeText(ctx, user, name)
	if err != nil {
		return nil, err
	}
	return megacrypto.DecodeBase64(text)
}

// userAttributeText is userAttribute without decoding it.
func (c *Client) userAttributeText(ctx context.Context, user UserHandle, name string) (string, error) {
	var got json.RawMessage
	cmd := map[string]any{"a": "uga", "u": user, "ua": name, "v": 1}
	if err := c.command(ctx, laneRead, cmd, &got); err != nil {
		return "", err
	}
	var object struct {
		AV string `json:"av"`
	}
	if json.Unmarshal(got, &object) != nil && json.Unmarshal(got, &object.AV) != nil {
		return "", fmt.Errorf("%w: a user attribute", ErrBadAnswer)
	}
	return object.AV, nil
}

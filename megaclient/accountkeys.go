package megaclient

import (
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"megadisk/megaclient/megacrypto"
)

// maxKeyBatch is how many users' public keys are asked for in one request.
const maxKeyBatch = 128

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
	public, err := c.exchangeKeys(ctx, slices.Collect(maps.Keys(pending)))
	if err != nil {
		return fmt.Errorf("asking for contacts' public keys: %w", err)
	}
	for user, shares := range pending {
		kek, err := pairKey(own, public[user])
		if err != nil {
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

// exchangeKeys asks for the public keys of users, of many in one request, and of who is missing in its answer alone. Whose
// can't be had is left out.
func (c *Client) exchangeKeys(ctx context.Context, users []UserHandle) (map[UserHandle][]byte, error) {
	found := make(map[UserHandle][]byte, len(users))
	for some := range slices.Chunk(users, maxKeyBatch) {
		cmds := make([]any, len(some))
		for i, u := range some {
			cmds[i] = attributeCommand(u, exchangeKeyAttr)
		}
		answers, err := c.commands(ctx, laneRead, cmds)
		if endsAsking(ctx, err) {
			return nil, err
		}
		for i, raw := range answers {
			text, err := attributeText(raw)
			if _, refused := parseRefusal(raw); refused || err != nil {
				continue
			}
			if key, err := megacrypto.DecodeBase64(text); err == nil {
				found[some[i]] = key
			}
		}
	}
	for _, u := range users {
		if found[u] != nil {
			continue
		}
		key, err := c.userAttribute(ctx, u, exchangeKeyAttr)
		if endsAsking(ctx, err) {
			return nil, err
		}
		if err == nil {
			found[u] = key
		}
	}
	return found, nil
}

// endsAsking tells an error that is no matter of one user.
func endsAsking(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, ESID) || errors.Is(err, ErrUnreachable))
}

// pairKey gives the key between us and another user: HKDF-SHA256 of the Curve25519 secret.
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
	if err := c.command(ctx, laneRead, attributeCommand(user, name), &got); err != nil {
		return "", err
	}
	return attributeText(got)
}

func attributeCommand(user UserHandle, name string) any {
	return map[string]any{"a": "uga", "u": user, "ua": name, "v": 1}
}

// attributeText reads the answer to that.
func attributeText(raw json.RawMessage) (string, error) {
	var object struct {
		AV string `json:"av"`
	}
	if json.Unmarshal(raw, &object) != nil && json.Unmarshal(raw, &object.AV) != nil {
		return "", fmt.Errorf("%w: a user attribute", ErrBadAnswer)
	}
	return object.AV, nil
}

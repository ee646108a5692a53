package megaclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"megadisk/megaclient/megacrypto"
)

// Login logs in with a password and, where the account wants one, a two-factor code (PROTOCOL 2.1 to
// 2.4). The errors are ErrBadLogin, ErrMFARequired (no code was given), ErrMFAWrong, *BlockedError,
// ErrUnreachable and others. The password is not kept.
func Login(ctx context.Context, cfg Config, email, password, mfa string) (*Client, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	c, err := newClient(cfg, Session{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.Hurry()
	s, err := c.login(ctx, email, password, strings.TrimSpace(mfa))
	if err != nil {
		return nil, fmt.Errorf("logging in: %w", err)
	}
	return newClient(c.cfg, s)
}

func (c *Client) login(ctx context.Context, email, password, mfa string) (Session, error) {
	var pre struct {
		V int    `json:"v"`
		S string `json:"s"`
	}
	if err := c.command(ctx, laneCommand, map[string]string{"a": "us0", "user": email}, &pre); err != nil {
		return Session{}, loginError(err, mfa)
	}
	switch pre.V {
	case 1:
		return c.loginV1(ctx, email, password, mfa)
	case 2:
		salt, err := megacrypto.DecodeBase64(pre.S)
		if err != nil {
			return Session{}, fmt.Errorf("%w: the account's salt", ErrBadAnswer)
		}
		key, hash := megacrypto.DeriveV2(password, salt)
		return c.startSession(ctx, email, key, hash, mfa)
	}
	return Session{}, fmt.Errorf("an account of version %d, which is not known here", pre.V)
}

// loginV1 tries a password with characters beyond ASCII in both ways in which it may have been
// stored (PROTOCOL 2.2).
func (c *Client) loginV1(ctx context.Context, email, password, mfa string) (Session, error) {
	key := megacrypto.PasswordKeyV1(password)
	s, err := c.startSession(ctx, email, key, megacrypto.UserHashV1(email, key), mfa)
	if !errors.Is(err, ErrBadLogin) {
		return s, err
	}
	if other := megacrypto.PasswordKeyV1UTF8(password); other != key {
		return c.startSession(ctx, email, other, megacrypto.UserHashV1(email, other), mfa)
	}
	return s, err
}

// startSession proves the password and opens what the server answers.
func (c *Client) startSession(ctx context.Context, email string, password megacrypto.Key, hash, mfa string) (Session, error) {
	cmd := struct {
		A    string `json:"a"`
		User string `json:"user"`
		UH   string `json:"uh"`
		MFA  string `json:"mfa,omitempty"`
	}{A: "us", User: email, UH: hash, MFA: mfa}
	var got struct {
		K     string     `json:"k"`
		U     UserHandle `json:"u"`
		Privk string     `json:"privk"`
		CSID  string     `json:"csid"`
		TSID  string     `json:"tsid"`
	}
	if err := c.command(ctx, laneCommand, cmd, &got); err != nil {
		return Session{}, loginError(err, mfa)
	}
	raw, err := megacrypto.DecodeBase64(got.K)
	if err != nil || len(raw) != len(megacrypto.Key{}) || !validUser(got.U) {
		return Session{}, fmt.Errorf("%w: no master key or user", ErrBadAnswer)
	}
	plain, err := megacrypto.DecryptKey(password, raw)
	if err != nil {
		return Session{}, err
	}
	s := Session{MasterKey: megacrypto.Key(plain), User: got.U, Email: email, PrivateKey: got.Privk}
	if got.TSID != "" && got.CSID == "" {
		s.SID, err = temporarySession(s.MasterKey, got.TSID)
	} else {
		s.SID, err = openSession(s.MasterKey, got.U, got.Privk, got.CSID)
	}
	return s, err
}

// openSession decrypts the session id, which is encrypted with the account's RSA key, which is
// encrypted with the master key. It is sent to the server from then on, so it must be one, which names its user
// (PROTOCOL 2.4): else the server could have what others have encrypted for the account read to it.
func openSession(master megacrypto.Key, user UserHandle, privk, csid string) (string, error) {
	rsa, err := openPrivateKey(master, privk)
	if err != nil {
		return "", fmt.Errorf("opening the account's RSA key: %w", err)
	}
	mpi, err := megacrypto.DecodeBase64(csid)
	if err != nil {
		return "", fmt.Errorf("%w: the session id", ErrBadAnswer)
	}
	sid, err := rsa.Decrypt(mpi, sidLength)
	if err != nil {
		return "", fmt.Errorf("opening the session id: %w", err)
	}
	if !isSessionOf(sid, user) {
		return "", fmt.Errorf("%w: the session id is none of the account's", ErrBadAnswer)
	}
	return megacrypto.EncodeBase64(sid), nil
}

// isSessionOf tells whether a session id names a user, as text in its middle.
func isSessionOf(sid []byte, user UserHandle) bool {
	named, err := megacrypto.DecodeBase64(string(sid[16 : 16+userLength]))
	if err != nil {
		return false
	}
	own, err := megacrypto.DecodeBase64(string(user))
	return err == nil && bytes.Equal(named, own)
}

// temporarySession checks the session id of an account without an RSA key.
func temporarySession(master megacrypto.Key, tsid string) (string, error) {
	sid, err := megacrypto.DecodeBase64(tsid)
	if err != nil || len(sid) != sidLength {
		return "", fmt.Errorf("%w: the session id", ErrBadAnswer)
	}
	proof, err := megacrypto.EncryptKey(master, sid[:16])
	if err != nil || string(proof) != string(sid[27:]) {
		return "", ErrBadLogin
	}
	return megacrypto.EncodeBase64(sid), nil
}

// loginError gives the refusals of a login their meaning (PROTOCOL 2.4).
func loginError(err error, mfa string) error {
	switch {
	case errors.Is(err, ENOENT):
		return ErrBadLogin
	case errors.Is(err, EMFAREQUIRED) && mfa == "":
		return ErrMFARequired
	case errors.Is(err, EMFAREQUIRED), errors.Is(err, EFAILED) && mfa != "":
		return ErrMFAWrong
	case errors.Is(err, EBLOCKED):
		return &BlockedError{}
	case errors.Is(err, EINCOMPLETE):
		return fmt.Errorf("the account's e-mail address is not confirmed yet: %w", err)
	case errors.Is(err, ETOOMANY):
		return fmt.Errorf("too many attempts to log in, wait a while: %w", err)
	}
	return err
}

package megatest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"megadisk/megaclient/megacrypto"
)

// Account is an account of a Server, and at the same time a trusted client of it: it knows the master
// key, so that a test can make and read content without any other client. What it changes goes through
// the same commands as everybody's changes, past the faults and the counters, and makes the same packets:
// to the client under test it is "another client of the same user".
//
// Its methods panic when the server refuses: in a test that is a mistake in the test. Do is the way to
// send a command and look at the code.
type Account struct {
	// Handle is the user handle, Email the address to log in with.
	Handle, Email string

	s      *Server
	user   *user
	master megacrypto.Key
	rsa    *megacrypto.PrivateKey
	curve  *curveKeys // nil without WithAccountKeys

	mu        sync.Mutex
	shareKeys map[string]megacrypto.Key // of own shares. GUARDED_BY(mu)
}

// AccountOption changes how an account is made.
type AccountOption func(*accountSpec)

type accountSpec struct {
	version int
	mfa     string
	keys    bool
	quota   int64
	name    string
	raid    bool
}

// V1 makes an account of the old kind, from before 2018: no salt, weak key derivation.
func V1() AccountOption { return func(a *accountSpec) { a.version = 1 } }

// MFA lets the login ask for a second factor, which is that code.
func MFA(code string) AccountOption { return func(a *accountSpec) { a.mfa = code } }

// WithAccountKeys gives the account the attribute ^!keys and a Curve25519 key: its shares have dummy
// entries in ok, and share keys between two such accounts travel by pk.
func WithAccountKeys() AccountOption { return func(a *accountSpec) { a.keys = true } }

// Quota sets the storage quota in bytes (default 50 GiB).
func Quota(bytes int64) AccountOption { return func(a *accountSpec) { a.quota = bytes } }

// Named sets the user's name.
func Named(name string) AccountOption { return func(a *accountSpec) { a.name = name } }

// AddAccount makes an account with an empty drive.
func (s *Server) AddAccount(email, password string, opts ...AccountOption) *Account {
	spec := accountSpec{version: 2, quota: s.opt.quota, name: "Test User"}
	for _, o := range opts {
		o(&spec)
	}
	email = strings.ToLower(email)
	s.mu.Lock()
	index, taken := len(s.users), s.emails[email] != nil
	s.mu.Unlock()
	if taken {
		panic("megatest: there is already an account " + email)
	}
	a := &Account{
		Handle: randomID(userHandleBytes), Email: email, s: s, master: megacrypto.NewKey(),
		rsa: rsaKey(index), shareKeys: map[string]megacrypto.Key{},
	}
	a.user = a.makeUser(password, spec)
	s.mu.Lock()
	s.enrolLocked(a.user)
	s.mu.Unlock()
	if spec.keys {
		a.makeCurveKeys()
	}
	return a
}

// makeUser makes what the server keeps: everything secret is encrypted here.
func (a *Account) makeUser(password string, spec accountSpec) *user {
	u := &user{
		handle: a.Handle, email: a.Email, version: spec.version, name: spec.name, spread: spec.raid, mfa: spec.mfa, quota: spec.quota, transfer: 1 << 40,
		created: a.s.unix(), attrs: map[string]userAttr{}, sessions: map[string]*session{},
		shares: map[*node]struct{}{}, links: map[*node]struct{}{}, incoming: map[*node]struct{}{},
		contacts: map[string]*user{}, feed: newFeed(),
	}
	var passwordKey megacrypto.Key
	if spec.version == 1 {
		passwordKey = megacrypto.PasswordKeyV1(password)
		u.login = megacrypto.UserHashV1(a.Email, passwordKey)
	} else {
		salt := sha256.Sum256([]byte("megatest salt of " + a.Email))
		u.salt = b64.EncodeToString(salt[:])
		passwordKey, u.login = deriveV2(password, salt)
	}
	u.key = seal(passwordKey, a.master[:])
	u.privk = seal(a.master, a.rsa.Marshal())
	public := a.rsa.Public()
	u.pubk = b64.EncodeToString(public.Marshal())
	u.csid = func(sid []byte) (string, error) {
		mpi, err := public.Encrypt(sid)
		return b64.EncodeToString(mpi), err
	}
	u.attrs["firstname"] = userAttr{b64.EncodeToString([]byte(spec.name)), randomID(8)}
	return u
}

// enrolLocked makes the user's roots and lets it be found.
func (s *Server) enrolLocked(u *user) {
	root := func(typ int8) *node {
		n := &node{handle: s.newHandleLocked(), owner: u, typ: typ, ts: u.created}
		s.nodes[n.handle] = n
		return n
	}
	u.root, u.vault, u.rubbish = root(rootNode), root(vaultNode), root(rubbishNode)
	s.users[u.handle] = u
	s.emails[u.email] = u
}

// seal encrypts key material and encodes it.
func seal(key megacrypto.Key, plain []byte) string {
	b, err := megacrypto.EncryptKey(key, plain)
	if err != nil {
		panic("megatest: encrypting a key: " + err.Error())
	}
	return b64.EncodeToString(b)
}

// MasterKey returns the account's master key.
func (a *Account) MasterKey() megacrypto.Key { return a.master }

// Root returns the handle of the drive, Rubbish that of the bin, and Vault that of the vault.
func (a *Account) Root() string { return a.user.root.handle }

// Rubbish returns the handle of the bin.
func (a *Account) Rubbish() string { return a.user.rubbish.handle }

// Vault returns the handle of the vault.
func (a *Account) Vault() string { return a.user.vault.handle }

// Block blocks the account for a reason (200 copyright, 300 terms, 700 verification, ...; 0 ends it): its
// requests are answered with -16, and whyamiblocked tells the reason.
func (a *Account) Block(reason int) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.user.blocked = reason
	a.user.feed.wake()
}

// SetQuota changes the storage quota in bytes.
func (a *Account) SetQuota(bytes int64) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.user.quota = bytes
}

// SetTransferQuota changes what uq says about downloads: how many bytes there are, and how many were used. It is
// the server's word only; see Faults.UseUpTransferQuota.
func (a *Account) SetTransferQuota(bytes, used int64) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.user.transfer, a.user.transferUsed = bytes, used
}

// Used returns the storage in use, with bin and versions.
func (a *Account) Used() int64 {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.user.used()
}

// Sessions returns the ids of the account's sessions.
func (a *Account) Sessions() []string {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	sids := make([]string, 0, len(a.user.sessions))
	for sid := range a.user.sessions {
		sids = append(sids, sid)
	}
	return sids
}

// EndSessions ends all of the account's sessions, as a changed password does.
func (a *Account) EndSessions() {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, ses := range a.user.sessions {
		a.s.endSessionLocked(ses)
	}
}

// Code is a negative result code of a command, as an error.
type Code int

// Error names the code.
func (c Code) Error() string { return fmt.Sprintf("megatest: the server answered %d", int(c)) }

// Do executes one command as this user and decodes its result into out (nil to ignore it). A negative
// answer is returned as a Code.
func (a *Account) Do(cmd, out any) error {
	reply := a.s.command(viewer{user: a.user}, a.s.url, mustJSON(cmd), false)
	var n int
	if json.Unmarshal(reply, &n) == nil && n < 0 {
		return Code(n)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(reply, out); err != nil {
		return fmt.Errorf("megatest: reading the answer of a command: %w", err)
	}
	return nil
}

// must is Do for what can't fail in a sane test.
func (a *Account) must(cmd, out any) {
	if err := a.Do(cmd, out); err != nil {
		panic(fmt.Sprintf("%v to %s", err, mustJSON(cmd)))
	}
}

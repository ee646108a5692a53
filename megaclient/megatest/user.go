package megatest

// user is what the server knows of an account: opaque keys, a login hash, quotas, and the tree. The
// master key is not among it; that is known to Account only.
//
// All mutable fields are GUARDED_BY(Server.mu).
type user struct {
	// constant data
	handle  string
	email   string
	version int    // 1 or 2: how the password is turned into keys
	salt    string // version 2
	login   string // user hash that proves the password
	key     string // master key under the password key
	privk   string // RSA private key under the master key
	pubk    string // RSA public key
	csid    func(sid []byte) (string, error)
	created int64
	spread  bool // all files are served over six URLs

	root, vault, rubbish *node

	// mutable state
	name                   string
	mfa                    string // code that login asks for, "" for none
	quota                  int64  // storage in bytes
	transfer, transferUsed int64  // downloads in bytes, as uq tells
	blocked                int    // reason told by whyamiblocked, 0 for none
	attrs                  map[string]userAttr
	sessions               map[string]*session
	shares                 map[*node]struct{} // own folders that are shared or exported
	links                  map[*node]struct{} // own nodes with a public link
	incoming               map[*node]struct{} // folders of others that this user can see
	contacts               map[string]*user
	pending                []pendingKey // share keys waiting for pk
	pendingID              int64
	feed                   *feed
}

// userAttr is one user attribute with the version that upv checks.
type userAttr struct{ value, version string }

// pendingKey is a share key on its way to a user through pk (PROTOCOL 3.10).
type pendingKey struct {
	id               int64
	from, share, key string
}

// session is one login of a user.
type session struct {
	sid     string
	id      string // as usr names it
	user    *user
	sek     string
	started int64
	busy    int // batches being executed, what the lock probe asks for
}

// used is the storage that the account takes, bin and versions included.
func (u *user) used() int64 {
	var sum int64
	for _, r := range []*node{u.root, u.vault, u.rubbish} {
		if r.below != nil {
			sum += r.below.used()
		}
	}
	return sum
}

// versioning tells whether the account keeps older versions: the attribute ^!dv switches that off.
func (u *user) versioning() bool {
	v, found := u.attrs["^!dv"]
	return !found || (v.value != "1" && v.value != b64.EncodeToString([]byte("1")))
}

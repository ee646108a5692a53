package megatest

// share is an outgoing share of a folder: to users, to the holders of a folder link, or to both.
type share struct {
	key, auth string // ok and ha, as the owner's client sent them
	exported  bool   // shared with "EXP"
	expTS     int64
	targets   map[*user]*shareTarget
}

// shareTarget is one user's part of a share.
type shareTarget struct {
	access int
	ts     int64
	key    string // the share key for that user: RSA or under the master key; "" with pk
}

// link is a public link to a file or an exported folder.
type link struct {
	ph       string
	node     *node
	ts, ets  int64
	writeKey string // authorises additions, "" for a read-only link
	feed     *feed  // packets for those who have the folder open
}

// expired tells whether the link's expiry time has passed.
func (l *link) expired(now int64) bool { return l.ets != 0 && now >= l.ets }

// Access levels (PROTOCOL 3.2); noAccess is below all.
const (
	noAccess   = -1
	readOnly   = 0
	readWrite  = 1
	fullAccess = 2
	ownAccess  = 3
)

// access tells what v may do with n.
func (v viewer) access(n *node) int {
	if v.link != nil {
		switch {
		case !n.within(v.link.node):
			return noAccess
		case v.write:
			return readWrite
		default:
			return readOnly
		}
	}
	if n.owner == v.user {
		return ownAccess
	}
	if v.user == nil || len(v.user.incoming) == 0 {
		return noAccess
	}
	best := noAccess
	for a := n; a != nil; a = a.parent {
		if t := a.targetFor(v.user); t != nil && t.access > best {
			best = t.access
		}
	}
	return best
}

// targetFor returns u's part of the share that n is the root of, or nil.
func (n *node) targetFor(u *user) *shareTarget {
	if n.share == nil {
		return nil
	}
	return n.share.targets[u]
}

// audience is the set of those who see a node: packets about it go to them.
type audience map[reader]struct{}

// reader is one recipient of packets: a user or the holders of a folder link.
type reader struct {
	user *user
	link *link
}

func (r reader) viewer() viewer { return viewer{user: r.user, link: r.link} }
func (r reader) feed() *feed    { return r.viewer().feed() }

// audienceOf collects everybody who sees n.
func audienceOf(n *node) audience {
	who := audience{{user: n.owner}: {}}
	for a := n; a != nil; a = a.parent {
		if a.link != nil && a.isFolder() && a.link.feed != nil {
			who[reader{link: a.link}] = struct{}{}
		}
		if a.share == nil {
			continue
		}
		for u := range a.share.targets {
			who[reader{user: u}] = struct{}{}
		}
	}
	return who
}

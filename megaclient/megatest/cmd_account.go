package megatest

import (
	"crypto/sha256"
	"strings"
)

// cmdPrelogin is us0: how an account's password is turned into keys. E-mails that nobody has get an
// invented salt, always the same one.
func cmdPrelogin(c *call) (any, code) {
	var a struct{ User string }
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	u := c.s.emails[strings.ToLower(a.User)]
	switch {
	case u == nil:
		fake := sha256.Sum256([]byte("nobody:" + strings.ToLower(a.User)))
		return map[string]any{"v": 2, "s": b64.EncodeToString(fake[:])}, ok
	case u.version == 1:
		return map[string]any{"v": 1}, ok
	}
	return map[string]any{"v": 2, "s": u.salt}, ok
}

// cmdLogin is us: a new session, or with a sid in the URL and no user the resumption of that session.
func cmdLogin(c *call) (any, code) {
	var a struct{ User, UH, MFA, Sek, SN string }
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	if a.User == "" {
		return c.resume(a.SN)
	}
	u := c.s.emails[strings.ToLower(a.User)]
	switch {
	case u == nil || u.login != a.UH:
		return nil, eNoEnt
	case u.blocked != 0:
		return nil, eBlocked
	case u.mfa != "" && a.MFA == "":
		return nil, eMFARequired
	case u.mfa != "" && a.MFA != u.mfa:
		return nil, eFailed
	}
	ses, sid := c.s.newSessionLocked(u, a.Sek)
	csid, err := u.csid(sid)
	if err != nil {
		return nil, eInternal
	}
	answer := map[string]any{"k": u.key, "u": u.handle, "privk": u.privk, "csid": csid, "ach": 1}
	if ses.sek != "" {
		answer["sek"] = ses.sek
	}
	return answer, ok
}

// resume answers the us of a session that exists, and says whether the event channel can go on from sn.
func (c *call) resume(sn string) (any, code) {
	ses := c.viewer.session
	if ses == nil {
		return nil, eArgs
	}
	goesOn := 0
	if seq, valid := parseSN(sn); valid {
		if _, _, _, found := ses.user.feed.after(seq, 1); found {
			goesOn = 1
		}
	}
	return map[string]any{
		"u": ses.user.handle, "privk": ses.user.privk, "sek": ses.sek, "ach": 1, "sn": goesOn,
	}, ok
}

// newSessionLocked opens a session. Bytes 16 to 26 of its id are the user handle, as clients check.
func (s *Server) newSessionLocked(u *user, sek string) (*session, []byte) {
	sid := randomBytes(sidBytes)
	copy(sid[16:27], u.handle)
	ses := &session{sid: b64.EncodeToString(sid), id: randomID(userHandleBytes), user: u, sek: sek, started: s.unix()}
	s.sessions[ses.sid] = ses
	u.sessions[ses.sid] = ses
	return ses, sid
}

// endSessionLocked ends a session and wakes its waiting requests.
func (s *Server) endSessionLocked(ses *session) {
	if ses == nil {
		return
	}
	delete(s.sessions, ses.sid)
	delete(ses.user.sessions, ses.sid)
	ses.user.feed.wake()
}

// cmdLogout is sml.
func cmdLogout(c *call) (any, code) {
	c.s.endSessionLocked(c.viewer.session)
	return nil, ok
}

// cmdEndSessions is usr: ends all other sessions, or those named.
func cmdEndSessions(c *call) (any, code) {
	var a struct {
		KO int
		S  []string
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	for _, ses := range c.viewer.user.sessions {
		if a.KO != 0 && ses != c.viewer.session || contains(a.S, ses.id) {
			c.s.endSessionLocked(ses)
		}
	}
	return nil, ok
}

// cmdListSessions is usl: the account's sessions, newest fields left out.
func cmdListSessions(c *call) (any, code) {
	list := [][]any{}
	for _, ses := range c.viewer.user.sessions {
		current := 0
		if ses == c.viewer.session {
			current = 1
		}
		list = append(list, []any{ses.started, ses.started, "", "127.0.0.1", "", current, ses.id, 1})
	}
	return list, ok
}

// cmdWhyBlocked is whyamiblocked.
func cmdWhyBlocked(c *call) (any, code) {
	if r := c.viewer.user.blocked; r != 0 {
		return r, ok
	}
	return nil, ok
}

// cmdUserGet is ug: the account, with its attributes (PROTOCOL 2.7).
func cmdUserGet(c *call) (any, code) {
	u := c.viewer.user
	answer := map[string]any{
		"u": u.handle, "s": 1, "email": u.email, "name": u.name, "k": u.key, "c": 1,
		"pubk": u.pubk, "privk": u.privk, "ts": u.created, "since": u.created, "aav": u.version,
		"flags": map[string]int{"ach": 1, "mfae": 1},
	}
	if u.version == 2 {
		answer["aas"] = u.salt
	}
	for name, v := range u.attrs {
		answer[name] = map[string]string{"av": v.value, "v": v.version}
	}
	return answer, ok
}

// cmdQuota is uq (PROTOCOL 3.9).
func cmdQuota(c *call) (any, code) {
	u := c.viewer.user
	used := u.used()
	roots := map[string][5]int64{}
	for _, r := range []*node{u.root, u.vault, u.rubbish} {
		roots[r.handle] = r.counts()
	}
	for n := range u.incoming {
		roots[n.handle] = n.counts()
	}
	level := 0
	switch {
	case used >= u.quota:
		level = 2
	case used >= u.quota/10*9:
		level = 1
	}
	return map[string]any{
		"mstrg": u.quota, "cstrg": used, "cstrgn": roots, "uslw": 9000, "usl": level,
		"mxfer": u.transfer, "caxfer": u.transferUsed, "csxfer": 0, "srvratio": 0, "utype": 0,
		"tah": []int{0, 0, 0, 0, 0, 0}, "bt": 0, "rtt": 1,
	}, ok
}

func (n *node) counts() [5]int64 {
	var t tally
	if n.below != nil {
		t = *n.below
	}
	return [5]int64{t.bytes, t.files, t.folders, t.versionBytes, t.versionedFiles}
}

// cmdPublicKey is uk: somebody's RSA key.
func cmdPublicKey(c *call) (any, code) {
	var a struct{ U string }
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	u := c.s.findUser(a.U)
	if u == nil {
		return nil, eNoEnt
	}
	return map[string]any{"u": u.handle, "pubk": u.pubk}, ok
}

// cmdUserEmail is uge: somebody's address.
func cmdUserEmail(c *call) (any, code) {
	var a struct{ U string }
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	u := c.s.users[a.U]
	if u == nil {
		return nil, eNoEnt
	}
	return u.email, ok
}

// findUser finds a user by handle or e-mail; Server.mu is held.
func (s *Server) findUser(name string) *user {
	if u := s.users[name]; u != nil {
		return u
	}
	return s.emails[strings.ToLower(name)]
}

package megatest

import "encoding/binary"

// cmdPendingKeys is pk (PROTOCOL 3.10): sends a share key to somebody (u, h, k), lists the keys that wait
// for the caller, or confirms them up to a mark (d).
func cmdPendingKeys(c *call) (any, code) {
	var a struct{ U, H, K, D string }
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	switch {
	case a.U != "":
		return nil, c.sendPending(a.U, a.H, a.K)
	case a.D != "":
		return nil, c.confirmPending(a.D)
	}
	me := c.viewer.user
	if len(me.pending) == 0 {
		return nil, eNoEnt
	}
	answer := map[string]any{}
	var last int64
	for _, p := range me.pending {
		from, _ := answer[p.from].(map[string]string)
		if from == nil {
			from = map[string]string{}
			answer[p.from] = from
		}
		from[p.share] = p.key
		last = p.id
	}
	var mark [8]byte
	binary.BigEndian.PutUint64(mark[:], uint64(last))
	answer["d"] = b64.EncodeToString(mark[:])
	return answer, ok
}

// sendPending puts a share key into u's list and tells u's sessions that there is something.
func (c *call) sendPending(u, share, key string) code {
	to := c.s.findUser(u)
	n, failure := c.node(share)
	switch {
	case to == nil:
		return eNoEnt
	case failure != ok:
		return failure
	case c.viewer.access(n) < ownAccess:
		return eAccess
	case key == "":
		return eArgs
	}
	to.pendingID++
	to.pending = append(to.pending, pendingKey{to.pendingID, c.viewer.user.handle, share, key})
	c.cause().send(to.feed, "pk", struct{}{})
	return ok
}

func (c *call) confirmPending(mark string) code {
	b, err := b64.DecodeString(mark)
	if err != nil || len(b) != 8 {
		return eArgs
	}
	last := int64(binary.BigEndian.Uint64(b))
	me := c.viewer.user
	for len(me.pending) > 0 && me.pending[0].id <= last {
		me.pending = me.pending[1:]
	}
	return ok
}

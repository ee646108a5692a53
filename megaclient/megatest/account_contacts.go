package megatest

// Befriend makes two accounts contacts of each other, without any client having looked at a key.
func (a *Account) Befriend(other *Account) {
	a.tellContacts(other, 1, func(u, o *user) { u.contacts[o.handle] = o })
}

// Part ends that two accounts are contacts of each other. What they share stays shared.
func (a *Account) Part(other *Account) {
	a.tellContacts(other, 0, func(u, o *user) { delete(u.contacts, o.handle) })
}

// tellContacts changes what two accounts are to each other, and tells the sessions of both (PROTOCOL 8.3, c).
func (a *Account) tellContacts(other *Account, visible int, change func(u, o *user)) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	why := &cause{s: a.s, user: a.Handle}
	for _, pair := range [][2]*user{{a.user, other.user}, {other.user, a.user}} {
		change(pair[0], pair[1])
		why.send(pair[0].feed, "c", map[string]any{"u": []any{pair[1].known(visible)}})
	}
}

// known is how others are told of the user; visible is 2 for the user itself, 1 for a contact, 0 for a former one.
func (u *user) known(visible int) map[string]any {
	return map[string]any{"u": u.handle, "c": visible, "m": u.email, "ts": u.created}
}

package megatest

// FreezeTrees answers f with ca:1 from the tree as it is now, whatever changes: old, but consistent with
// the sequence number that comes with it, as MEGA may do. Clear ends it.
func (f *Faults) FreezeTrees() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	frozen := map[*user]snapshot{}
	for _, u := range f.s.users {
		frozen[u] = f.s.snapshotLocked(viewer{user: u})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen = frozen
}

// frozenTree returns the tree that FreezeTrees kept for v.
func (f *Faults) frozenTree(v viewer) (snapshot, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	snap, found := f.frozen[v.user]
	return snap, found && v.link == nil
}

// Tell puts packets (JSON objects) into an account's event stream as they are, whatever they say.
func (f *Faults) Tell(a *Account, packets ...string) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for _, p := range packets {
		a.user.feed.add([]byte(p), f.s.opt.logLimit)
	}
}

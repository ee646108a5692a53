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

// restOfTree stands for the part of an answer to f that HoldTree holds back.
const restOfTree = "f, the rest"

// HoldTree sends so many nodes of the answer to f, and the others when release is called. Stats.Held counts answers that
// are held.
func (f *Faults) HoldTree(after int) (release func()) {
	f.mu.Lock()
	f.treeAfter = after
	f.mu.Unlock()
	return f.Hold(restOfTree)
}

// awaitTree blocks while the nodes from the i-th on are held; sent is called first.
func (f *Faults) awaitTree(i int, sent func()) {
	f.mu.Lock()
	held := f.holds[restOfTree] != nil && i == f.treeAfter
	f.mu.Unlock()
	if held {
		sent()
		f.await(restOfTree)
	}
}

// Tell puts packets (JSON objects) into an account's event stream as they are, whatever they say.
func (f *Faults) Tell(a *Account, packets ...string) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for _, p := range packets {
		a.user.feed.add([]byte(p), f.s.opt.logLimit)
	}
}

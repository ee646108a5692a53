// Package debris keeps copies of content that went away by somebody else's hand: files that were here whole and were
// deleted or overwritten elsewhere. It is a folder of sealed files, each of which says what it is; there is no index on
// disk, so that nothing can disagree with it.
//
//	s, err := debris.Open(debris.Options{Dir: dir, Key: key, Limit: 1 << 30})
//	it, err := s.Add(debris.Info{Path: "/a/b", Size: n, Why: debris.Deleted}, read)
//	for _, it := range s.List() { ... }
//	r, err := s.Reader(it.ID)
//
// An item stays for MaxAge, all together take at most Limit, and there are MaxItems at most: the oldest go first. An item is written under another
// name, synced, and renamed, so that it is there whole or not at all; what a crash left of one goes with the next Open.
// Everything that tells of a file is encrypted (FORMAT.md).
//
// One store a folder at a time; its methods may be called from several goroutines.
package debris

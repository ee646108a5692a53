package megatest

import "fmt"

// CheckInvariants compares what the server keeps about its trees with the trees themselves. Every test's
// server is checked when the test ends.
func (s *Server) CheckInvariants() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[*node]bool{}
	for _, u := range s.users {
		for _, r := range []*node{u.root, u.vault, u.rubbish} {
			if r.parent != nil {
				return fmt.Errorf("root %s has a parent", r.handle)
			}
			if err := s.checkSubtree(r, u, seen); err != nil {
				return err
			}
		}
	}
	// INVARIANT: the handle table holds exactly what hangs in a tree.
	if len(seen) != len(s.nodes) {
		return fmt.Errorf("%d nodes in the trees, %d in the table", len(seen), len(s.nodes))
	}
	return s.checkRelations(seen)
}

func (s *Server) checkSubtree(n *node, owner *user, seen map[*node]bool) error {
	seen[n] = true
	var sum tally
	var prev *node
	for c := n.first; c != nil; c = c.next {
		switch {
		case c.parent != n || c.prev != prev:
			return fmt.Errorf("node %s hangs wrong", c.handle)
		case n.typ == fileNode && (c.typ != fileNode || c != n.first || c.next != nil):
			return fmt.Errorf("file %s has children that aren't one older version", n.handle)
		}
		if err := s.checkSubtree(c, owner, seen); err != nil {
			return err
		}
		sum.add(c.total(), 1)
		prev = c
	}
	if n.typ == fileNode {
		sum = sum.asVersions()
	}
	switch {
	case n.last != prev:
		return fmt.Errorf("node %s has a wrong last child", n.handle)
	case n.owner != owner:
		return fmt.Errorf("node %s has a wrong owner", n.handle)
	case s.nodes[n.handle] != n:
		return fmt.Errorf("node %s isn't in the table", n.handle)
	case n.below == nil && sum != tally{} || n.below != nil && *n.below != sum: // INVARIANT: tallies are sums
		return fmt.Errorf("node %s is counted as %v, holds %v", n.handle, n.below, sum)
	case (n.typ == fileNode) != (n.blob != nil):
		return fmt.Errorf("node %s of type %d: content %v", n.handle, n.typ, n.blob)
	}
	return nil
}

// checkRelations checks the indexes of shares, links and content.
func (s *Server) checkRelations(seen map[*node]bool) error {
	refs := map[*blob]int{}
	for n := range seen {
		if n.blob != nil {
			refs[n.blob]++
		}
		if _, listed := n.owner.shares[n]; listed != (n.share != nil) {
			return fmt.Errorf("share of %s: listed %v", n.handle, listed)
		}
		if n.link != nil && (s.links[n.link.ph] != n.link || n.link.node != n) {
			return fmt.Errorf("link of %s isn't in the table", n.handle)
		}
		if n.share != nil {
			for u := range n.share.targets {
				if _, listed := u.incoming[n]; !listed {
					return fmt.Errorf("share of %s isn't listed with its target", n.handle)
				}
			}
		}
	}
	for _, u := range s.users {
		for n := range u.incoming {
			if !seen[n] || n.targetFor(u) == nil {
				return fmt.Errorf("incoming share %s is gone", n.handle)
			}
		}
	}
	for _, u := range s.tokens {
		refs[u.blob]++
	}
	for _, u := range s.urls {
		refs[u.blob]++
	}
	for b, n := range refs { // INVARIANT: content lives as long as somebody refers to it
		if b.refs != n {
			return fmt.Errorf("content is used %d times, counted %d", n, b.refs)
		}
	}
	return nil
}

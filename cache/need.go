package cache

import "context"

// need says whether a program waits for what a fetch brings. The zero value says that one does.
//
// GUARDED_BY(Cache.mu)
type need struct{ come chan struct{} } // closed when one does; nil: one did from the beginning

// later is a need that is still to come.
func later() need { return need{make(chan struct{})} }

// now says that a program waits; once is enough.
func (n *need) now() {
	if n.come != nil {
		close(n.come)
		n.come = nil
	}
}

// aheadOfNeed marks the context of a fetch that no program waits for.
type aheadOfNeed struct{}

// in marks the context of the fetch.
func (n need) in(ctx context.Context) context.Context {
	if n.come == nil {
		return ctx
	}
	return context.WithValue(ctx, aheadOfNeed{}, (<-chan struct{})(n.come))
}

// AheadOfNeed tells a [FetchFunc] that no program waits for the bytes before need is closed, if ever: where connections
// are few, those that somebody waits for should come first.
func AheadOfNeed(ctx context.Context) (need <-chan struct{}, ahead bool) {
	need, ahead = ctx.Value(aheadOfNeed{}).(<-chan struct{})
	return need, ahead
}

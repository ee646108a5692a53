package writeback

import (
	"megadisk/cache"
	"megadisk/writeback/tree"
)

// Prefetch says that these files are likely to be read next, the most likely first. What of them is in the
// cloud alone is fetched ahead, as far as the cache sees fit.
func (e *Engine) Prefetch(inos []tree.Ino) {
	files := make([]cache.File, 0, len(inos))
	for _, ino := range inos {
		in, err := e.tree.Get(ino)
		if err != nil || in.Kind != tree.File || in.Base.Handle == "" || in.Pending.Has(tree.PendingContent) {
			continue
		}
		if f, err := cacheFile(in.Base); err == nil {
			files = append(files, f)
		}
	}
	e.cache.Prefetch(files)
}

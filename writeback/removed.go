package writeback

import (
	"context"

	"megadisk/writeback/tree"
)

// Attach tells that a kernel (a mount, named by the origin it gives with
// tree.WithOrigin) may know inodes of this engine. A removed inode's row stays
// until every attached one has forgotten it.
func (e *Engine) Attach(origin any) {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	e.mounts[origin] = true
}

// seen attaches the mount that a call came from.
func (e *Engine) seen(ctx context.Context) {
	e.rush.note(e.now())
	if origin := tree.Origin(ctx); origin != nil {
		e.Attach(origin)
	}
}

// Detach tells that a mount is gone: it has forgotten everything.
func (e *Engine) Detach(origin any) {
	e.filesMu.Lock()
	delete(e.mounts, origin)
	var freed []tree.Ino
	for ino, who := range e.zombies {
		delete(who, origin)
		if len(who) == 0 && e.files[ino] == nil {
			freed = append(freed, ino)
		}
	}
	e.filesMu.Unlock()
	for _, ino := range freed {
		e.buryIfUnknown(ino)
	}
}

// Forget tells that the kernel of that mount let go of the inode.
func (e *Engine) Forget(origin any, ino tree.Ino) {
	e.filesMu.Lock()
	who, dead := e.zombies[ino]
	delete(who, origin)
	free := dead && len(who) == 0 && e.files[ino] == nil
	e.filesMu.Unlock()
	if free {
		e.buryIfUnknown(ino)
	}
}

// stillKnown registers a removed inode and tells whether its row must stay.
func (e *Engine) stillKnown(ino tree.Ino) bool {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	who, dead := e.zombies[ino]
	if !dead {
		who = make(map[any]bool, len(e.mounts))
		for m := range e.mounts {
			who[m] = true
		}
		e.zombies[ino] = who
	}
	return len(who) > 0 || e.files[ino] != nil
}

// noteRemoved takes note of an inode that was removed elsewhere.
func (e *Engine) noteRemoved(ino tree.Ino) {
	if !e.queue.has(ino) && !e.stillKnown(ino) {
		e.buryIfUnknown(ino)
	}
}

func (e *Engine) unzombie(ino tree.Ino) {
	e.filesMu.Lock()
	defer e.filesMu.Unlock()
	delete(e.zombies, ino)
}

// buryIfUnknown removes the rows of an inode that nothing needs any more. An
// error leaves it to the next start.
func (e *Engine) buryIfUnknown(ino tree.Ino) {
	err := e.update(context.Background(), func(c *change) error {
		in, err := c.Get(ino)
		if err != nil || !in.Removed || in.Cloud != nil || e.stillKnown(ino) {
			return nil
		}
		if _, journaled, err := c.entry(ino); err != nil || journaled {
			return err
		}
		return c.bury(ino)
	})
	if err != nil {
		e.log.WithError(err).Warn("removing the row of a removed inode")
	}
}

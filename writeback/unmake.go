package writeback

import (
	"context"

	"megadisk/writeback/tree"
)

// Unmake takes a file away that was created for content that then could not be had: also when ctx has ended, since that
// may be why. It stays if somebody has written to it, or has it open, and whatever has taken its name stays.
func (e *Engine) Unmake(ctx context.Context, ino tree.Ino) error {
	return e.update(context.WithoutCancel(ctx), func(c *change) error {
		in, err := c.Get(ino)
		if isGone(err) || err == nil && (in.Removed || in.Size > 0 || c.e.isOpen(ino)) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.remove(in); err != nil {
			return err
		}
		return c.bumpDir(in.Parent)
	})
}

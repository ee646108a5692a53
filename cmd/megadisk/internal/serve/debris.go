package serve

import (
	"context"
	"errors"
	"time"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/writeback/debris"
)

// Debris lists the copies of what was deleted or overwritten elsewhere.
func (p *Process) Debris(context.Context) ([]control.DebrisItem, error) {
	items := p.engine.Debris()
	list := make([]control.DebrisItem, 0, len(items))
	for _, it := range items {
		list = append(list, control.DebrisItem{ID: it.ID, Path: it.Path, Size: it.Size, Kept: time.Unix(0, it.Kept), Why: string(it.Why)})
	}
	return list, nil
}

// RestoreDebris makes a file of one.
func (p *Process) RestoreDebris(ctx context.Context, r control.DebrisRestore) (string, error) {
	to, err := p.restoreTo(r.To)
	if err != nil {
		return "", err
	}
	path, err := p.engine.RestoreDebris(ctx, r.ID, to)
	if err != nil {
		return "", noDebris(r.ID, err)
	}
	return path, p.shown(ctx)
}

// ClearDebris removes some, or all if none are named.
func (p *Process) ClearDebris(_ context.Context, ids []string) (int, error) {
	if len(ids) == 0 {
		return p.engine.ClearDebris()
	}
	for n, id := range ids {
		if err := p.engine.DropDebris(id); err != nil {
			return n, noDebris(id, err)
		}
	}
	return len(ids), nil
}

func noDebris(id string, err error) error {
	if errors.Is(err, debris.ErrNoItem) {
		return notThere("there is no debris %s: `megadisk debris list` shows what there is", id)
	}
	return err
}

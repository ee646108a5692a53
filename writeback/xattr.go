package writeback

import (
	"context"
	"errors"
	"maps"

	"megadisk/writeback/tree"
)

// Errors of extended attributes.
var (
	// ErrXattrRoom: a node doesn't hold that many.
	ErrXattrRoom = errors.New("no room for more attributes")
	// ErrNoXattr: there is no attribute of that name.
	ErrNoXattr = errors.New("no such attribute")
	// ErrXattrExists: there is one already.
	ErrXattrExists = errors.New("the attribute exists")
)

// XattrMode says what SetXattr expects.
type XattrMode uint8

// The modes of SetXattr.
const (
	XattrAny     XattrMode = iota
	XattrCreate            // must not exist
	XattrReplace           // must exist
)

// SetXattr sets a program's extended attribute, named without "user.". Errors:
// ErrXattrExists, ErrNoXattr, ErrXattrRoom, tree.ErrInvalid (the name), ErrNoSpace,
// and those of tree.Tx.MayWrite.
func (e *Engine) SetXattr(ctx context.Context, ino tree.Ino, name, value string, mode XattrMode) error {
	if !tree.ValidXattr(name) {
		return tree.ErrInvalid
	}
	if err := e.room(); err != nil {
		return err
	}
	return e.changeXattrs(ctx, ino, func(all map[string]string) error {
		_, exists := all[name]
		switch {
		case exists && mode == XattrCreate:
			return ErrXattrExists
		case !exists && mode == XattrReplace:
			return ErrNoXattr
		}
		all[name] = value
		return nil
	})
}

// RemoveXattr removes one. Errors: ErrNoXattr and those of tree.Tx.MayWrite.
func (e *Engine) RemoveXattr(ctx context.Context, ino tree.Ino, name string) error {
	return e.changeXattrs(ctx, ino, func(all map[string]string) error {
		if _, exists := all[name]; !exists {
			return ErrNoXattr
		}
		delete(all, name)
		return nil
	})
}

// changeXattrs changes a copy of the attributes and stores it.
func (e *Engine) changeXattrs(ctx context.Context, ino tree.Ino, fn func(map[string]string) error) error {
	return e.update(ctx, func(c *change) error {
		if err := c.MayWrite(ino); err != nil {
			return err
		}
		in, err := c.Get(ino)
		if err != nil {
			return err
		}
		all := maps.Clone(in.Xattrs)
		if all == nil {
			all = map[string]string{}
		}
		before := len(all)
		if err := fn(all); err != nil {
			return err
		}
		if in.Xattrs = all; len(all) == 0 {
			in.Xattrs = nil
		}
		if len(all) >= before && !in.FitsExtra() {
			return ErrXattrRoom
		}
		in.Ctime = e.now().UnixNano()
		return c.commitAttrs(&in, tree.OwnXattrs)
	})
}

package tree

import (
	"fmt"

	"megadisk/megaclient"
)

// ApplyAccess applies what an owner grants on something shared with us. A share whose node isn't known yet gets its
// access with that.
func (tx *Tx) ApplyAccess(h megaclient.Handle, owner megaclient.UserHandle, access int) error {
	if !validHandle(h) || access < megaclient.AccessRead || access > megaclient.AccessFull {
		return fmt.Errorf("applying an access: %w", ErrInvalid)
	}
	r, known, err := tx.handle(h)
	if err != nil || !known || r.Version || r.Orphan != "" {
		return err
	}
	e, err := tx.edit(r.Ino)
	if err != nil {
		return err
	}
	if e.Parent != SharesIno || e.Cloud == nil || e.Cloud.SharedBy != owner || e.Cloud.Access == access {
		return nil // one of ours, or nothing new
	}
	e.Cloud = e.Cloud.Clone()
	e.Cloud.Access = access
	tx.Note(Change{Ino: e.Ino, Attr: true})
	return nil
}

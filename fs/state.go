package fs

import (
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// What user.mega.state says, the first that fits. Scripts and file managers go by these words.
const (
	stateError     = "error"     // the cloud refuses it, or its content is damaged
	stateConflict  = "conflict"  // it lost a conflict, and still has the name that this gave it
	stateUploading = "uploading" // its content is on its way
	stateDirty     = "dirty"     // it has changes that aren't in the cloud yet
	statePinned    = "pinned"    // it is kept here; what is missing is being fetched
	stateCached    = "cached"    // all of it can be read without the network
	statePartial   = "partial"   // some of it
	stateCloud     = "cloud"     // none of it; also of a folder, whose files have states of their own
)

// stateAttr is user.mega.state.
func (b *bridge) stateAttr(ino tree.Ino) (string, error) {
	row, err := b.engine.Stat(ino)
	if err != nil {
		return "", err
	}
	changes, err := b.engine.FileState(ino)
	if err != nil {
		return "", err
	}
	here, known := b.cacheState(&row)
	switch {
	case changes.Is == writeback.Stuck || here.Quarantined:
		return stateError, nil
	case writeback.IsConflictName(row.Name):
		return stateConflict, nil
	case changes.Is == writeback.Uploading:
		return stateUploading, nil
	case changes.Is == writeback.Dirty:
		return stateDirty, nil
	case b.pinned != nil && b.pinned(row):
		return statePinned, nil
	case row.Kind == tree.Dir:
		return stateCloud, nil
	case row.Kind != tree.File || row.Size == 0 || known && here.Cached >= row.Size:
		return stateCached, nil
	case here.Cached > 0:
		return statePartial, nil
	}
	return stateCloud, nil
}

// reasonAttr is user.mega.reason.
func (b *bridge) reasonAttr(ino tree.Ino) (string, error) {
	changes, err := b.engine.FileState(ino)
	if err != nil {
		return "", err
	}
	if changes.Why != "" {
		return changes.Why, nil
	}
	if row, err := b.engine.Stat(ino); err == nil {
		if here, _ := b.cacheState(&row); here.Quarantined {
			return "what the cloud gives of it is damaged: see `megadisk verify`", nil
		}
	}
	return "", writeback.ErrNoXattr
}

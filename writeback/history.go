package writeback

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// VersionTime is how a version is named: by the moment when the cloud got it.
const VersionTime = "2006-01-02T15:04:05Z"

// Version is an earlier version of a file.
type Version struct {
	Name    string // VersionTime, in UTC; of several from one second all but the oldest have ~HANDLE behind it
	Ino     tree.Ino
	Handle  megaclient.Handle
	Key     []byte // packed; nil while it can't be decrypted
	Size    int64
	Created time.Time
}

// Versions lists the earlier versions of a file, the oldest first. Errors:
// tree.ErrStale.
func (e *Engine) Versions(ino tree.Ino) (list []Version, err error) {
	var rows []tree.Version
	err = e.tree.View(func(tx *tree.Tx) error {
		if _, err := tx.Get(ino); err != nil {
			return err
		}
		rows, err = tx.Versions(ino)
		return err
	})
	if err != nil {
		return nil, err
	}
	return nameVersions(ino, rows), nil
}

// nameVersions gives the versions of a file their names.
func nameVersions(ino tree.Ino, rows []tree.Version) []Version {
	slices.SortFunc(rows, func(a, b tree.Version) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Handle, b.Handle))
	})
	list := make([]Version, 0, len(rows))
	for i, v := range rows {
		made := time.Unix(v.Created, 0).UTC()
		name := made.Format(VersionTime)
		if i > 0 && rows[i-1].Created == v.Created {
			name += "~" + string(v.Handle)
		}
		list = append(list, Version{Name: name, Ino: ino, Handle: v.Handle, Key: v.Key, Size: v.Size, Created: made})
	}
	return list
}

// VersionOf gives an earlier version by its handle. Errors: tree.ErrNotFound.
func (e *Engine) VersionOf(h megaclient.Handle) (Version, error) {
	var ino tree.Ino
	err := e.tree.View(func(tx *tree.Tx) error {
		var ok bool
		if ino, ok = tx.ByHandle(h); !ok {
			return tree.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return Version{}, err
	}
	list, err := e.Versions(ino)
	if err != nil {
		return Version{}, err
	}
	for _, v := range list {
		if v.Handle == h {
			return v, nil
		}
	}
	return Version{}, tree.ErrNotFound
}

// VersionReader reads an earlier version through the cache.
type VersionReader struct {
	*cache.Reader
	Size int64
}

// OpenVersion opens an earlier version. Errors: tree.ErrNotFound, and that its
// key is unknown.
func (e *Engine) OpenVersion(h megaclient.Handle) (*VersionReader, error) {
	v, err := e.VersionOf(h)
	if err != nil {
		return nil, err
	}
	f, err := cacheFile(tree.Base{Handle: v.Handle, Key: v.Key, Size: v.Size})
	if err != nil {
		return nil, err
	}
	return &VersionReader{e.cache.NewReader(f), v.Size}, nil
}

// RestoreVersion gives a file the content of an earlier version of it. The
// inode stays, and what it held becomes a version itself. The content goes up
// as a new version, under a key of its own: no other client has to know of it.
// Errors: tree.ErrNotFound, and those of File.WriteAt.
func (e *Engine) RestoreVersion(ctx context.Context, ino tree.Ino, h megaclient.Handle) error {
	v, err := e.VersionOf(h)
	if err != nil {
		return err
	}
	if v.Ino != ino {
		return tree.ErrNotFound
	}
	// A version that can't be had whole and right changes nothing.
	if err := e.cacheWhole(ctx, v); err != nil {
		return err
	}
	src, err := e.OpenVersion(h)
	if err != nil {
		return err
	}
	defer src.Close()
	err = e.ReplaceContent(ctx, ino, v.Size, func(p []byte, off int64) (int, error) { return src.ReadAt(ctx, p, off) })
	if path, known := e.tree.Path(ino); err == nil && known == nil {
		e.note(ctx, Happening{What: Restored, Path: path, More: "the version of " + v.Name})
	}
	return err
}

// cacheWhole brings a version here and verifies it.
func (e *Engine) cacheWhole(ctx context.Context, v Version) error {
	f, err := cacheFile(tree.Base{Handle: v.Handle, Key: v.Key, Size: v.Size})
	if err != nil || v.Size == 0 {
		return err
	}
	if err := e.cache.Verify(ctx, f, nil); err != nil {
		return fmt.Errorf("reading the earlier version: %w", err)
	}
	return nil
}

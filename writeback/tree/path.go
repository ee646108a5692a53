package tree

import (
	"fmt"
	"slices"
	"strings"
)

// Paths begin with "/" in the Cloud Drive, with "//bin", "//vault", "//shares" and "//trash" elsewhere.
var otherRoots = map[string]Ino{"bin": BinIno, "vault": VaultIno, "shares": SharesIno, "trash": TrashIno}

// Resolve gives the inode of a path; "" and "/" are the Cloud Drive. Empty and "." elements are passed
// over, ".." is not known here. Errors: ErrNotFound, ErrNotDir, ErrNameTooLong.
func (t *Tree) Resolve(path string) (ino Ino, err error) {
	err = t.View(func(tx *Tx) error {
		ino, err = tx.Resolve(path)
		return err
	})
	return ino, err
}

// Resolve is Tree.Resolve as this transaction sees it.
func (tx *Tx) Resolve(path string) (Ino, error) {
	at := DriveIno
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		name, below, _ := strings.Cut(rest, "/")
		if at, ok = otherRoots[name]; !ok {
			return 0, fmt.Errorf("no part of the account has that name: %w", ErrNotFound)
		}
		path = below
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		in, err := tx.Lookup(at, name)
		if err != nil {
			return 0, err
		}
		at = in.Ino
	}
	return at, nil
}

// Path gives the path of an inode. Errors: ErrStale, and ErrNotFound if it, or a folder above it, was
// removed or has no name.
func (t *Tree) Path(ino Ino) (path string, err error) {
	err = t.View(func(tx *Tx) error {
		path, err = tx.Path(ino)
		return err
	})
	return path, err
}

// Path is Tree.Path as this transaction sees it.
func (tx *Tx) Path(ino Ino) (string, error) {
	if _, err := tx.peek(ino); err != nil {
		return "", err
	}
	var names []string
	nameless := false
	p, err := tx.climb(ino, func(in *Inode) bool {
		if in.Parent != 0 {
			names = append(names, in.Name)
			nameless = nameless || in.Name == ""
		}
		return true
	})
	if err != nil {
		return "", err
	}
	if p.gone || nameless {
		return "", fmt.Errorf("inode %d has no path: %w", ino, ErrNotFound)
	}
	slices.Reverse(names)
	path := "/" + strings.Join(names, "/")
	for name, root := range otherRoots {
		if root == p.root {
			path = strings.TrimSuffix("//"+name+path, "/")
		}
	}
	return path, nil
}

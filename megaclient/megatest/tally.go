package megatest

// tally counts what a subtree holds, as the cstrgn element of uq reports it (PROTOCOL 3.9).
type tally struct {
	bytes, files, folders        int64
	versionBytes, versionedFiles int64
}

// add adds o, times sign.
func (t *tally) add(o tally, sign int64) {
	t.bytes += sign * o.bytes
	t.files += sign * o.files
	t.folders += sign * o.folders
	t.versionBytes += sign * o.versionBytes
	t.versionedFiles += sign * o.versionedFiles
}

// used is the storage that t's subtree takes, versions included.
func (t *tally) used() int64 { return t.bytes + t.versionBytes }

// asVersions turns files into older versions: what hangs below a file.
func (t tally) asVersions() tally {
	return tally{versionBytes: t.bytes + t.versionBytes, versionedFiles: t.files + t.versionedFiles}
}

// total counts n and what is below it, as if n were no version.
func (n *node) total() tally {
	var t tally
	if n.below != nil {
		t = *n.below
	}
	switch n.typ {
	case fileNode:
		t.bytes += n.size
		t.files++
	case folderNode:
		t.folders++
	}
	return t
}

// nodes counts n and all below it, versions too.
func (n *node) nodes() int {
	if n.below == nil {
		return 1
	}
	return int(1 + n.below.files + n.below.folders + n.below.versionedFiles)
}

// count adds t (times sign) to n and everything above it. Passing a file on the way up turns the
// counts into those of older versions.
func (n *node) count(t tally, sign int64) {
	for ; n != nil; n = n.parent {
		if n.typ == fileNode {
			t = t.asVersions()
		}
		if n.below == nil {
			n.below = new(tally)
		}
		n.below.add(t, sign)
	}
}

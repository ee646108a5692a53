package writeback

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"time"

	"megadisk/writeback/tree"
)

// Some files are for one machine only: a lock that says who edits a document
// here, the swap file of an editor. They stay here for as long as they have
// such a name: it is looked at whenever something could be sent, so that what
// is written under one and renamed goes up. What the cloud has already, and
// what takes such a file's place by a rename, is synced like everything else.

// DefaultLocalNames are the patterns of names that programs give to files for
// one machine.
var DefaultLocalNames = []string{".~lock.*#", "*.swp", "4913", "._*", ".DS_Store"}

// conflictMark is what tree.ConflictName puts into a name.
var conflictMark = regexp.MustCompile(` \(conflict \d{4}-\d\d-\d\d [^()]*-[0-9A-Z]{4}\)`)

// IsConflictName tells whether a name is one that a conflict gave.
func IsConflictName(name string) bool { return conflictMark.MatchString(name) }

// isLocalName tells whether a name is one for this machine, also with the mark
// of a conflict in it.
func (e *Engine) isLocalName(name string) bool {
	plain := conflictMark.ReplaceAllString(name, "")
	return slices.ContainsFunc(e.opts.LocalNames, func(pattern string) bool {
		ok, err := path.Match(pattern, plain)
		return ok && err == nil
	})
}

// stay says why an inode isn't to be sent.
type stay uint8

const (
	goes        stay = iota // it is to be sent
	staysByName             // its name is one for this machine
	staysInTrash
)

// staying judges by an inode's row and those above it, which get gives.
func (e *Engine) staying(in *tree.Inode, ent *entry, get func(tree.Ino) *tree.Inode) stay {
	switch {
	case in.Removed:
		return goes
	case isTrashed(in, get):
		if trashGoes(in, get) {
			return goes
		}
		return staysInTrash
	case in.Kind == tree.File && in.Cloud == nil && !ent.Synced && e.isLocalName(in.Name):
		return staysByName
	}
	return goes
}

// isSynced tells whether the cloud has a file, or is to have it whatever its name.
func (c *change) isSynced(in *tree.Inode) (bool, error) {
	ent, _, err := c.entry(in.Ino)
	return in.Cloud != nil || ent.Synced || c.inFlight(in.Ino), err
}

// whatStays tells which inodes of a transaction aren't to be sent.
func (e *Engine) whatStays(touched map[tree.Ino]*entry) map[tree.Ino]stay {
	all := map[tree.Ino]stay{}
	for ino, ent := range touched {
		if in := e.rowOf(ino); ent != nil && in != nil {
			all[ino] = e.staying(in, ent, e.rowOf)
		}
	}
	return all
}

// rowOf gives an inode's newest row, nil if there is none.
func (e *Engine) rowOf(ino tree.Ino) *tree.Inode {
	in, err := e.tree.Get(ino)
	if err != nil {
		return nil
	}
	return &in
}

// setStaysLocked notes whether an inode isn't to be sent.
func (q *queue) setStaysLocked(d *dirtyInode, why stay) {
	if d.stays != goes {
		q.bytes += d.bytes
		delete(q.local[d.stays], d.ino)
	}
	if why != goes {
		q.bytes -= d.bytes
		q.local[why][d.ino] = d
	}
	d.stays = why
}

func (q *queue) localCount() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.local[staysByName])
}

// LocalFile is a file that is kept on this machine because of its name.
type LocalFile struct {
	Path  string
	Size  int64
	Since time.Time
}

// localFiles lists some hundred of them, the oldest first.
func (e *Engine) localFiles() (list []LocalFile) {
	e.queue.mu.Lock()
	var some []dirtyInode
	for _, d := range e.queue.local[staysByName] {
		if len(some) >= statusListed {
			break
		}
		some = append(some, *d)
	}
	e.queue.mu.Unlock()
	slices.SortFunc(some, func(a, b dirtyInode) int { return cmp.Compare(a.entry.Seq, b.entry.Seq) })
	for _, d := range some {
		if in, path, ok := e.named(d.ino); ok {
			list = append(list, LocalFile{Path: path, Size: in.Size, Since: time.Unix(0, d.entry.Since)})
		}
	}
	return list
}

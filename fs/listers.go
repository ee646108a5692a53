package fs

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"megadisk/writeback/tree"
)

// Programs go through many folders for their files' attributes (ls -lR, du, find -size) or for names only (find by
// name, completion), and don't say which. With attributes a listing costs half as much again, most of that in
// the kernel, which makes an inode for each file. That attributes are used shows nowhere, since the kernel then has
// them; that they are missed does, since each is asked for. So who lists one folder after the other is given those of the
// first few, then names only, and attributes again as soon as one is missed. Folders always come with theirs: who goes
// through them needs them.

const (
	listersKept = 64 // programs, and folders that were listed without attributes last
	listedFirst = 2  // folders that a program is given with attributes before it is tried
)

// listers recognises programs that list folders for names only.
type listers struct {
	mu   sync.Mutex
	who  *lru.Cache[uint32, *lister]   // GUARDED_BY(mu): by the thread that asks
	bare *lru.Cache[tree.Ino, *lister] // GUARDED_BY(mu): for whom a folder was listed without attributes
}

// lister is a program that lists folders.
type lister struct {
	listed int
	misses bool // attributes
}

func newListers() *listers {
	who, _ := lru.New[uint32, *lister](listersKept) // fails only for sizes below 1
	bare, _ := lru.New[tree.Ino, *lister](listersKept)
	return &listers{who: who, bare: bare}
}

// list is told of each beginning of a listing, and says whether it is for names only.
func (l *listers) list(pid uint32, dir tree.Ino) (bare bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.who.Get(pid)
	if !ok {
		p = &lister{}
		l.who.Add(pid, p)
	}
	p.listed++
	if p.misses || p.listed <= listedFirst {
		return false
	}
	l.bare.Add(dir, p)
	return true
}

// look is told of each look-up of a file, by the folder that it is in.
func (l *listers) look(dir tree.Ino) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.bare.Peek(dir); ok {
		p.misses = true
		l.bare.Remove(dir)
	}
}

package tree

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// memory is the bounded cache of committed rows: inodes by number, entries by folder and name (0: no
// such entry). The rule that keeps it from ever being stale:
//
//   - Before the database commits, the writer takes everything that it touched out and forbids
//     additions (begin). After the commit it puts the new rows in and allows additions again (end).
//     So while the outcome is open, whoever reads goes to the database.
//   - A reader remembers the generation from before its snapshot, and what it read is added only if no
//     commit began or ended since (add*). So a row from an older snapshot never gets in.
//
// Hence a hit is always the newest committed row, and two reads one after the other never go back.
// Rows in the cache are shared: nobody changes them.
type memory struct {
	mu         sync.Mutex
	inodes     *simplelru.LRU[Ino, *Inode]  // GUARDED_BY(mu)
	entries    *simplelru.LRU[entryID, Ino] // GUARDED_BY(mu)
	generation uint64                       // GUARDED_BY(mu): commits begun and ended
	committing bool                         // GUARDED_BY(mu)
}

// entryID names an entry of a folder.
type entryID struct {
	dir  Ino
	name string
}

func newMemory(size int) *memory {
	return &memory{
		inodes:  must(simplelru.NewLRU[Ino, *Inode](size, nil)),
		entries: must(simplelru.NewLRU[entryID, Ino](size, nil)),
	}
}

// inode gives a row, or nil and the generation to give to addInode.
func (m *memory) inode(ino Ino) (*Inode, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, _ := m.inodes.Get(ino)
	return in, m.generation
}

// lookup gives an entry's inode. found says that the entry is cached (ino 0: there is none), in may be
// nil all the same.
func (m *memory) lookup(id entryID) (in *Inode, ino Ino, found bool, generation uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ino, found = m.entries.Get(id)
	if found && ino != 0 {
		in, _ = m.inodes.Get(ino)
	}
	return in, ino, found, m.generation
}

func (m *memory) addInode(in *Inode, generation uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.committing && m.generation == generation {
		m.inodes.Add(in.Ino, in)
	}
}

func (m *memory) addEntry(id entryID, ino Ino, in *Inode, generation uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.committing || m.generation != generation {
		return
	}
	m.entries.Add(id, ino)
	if in != nil {
		m.inodes.Add(in.Ino, in)
	}
}

// begin takes out what the transaction touched.
func (m *memory) begin(tx *Tx) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation++
	m.committing = true
	for ino, s := range tx.slots {
		if s.dirty {
			m.inodes.Remove(ino)
		}
	}
	for id := range tx.names {
		m.entries.Remove(id)
	}
}

// end puts in the new rows, if the database has them.
func (m *memory) end(tx *Tx, committed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.committing = false
	m.generation++
	if !committed {
		return
	}
	for ino, s := range tx.slots {
		if s.dirty && s.in != nil {
			m.inodes.Add(ino, s.in)
		}
	}
	for id, ino := range tx.names {
		m.entries.Add(id, ino)
	}
}

package writeback

import (
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// place is a place in the cloud.
type place struct {
	parent megaclient.Handle
	name   string // raw
}

// survey is one look of the planner: at one moment of the tree.
type survey struct {
	p   *planner
	tx  *tree.Tx
	now time.Time
	// clock is the last Flush that this view is sure to know all of. Of a later
	// one it may know a removed file, and not that its folder went too.
	clock uint64
	rows  map[tree.Ino]*tree.Inode // memo; nil: no row
	// unread is why a row that the inode in question depends on can't be read; nil: all can.
	unread error

	holds  map[tree.Ino]tree.Ino // memo: folders of the cloud with something wanted below, and what
	placed map[tree.Ino]tree.Ino // memo of notInPlace
}

func newSurvey(p *planner, tx *tree.Tx, now time.Time) *survey {
	return &survey{p: p, tx: tx, now: now, rows: map[tree.Ino]*tree.Inode{}, placed: map[tree.Ino]tree.Ino{}}
}

func (s *survey) dirty(ino tree.Ino) (dirtyInode, bool) { return s.p.e.queue.get(ino) }

// row gives an inode's row, nil if there is none, or if it can't be read, as unread says then.
func (s *survey) row(ino tree.Ino) *tree.Inode {
	if row, ok := s.rows[ino]; ok {
		return row
	}
	in, err := s.tx.Get(ino)
	switch {
	case err == nil:
		s.rows[ino] = &in
		return &in
	case isGone(err):
		s.rows[ino] = nil
	default:
		s.unread = err
	}
	return nil
}

// ask takes over what the transaction could not read.
func (s *survey) ask() {
	if err := s.tx.Unread(); err != nil {
		s.unread = err
	}
}

// means tells what an inode is to others: its entries in the planner's maps.
func (s *survey) means(row *tree.Inode, stays bool) (m planned) {
	if row.Removed {
		if row.Cloud != nil {
			m.gone = row.Cloud.Parent
			if row.Kind == tree.File {
				m.removed = place{row.Cloud.Parent, row.Cloud.Name}
			}
		}
		return m
	}
	if row.Pending.Has(tree.PendingCreate|tree.PendingPlace) && !stays {
		if h := s.handle(row.Parent); h != "" {
			m.heir = place{h, row.RawName()}
		}
	}
	if row.Cloud == nil {
		m.lent = row.Base.Handle
	} else {
		if row.Pending.Has(tree.PendingPlace) {
			m.leaver = place{row.Cloud.Parent, row.Cloud.Name}
		}
		m.wanted = row.Cloud.Parent
	}
	return m
}

// holder tells what of the dirty set is below a folder in the cloud and shall
// not go with it; 0 if nothing is.
func (s *survey) holder(dir tree.Ino) tree.Ino {
	if s.holds == nil {
		s.holds = map[tree.Ino]tree.Ino{}
		for h, in := range s.p.wanted {
			for ino := range in {
				s.hold(h, ino)
				break
			}
		}
	}
	holder := s.holds[dir]
	if s.ask(); s.unread != nil {
		s.holds = nil // not all of them were found
	}
	return holder
}

// hold marks a folder of the cloud and all above it as holding something.
func (s *survey) hold(h megaclient.Handle, what tree.Ino) {
	for range 4096 {
		ino, ok := s.tx.ByHandle(h)
		if !ok || s.holds[ino] != 0 {
			return
		}
		in := s.row(ino)
		if in == nil || in.Cloud == nil {
			return
		}
		s.holds[ino] = what
		h = in.Cloud.Parent
	}
}

// handle gives the handle of a folder, "" while the cloud doesn't have it.
func (s *survey) handle(ino tree.Ino) megaclient.Handle {
	in := s.row(ino)
	if in == nil || in.Cloud == nil {
		return ""
	}
	return in.Cloud.Handle
}

// notInPlace gives the first of a folder and those above it that isn't in the
// cloud where it is here; 0 if all are.
func (s *survey) notInPlace(ino tree.Ino) tree.Ino {
	if known, ok := s.placed[ino]; ok {
		return known
	}
	s.placed[ino] = ino // a circle, which can't be, would end here
	in := s.row(ino)
	if s.unread != nil {
		delete(s.placed, ino)
	}
	if in == nil || in.Cloud == nil || in.Removed || ino == tree.BinIno || in.Pending.Has(tree.PendingPlace|tree.PendingCreate) {
		return ino
	}
	if d, _ := s.dirty(ino); d.sending {
		return ino
	}
	at := tree.Ino(0)
	if in.Parent != 0 && in.Parent != ino {
		at = s.notInPlace(in.Parent)
	}
	if s.placed[ino] = at; s.unread != nil {
		delete(s.placed, ino)
	}
	return at
}

// verdict plans one inode, and tells what it waits for if it must.
func (s *survey) verdict(d *dirtyInode) (v verdict, waitsFor []tree.Ino) {
	row := s.row(d.ino)
	if row == nil {
		return do(stepSettle), nil
	}
	f, waitsFor := s.facts(d, row)
	return plan(f), waitsFor
}

// wallOf gives what an inode isn't to be asked for.
func (s *survey) wallOf(row *tree.Inode) (until time.Time, why error) {
	if !s.p.e.walls.any.Load() {
		return time.Time{}, nil
	}
	share, err := s.tx.ShareAround(row.Ino)
	if err != nil {
		return time.Time{}, nil
	}
	return s.p.e.walls.meets(share, row.Ino, sizeToStore(row), s.now)
}

// sizeToStore is what an inode needs room for, below 0 if for nothing.
func sizeToStore(row *tree.Inode) int64 {
	if !row.Removed && row.Kind == tree.File && row.Pending.Has(tree.PendingCreate|tree.PendingContent) {
		return row.Size
	}
	return -1
}

// facts gathers what plan needs to know about one inode, and the inodes that
// it depends on.
func (s *survey) facts(d *dirtyInode, row *tree.Inode) (f facts, on []tree.Ino) {
	f = facts{
		now: s.now, times: s.p.e.times, row: *row, entry: d.entry, asked: d.asked != 0 && d.asked <= s.clock,
		frozen: d.gen != nil, uploading: d.upload != nil, uploaded: d.gen != nil && d.uploaded,
		trash: !d.entry.ForGood,
	}
	f.stays = s.p.e.staying(row, &d.entry, s.row) != goes
	f.trashed = !row.Removed && isTrashed(row, s.row)
	f.inBin = row.Cloud != nil && row.Cloud.Parent == s.handle(tree.BinIno)
	f.wallUntil, f.wall = s.wallOf(row)
	if row.Removed {
		return f, s.removalFacts(&f, row)
	}
	f.parent = s.handle(row.Parent)
	at := s.notInPlace(row.Parent)
	f.placed = at == 0
	on = append(on, row.Parent)
	if at != 0 && at != row.Parent {
		on = append(on, at)
	}
	if parent := s.row(row.Parent); parent == nil || parent.Removed || at == tree.BinIno && row.Cloud == nil {
		f.orphan = true
	}
	if row.Kind != tree.File {
		return f, on
	}
	if d.gen == nil && d.upload == nil {
		_, f.copy = copySource(s.tx, row, d.entry)
	}
	if row.Cloud == nil && f.parent != "" {
		var leaver tree.Ino
		if leaver, f.leaver = s.p.leavers[place{f.parent, row.RawName()}]; f.leaver {
			on = append(on, leaver)
		}
	}
	f.writers, f.lastWrite, f.lastFroze, f.emptied = s.p.e.writing(row.Ino)
	return f, on
}

func (s *survey) removalFacts(f *facts, row *tree.Inode) (on []tree.Ino) {
	if row.Cloud == nil {
		return nil
	}
	for borrower := range s.p.lent[row.Cloud.Handle] {
		f.lent = true
		on = append(on, borrower)
		break
	}
	if above, ok := s.tx.ByHandle(row.Cloud.Parent); ok {
		if d, dirty := s.dirty(above); dirty {
			// Until the answer, the folder is on its way also when its echo came first and has shown it in the bin.
			up := s.row(above)
			if up != nil && up.Cloud != nil && (up.Pending.Has(tree.PendingRemove) || d.sending) {
				f.covered = true
				return append(on, above)
			}
		}
		f.lastGone = s.p.e.queue.lastDeleted(above)
	}
	if heir, ok := s.p.heirs[place{row.Cloud.Parent, row.Cloud.Name}]; ok {
		if in := s.row(heir); in != nil && in.Kind == row.Kind {
			f.heir = true
			on = append(on, heir)
		}
	}
	if row.Kind == tree.Dir {
		if holder := s.holder(row.Ino); holder != 0 {
			f.holding = true
			on = append(on, holder)
		}
	}
	return on
}

// replacedBy gives the removed file whose place in the cloud the new one
// takes, 0 if there is none.
func (s *survey) replacedBy(row *tree.Inode) tree.Ino {
	return s.p.removed[place{s.handle(row.Parent), row.RawName()}]
}

// writing tells about the handles that are open for writing.
func (e *Engine) writing(ino tree.Ino) (writers int, lastWrite, lastFroze, emptied time.Time) {
	e.filesMu.Lock()
	st := e.files[ino]
	e.filesMu.Unlock()
	if st == nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.writers, st.lastWrite, st.lastFroze, st.emptied
}

package writeback

import (
	"errors"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// place is a place in the cloud.
type place struct {
	parent megaclient.Handle
	name   string // raw
}

// survey is what the planner sees: the dirty set with its rows, at one moment.
type survey struct {
	e     *Engine
	tx    *tree.Tx
	now   time.Time
	all   []dirtyInode
	rows  map[tree.Ino]*tree.Inode
	dirty map[tree.Ino]*dirtyInode

	heirs   map[place]tree.Ino // dirty, not removed, on its way to that place
	removed map[place]tree.Ino // files to be removed that are in that place
	leavers map[place]tree.Ino // files that are in that place and shall go to another
	holds   map[tree.Ino]bool  // folders in the cloud with something below that shall leave
	placed  map[tree.Ino]bool  // memo of inPlace

	lent map[megaclient.Handle]bool // versions that copies not in the cloud yet are based on
}

// lookAround takes the survey. Rows that are gone are left out.
func (e *Engine) lookAround(tx *tree.Tx, all []dirtyInode) (*survey, error) {
	s := &survey{
		e: e, tx: tx, now: e.now(), all: all,
		rows: make(map[tree.Ino]*tree.Inode, len(all)), dirty: make(map[tree.Ino]*dirtyInode, len(all)),
		heirs: map[place]tree.Ino{}, removed: map[place]tree.Ino{}, leavers: map[place]tree.Ino{},
		holds: map[tree.Ino]bool{}, placed: map[tree.Ino]bool{},
		lent: map[megaclient.Handle]bool{},
	}
	removals := false
	for i := range all {
		d := &all[i]
		s.dirty[d.ino] = d
		row, err := tx.Get(d.ino)
		if errors.Is(err, tree.ErrStale) || errors.Is(err, tree.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s.rows[d.ino] = &row
		removals = removals || row.Pending.Has(tree.PendingRemove)
	}
	for ino, row := range s.rows {
		s.index(ino, row, removals)
	}
	return s, nil
}

// index enters one inode into the places.
func (s *survey) index(ino tree.Ino, row *tree.Inode, removals bool) {
	if row.Removed {
		if row.Cloud != nil && row.Kind == tree.File {
			s.removed[place{row.Cloud.Parent, row.Cloud.Name}] = ino
		}
		return
	}
	if row.Cloud == nil && row.Base.Handle != "" {
		s.lent[row.Base.Handle] = true
	}
	if row.Pending.Has(tree.PendingCreate | tree.PendingPlace) {
		if h := s.handle(row.Parent); h != "" {
			s.heirs[place{h, row.RawName()}] = ino
		}
	}
	if row.Cloud != nil && row.Pending.Has(tree.PendingPlace) {
		s.leavers[place{row.Cloud.Parent, row.Cloud.Name}] = ino
	}
	if removals && row.Cloud != nil {
		s.hold(row.Cloud.Parent)
	}
}

// hold marks a folder of the cloud and all above it as holding something that
// is still wanted, as far as they are to be removed.
func (s *survey) hold(h megaclient.Handle) {
	for range 4096 {
		ino, ok := s.tx.ByHandle(h)
		if !ok || s.holds[ino] {
			return
		}
		in, err := s.tx.Get(ino)
		if err != nil || in.Cloud == nil {
			return
		}
		s.holds[ino] = true
		h = in.Cloud.Parent
	}
}

// handle gives the handle of a folder.
func (s *survey) handle(ino tree.Ino) megaclient.Handle {
	if row := s.rows[ino]; row != nil {
		if row.Cloud == nil {
			return ""
		}
		return row.Cloud.Handle
	}
	in, err := s.tx.Get(ino)
	if err != nil || in.Cloud == nil {
		return ""
	}
	return in.Cloud.Handle
}

// inPlace tells whether a folder and all above it are in the cloud where they
// are here.
func (s *survey) inPlace(ino tree.Ino) bool {
	if known, ok := s.placed[ino]; ok {
		return known
	}
	s.placed[ino] = false // a circle, which can't be, would end here
	in, err := s.tx.Get(ino)
	if err != nil || in.Cloud == nil || in.Removed || in.Pending.Has(tree.PendingPlace|tree.PendingCreate) {
		return false
	}
	if d := s.dirty[ino]; d != nil && d.sending {
		return false
	}
	ok := in.Parent == 0 || in.Parent == ino || s.inPlace(in.Parent)
	s.placed[ino] = ok
	return ok
}

// facts gathers what plan needs to know about one inode.
func (s *survey) facts(d *dirtyInode, row *tree.Inode) facts {
	f := facts{
		now: s.now, times: s.e.times, row: *row, entry: d.entry, asked: d.asked,
		frozen: d.gen != nil, uploading: d.upload != nil, uploaded: d.gen != nil && d.uploaded,
		trash: !s.e.opts.PermanentDelete,
	}
	if row.Removed {
		s.removalFacts(&f, row)
		return f
	}
	f.parent = s.handle(row.Parent)
	f.placed = s.inPlace(row.Parent)
	if parent, err := s.tx.Get(row.Parent); err != nil || parent.Removed {
		f.orphan = true
	}
	if row.Kind != tree.File {
		return f
	}
	if row.Cloud == nil && f.parent != "" {
		_, f.leaver = s.leavers[place{f.parent, row.RawName()}]
	}
	if d.gen == nil && d.upload == nil {
		_, f.copy = copySource(s.tx, row, d.entry)
	}
	f.writers, f.lastWrite, f.lastFroze, f.emptied = s.e.writing(row.Ino)
	return f
}

func (s *survey) removalFacts(f *facts, row *tree.Inode) {
	if row.Cloud == nil {
		return
	}
	f.holding, f.lent = s.holds[row.Ino], s.lent[row.Cloud.Handle]
	if above, ok := s.tx.ByHandle(row.Cloud.Parent); ok {
		if up := s.rows[above]; up != nil && up.Pending.Has(tree.PendingRemove) && up.Cloud != nil {
			f.covered = true
		}
		f.lastGone = s.e.queue.lastDeleted(above)
	}
	if heir, ok := s.heirs[place{row.Cloud.Parent, row.Cloud.Name}]; ok {
		f.heir = s.rows[heir].Kind == row.Kind
	}
}

// replacedBy gives the removed file whose place in the cloud the new one takes.
func (s *survey) replacedBy(row *tree.Inode) (tree.Ino, *tree.Inode) {
	ino, ok := s.removed[place{s.handle(row.Parent), row.RawName()}]
	if !ok {
		return 0, nil
	}
	return ino, s.rows[ino]
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

func (q *queue) lastDeleted(dir tree.Ino) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.deleted[dir]
}

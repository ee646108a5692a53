package writeback

import (
	"container/heap"
	"errors"
	"maps"
	"sync"
	"time"

	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// planner remembers what it saw of each dirty inode, so that a look costs what
// has changed and not what is pending. It looks at an inode again when its
// journal row, its upload or its command changed (queue.marks), when the time
// has come that it waits for, or when what it waits for was looked at. Only
// its own goroutine uses it, but for gone.
//
// The maps by place are what inodes mean to each other: who is to have a place
// in the cloud, who is to leave it, who is to be removed from it.
type planner struct {
	e *Engine

	seen    map[tree.Ino]*planned
	heirs   map[place]tree.Ino           // dirty, not removed, on its way to that place
	removed map[place]tree.Ino           // files to be removed that are in that place
	leavers map[place]tree.Ino           // files that are in that place and shall go to another
	wanted  map[megaclient.Handle]inoSet // by folder in the cloud: dirty, in it, and not removed
	lent    map[megaclient.Handle]inoSet // by version: copies of it that aren't in the cloud yet
	waits   map[tree.Ino]inoSet          // by what is waited for: who waits
	blocked inoSet                       // who waits, and for no time
	unread  inoSet                       // who waits since something that it depends on can't be read
	due     schedule                     // who waits for a time
	small   readyList                    // whose content can go up, many at a time
	large   readyList                    // likewise, but large
	orders  readyList                    // whose command can be sent, or that need none

	decided int       // decisions so far, for tests
	checked time.Time // when the stuck ones were last looked at
	gather  time.Time // until when ready files wait for others; zero: none do

	// mu is held while the planner looks, so that between two looks gone and
	// queue.marks together tell of all that is to be removed.
	mu   sync.Mutex
	gone map[megaclient.Handle]inoSet // GUARDED_BY(mu): to be removed, by folder in the cloud
}

type inoSet map[tree.Ino]struct{}

// planned is what the planner remembers of one inode.
type planned struct {
	ino                   tree.Ino
	heir, removed, leaver place             // its own entries in the maps; zero: none
	wanted, gone, lent    megaclient.Handle // likewise
	waitsFor              []tree.Ino
	until                 time.Time // in due; zero: it isn't
	steps                 []step    // in uploads or orders; nil: it isn't
}

// addTo moves an inode from one set to another; the zero key has none.
func addTo[K comparable](m map[K]inoSet, to, from K, ino tree.Ino) {
	var none K
	if from != none {
		if delete(m[from], ino); len(m[from]) == 0 {
			delete(m, from)
		}
	}
	if to != none {
		if m[to] == nil {
			m[to] = inoSet{}
		}
		m[to][ino] = struct{}{}
	}
}

func (p *planner) init(e *Engine) {
	p.e = e
	p.seen = map[tree.Ino]*planned{}
	p.heirs, p.removed, p.leavers = map[place]tree.Ino{}, map[place]tree.Ino{}, map[place]tree.Ino{}
	p.lent = map[megaclient.Handle]inoSet{}
	p.wanted, p.waits, p.blocked, p.unread = map[megaclient.Handle]inoSet{}, map[tree.Ino]inoSet{}, inoSet{}, inoSet{}
	p.gone = map[megaclient.Handle]inoSet{}
}

// look decides anew for what has changed and for what is due.
func (p *planner) look(s *survey, marks inoSet, now time.Time) {
	again := inoSet{}
	for ino := range marks {
		again[ino] = struct{}{}
		p.refresh(s, ino, again)
	}
	more := inoSet{}
	for ino := range again {
		if _, marked := marks[ino]; !marked { // its place may have got a handle
			p.refresh(s, ino, more)
		}
	}
	maps.Copy(again, more)
	for _, ino := range p.due.pop(now, p.seen) {
		again[ino] = struct{}{}
	}
	for ino := range again {
		p.decide(s, ino)
	}
}

// refresh brings an inode's entries in the maps up to date. Whoever may decide
// otherwise because of it is added to again. While it can't be read they stay as they were.
func (p *planner) refresh(s *survey, ino tree.Ino, again inoSet) {
	maps.Copy(again, p.waits[ino])
	var now planned
	d, dirty := s.dirty(ino)
	s.unread = nil
	if dirty {
		if row := s.row(ino); row != nil {
			now = s.means(row, p.e.staying(row, &d.entry, s.row) != goes)
			p.e.queue.setBytes(ino, pendingBytes(row))
		}
		now.ino = d.ino
	}
	old := p.seen[ino]
	if old == nil {
		if !dirty {
			return
		}
		old = &planned{ino: ino}
		p.seen[ino] = old
	}
	if s.unread != nil {
		return
	}
	p.enter(p.heirs, ino, old.heir, now.heir, again)
	p.enter(p.removed, ino, old.removed, now.removed, again)
	p.enter(p.leavers, ino, old.leaver, now.leaver, again)
	addTo(p.wanted, now.wanted, old.wanted, ino)
	addTo(p.gone, now.gone, old.gone, ino)
	addTo(p.lent, now.lent, old.lent, ino)
	old.heir, old.removed, old.leaver, old.wanted, old.gone, old.lent = now.heir, now.removed, now.leaver, now.wanted, now.gone, now.lent
	if !dirty {
		p.forget(old)
	}
}

// enter moves an inode's entry in one of the maps. All that have to do with
// either place are looked at again.
func (p *planner) enter(m map[place]tree.Ino, ino tree.Ino, from, to place, again inoSet) {
	if from == to {
		if to != (place{}) {
			m[to] = ino
		}
		return
	}
	for _, at := range []place{from, to} {
		if at == (place{}) {
			continue
		}
		for _, other := range []map[place]tree.Ino{p.heirs, p.removed} {
			if o, ok := other[at]; ok {
				again[o] = struct{}{}
			}
		}
	}
	if from != (place{}) && m[from] == ino {
		delete(m, from)
	}
	if to != (place{}) {
		m[to] = ino
	}
}

// forget drops what is remembered of an inode that isn't dirty any more.
func (p *planner) forget(old *planned) {
	p.unwait(old)
	old.until, old.steps = time.Time{}, nil
	delete(p.seen, old.ino)
	delete(p.unread, old.ino)
}

func (p *planner) unwait(old *planned) {
	for _, on := range old.waitsFor {
		addTo(p.waits, 0, on, old.ino)
	}
	old.waitsFor = nil
	delete(p.blocked, old.ino)
}

// decide plans one inode and enters it where the verdict belongs.
func (p *planner) decide(s *survey, ino tree.Ino) {
	old := p.seen[ino]
	if old == nil {
		return
	}
	p.unwait(old)
	old.until, old.steps = time.Time{}, nil
	d, dirty := s.dirty(ino)
	if !dirty || d.sending {
		return // its mark, or the answer, brings it here again
	}
	p.decided++
	s.unread = nil
	v, waitsFor := s.verdict(&d)
	s.ask()
	v = p.putOff(s, ino, v)
	if d.wall != v.wall {
		p.e.queue.setWall(ino, v.wall)
	}
	switch {
	case len(v.steps) > 0:
		old.steps = v.steps
		if v.has(stepUpload) {
			list := &p.small
			if row := s.row(ino); row != nil && row.Size > smallUpload {
				list = &p.large
			}
			list.add(d.entry.Seq, ino)
		} else {
			p.orders.add(d.entry.Seq, ino)
		}
	case v.waits():
		old.until = v.until
		heap.Push(&p.due, appointment{v.until, ino})
	default:
		p.blocked[ino] = struct{}{}
	}
	if len(v.steps) > 0 || v.waits() {
		return // it is decided anew when its time or turn has come
	}
	if d.asked != 0 {
		p.e.queue.askFor(waitsFor)
	}
	old.waitsFor = waitsFor
	for _, on := range waitsFor {
		addTo(p.waits, on, 0, ino)
	}
}

// Why a change waits that can't be read, or that must not overtake one.
var (
	errUnread     = errors.New("the database here can't be read in part: see `dmesg`; `megadisk export-pending DIR` saves what is pending")
	errNotRemoved = errors.New("nothing is removed from the cloud while a change can't be read")
)

// putOff replaces the verdict of an inode if something that it depends on can't be read: it is looked at again in a
// while, and the others go on. But then nothing is removed: nobody knows whether that one still needs it.
func (p *planner) putOff(s *survey, ino tree.Ino, v verdict) verdict {
	later := s.now.Add(p.e.times.RetryFirst)
	if s.unread != nil {
		if len(p.unread) == 0 {
			p.e.log.WithError(s.unread).Error("a change can't be read, and isn't sent; nothing is removed from the cloud meanwhile")
		}
		p.unread[ino] = struct{}{}
		return verdict{until: later, wall: errUnread}
	}
	delete(p.unread, ino)
	if len(p.unread) > 0 && (v.has(stepTrash) || v.has(stepDelete)) {
		return verdict{until: later, wall: errNotRemoved}
	}
	return v
}

// tasks decides once more for an inode that was found ready, and gives what is
// to be done; nothing if that has changed.
func (p *planner) tasks(s *survey, ino tree.Ino, upload bool) (list []task) {
	p.decide(s, ino)
	old := p.seen[ino]
	if old == nil || len(old.steps) == 0 || (old.steps[0] == stepUpload) != upload {
		return nil
	}
	steps := old.steps
	old.steps = nil // it isn't ready any more: it is being done
	row := s.row(ino)
	t := task{ino: ino}
	if row != nil {
		t.target, t.parent, t.name, t.size = s.handle(row.Parent), row.Parent, row.Name, row.Size
	}
	for _, t.step = range steps {
		if t.step == stepFile && row.Cloud == nil {
			t.over = s.replacedBy(row)
		}
		list = append(list, t)
	}
	return list
}

// onlyFiles tells whether nothing but new content is ready: nobody waits for
// that.
func (p *planner) onlyFiles() bool {
	for _, it := range p.orders.h {
		if old := p.seen[it.ino]; old != nil && len(old.steps) > 0 && old.steps[0] != stepFile {
			return false
		}
	}
	return true
}

// stuck gives some of those that wait for nothing but others, for the case
// that something was missed.
func (p *planner) stuck(most int) []tree.Ino {
	inos := make([]tree.Ino, 0, min(most, len(p.blocked)))
	for ino := range p.blocked {
		if len(inos) >= most {
			break
		}
		inos = append(inos, ino)
	}
	return inos
}

// pendingBytes gives how much content an inode has to send.
func pendingBytes(in *tree.Inode) int64 { return max(sizeToStore(in), 0) }

// appointment is when an inode is to be looked at.
type appointment struct {
	at  time.Time
	ino tree.Ino
}

// schedule is a heap of appointments. Those that don't hold any more are
// dropped when their time comes.
type schedule []appointment

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)        { *s = append(*s, x.(appointment)) }
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// pop gives those whose time has come.
func (s *schedule) pop(now time.Time, seen map[tree.Ino]*planned) (inos []tree.Ino) {
	for len(*s) > 0 {
		first := (*s)[0]
		old := seen[first.ino]
		holds := old != nil && old.until.Equal(first.at)
		if holds && now.Before(first.at) {
			break
		}
		heap.Pop(s)
		if holds {
			inos = append(inos, first.ino)
		}
	}
	return inos
}

// next gives the time of the next appointment that holds, zero if there is
// none.
func (s *schedule) next(seen map[tree.Ino]*planned) time.Time {
	for len(*s) > 0 {
		first := (*s)[0]
		if old := seen[first.ino]; old != nil && old.until.Equal(first.at) {
			return first.at
		}
		heap.Pop(s)
	}
	return time.Time{}
}

// readyList is a heap of inodes by the order of their first changes. One may
// be in it that isn't ready any more, or twice.
type readyList struct{ h readyHeap }

type readyItem struct {
	seq uint64
	ino tree.Ino
}

type readyHeap []readyItem

func (h readyHeap) Len() int           { return len(h) }
func (h readyHeap) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h readyHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *readyHeap) Push(x any)        { *h = append(*h, x.(readyItem)) }
func (h *readyHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (l *readyList) add(seq uint64, ino tree.Ino) { heap.Push(&l.h, readyItem{seq, ino}) }

func (l *readyList) len() int { return len(l.h) }

// first gives the one that take would give.
func (l *readyList) first(seen map[tree.Ino]*planned) (tree.Ino, bool) {
	for len(l.h) > 0 {
		ino := l.h[0].ino
		if old := seen[ino]; old != nil && len(old.steps) > 0 && old.steps[0] == stepUpload {
			return ino, true
		}
		heap.Pop(&l.h)
	}
	return 0, false
}

// take gives the next that is still ready by what the planner remembers.
func (l *readyList) take(seen map[tree.Ino]*planned, upload bool) (tree.Ino, bool) {
	for len(l.h) > 0 {
		it := heap.Pop(&l.h).(readyItem)
		if old := seen[it.ino]; old != nil && len(old.steps) > 0 && (old.steps[0] == stepUpload) == upload {
			return it.ino, true
		}
	}
	return 0, false
}

// isGone tells whether an error says that an inode has no row any more.
func isGone(err error) bool { return errors.Is(err, tree.ErrStale) || errors.Is(err, tree.ErrNotFound) }

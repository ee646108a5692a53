package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"megadisk/cache"
	"megadisk/cmd/megadisk/internal/control"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/durable"
	"megadisk/writeback/tree"
)

// pins are the files and folders that are kept here whole, also for later. They are numbers of inodes, which stay
// the same through renames and new versions and tell nothing to who reads the disk. Where another inode takes the
// place of a pinned one, as a program that saves by renaming does it, the pin goes over to that.
//
// Lock order: none; mu is a leaf.
type pins struct {
	p    *Process
	file string
	wake chan struct{}

	// The worker's own.
	kept   map[megacrypto.FileKey]cache.File // pinned in the cache, by content: copies share it
	places map[tree.Ino]place                // where what is pinned was seen last
	whole  map[megacrypto.FileKey]time.Time  // when a content was found to be here whole

	mu      sync.Mutex
	inos    []tree.Ino                  // GUARDED_BY(mu)
	status  map[tree.Ino]control.Pinned // as of the last round; GUARDED_BY(mu)
	filling tree.Ino                    // what is being brought in; GUARDED_BY(mu)
	coming  cache.File                  // of that, what status doesn't count in yet; GUARDED_BY(mu)
	cancel  context.CancelFunc          // ends that; GUARDED_BY(mu)
}

// place is where a pinned inode is, or was before it went.
type place struct {
	at, before spot      // now, and before it was moved
	moved      time.Time // when
	gone       time.Time // zero: it is there
}

// spot is an entry of a folder.
type spot struct {
	parent tree.Ino
	name   string
}

// see notes where an inode is.
func (p place) see(at spot) place {
	if at != p.at {
		p.before, p.at, p.moved = p.at, at, time.Now()
	}
	p.gone = time.Time{}
	return p
}

// pinsFile is what stands in the state folder.
type pinsFile struct {
	Version int        `json:"version"`
	Inodes  []tree.Ino `json:"inodes"`
}

const (
	pinsName    = "pins.json"
	pinsVersion = 1
	pinsRetry   = time.Minute // after a round that could not bring in everything
	pinsSettle  = time.Second // changes are gathered for so long
	pinsNoRoom  = time.Hour   // after one that found no room: each try downloads in vain
	// pinsWhole is how long it is believed that a content is here whole.
	pinsWhole = 10 * time.Minute
	// pinsGrace is how long what is gone may still be replaced, as by a program that deletes and writes anew.
	pinsGrace = 10 * time.Minute
)

// errPinsDamaged means that what was written down of pins can't be understood.
var errPinsDamaged = errors.New("damaged")

// readPins reads what is pinned. No mount depends on it: what is damaged is put aside, and nothing is pinned then.
func (p *Process) readPins(state string) (*pins, error) {
	s, err := openPins(p, state)
	if !errors.Is(err, errPinsDamaged) {
		return s, err
	}
	aside := filepath.Join(state, pinsName+".damaged-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := os.Rename(filepath.Join(state, pinsName), aside); err != nil {
		return nil, fmt.Errorf("putting aside what is pinned, which is damaged: %w", err)
	}
	p.Notice(fmt.Sprintf("what was pinned is damaged and lies in %s: nothing is pinned now, until `megadisk pin` does it anew", aside))
	return openPins(p, state)
}

// openPins reads what is pinned.
func openPins(p *Process, state string) (*pins, error) {
	s := &pins{p: p, file: filepath.Join(state, pinsName), wake: make(chan struct{}, 1), status: map[tree.Ino]control.Pinned{},
		kept: map[megacrypto.FileKey]cache.File{}, places: map[tree.Ino]place{},
		whole: map[megacrypto.FileKey]time.Time{}}
	b, err := os.ReadFile(s.file)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	var f pinsFile
	if err == nil && (json.Unmarshal(b, &f) != nil || f.Version < 1) {
		err = errPinsDamaged
	}
	if err == nil && f.Version > pinsVersion {
		err = fmt.Errorf("version %d", f.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is pinned (%s): %w", s.file, err)
	}
	s.inos = f.Inodes
	return s, nil
}

// set pins an inode or takes that back.
func (s *pins) set(ino tree.Ino, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.inos, ino)
	if on == (at >= 0) {
		return nil
	}
	next := slices.Clone(s.inos)
	if on {
		next = append(next, ino)
	} else {
		next = slices.Delete(next, at, at+1)
	}
	if err := s.save(next); err != nil {
		return fmt.Errorf("writing down what is pinned: %w", err)
	}
	s.inos = next
	delete(s.status, ino)
	if !on && s.filling == ino && s.cancel != nil {
		s.cancel()
	}
	s.kick()
	return nil
}

// save replaces the file.
func (s *pins) save(inos []tree.Ino) error {
	b, err := json.Marshal(pinsFile{pinsVersion, inos})
	if err != nil {
		return err
	}
	return durable.WriteFile(s.file, b)
}

// kick has a round made soon.
func (s *pins) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *pins) list() []tree.Ino {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.inos)
}

// run keeps what is pinned here, until ctx ends.
func (s *pins) run(ctx context.Context) {
	cancel := s.p.engine.Tree().Subscribe(func([]tree.Change) {
		if len(s.list()) > 0 {
			s.kick()
		}
	})
	defer cancel()
	for {
		var again <-chan time.Time
		if wait := s.round(ctx); wait > 0 {
			again = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-s.wake:
			select {
			case <-time.After(pinsSettle):
			case <-ctx.Done():
				return
			}
		}
	}
}

// round pins every content below what is pinned, lets go of what was pinned before and isn't any more, and brings in
// what is missing. It tells when to look again though nothing changes; 0: all is here.
func (s *pins) round(ctx context.Context) (again time.Duration) {
	waiting := s.follow()
	now := map[megacrypto.FileKey]cache.File{}
	complete := true
	for _, ino := range s.list() {
		err := s.eachKept(ctx, ino, func(files []entry) error {
			for _, e := range files {
				now[e.file.Key] = e.file
				s.p.cache.Pin(e.file)
			}
			return nil
		})
		complete = complete && (err == nil || isGone(err))
	}
	if complete {
		s.letGo(now)
	}
	for key, f := range now {
		s.kept[key] = f
	}
	if !complete || waiting {
		again = pinsRetry
	}
	for _, ino := range s.list() {
		switch err := s.fill(ctx, ino); {
		case err == nil || isGone(err):
		case errors.Is(err, cache.ErrNotKept) && again == 0:
			again = pinsNoRoom
		default:
			again = pinsRetry
		}
	}
	return again
}

func isGone(err error) bool {
	return errors.Is(err, tree.ErrStale) || errors.Is(err, tree.ErrNotFound)
}

// covers tells whether an inode, or a folder above it, is pinned.
func (s *pins) covers(row tree.Inode) bool {
	list := s.list()
	for !slices.Contains(list, row.Ino) {
		up, err := s.p.engine.Tree().Get(row.Parent)
		if row.Parent == 0 || err != nil {
			return false
		}
		row = up
	}
	return true
}

// letGo unpins what was pinned and isn't among what is now.
func (s *pins) letGo(now map[megacrypto.FileKey]cache.File) {
	for key, f := range s.kept {
		if _, still := now[key]; !still {
			s.p.cache.Unpin(f)
			delete(s.kept, key)
			delete(s.whole, key)
		}
	}
}

// follow lets pins go over to what took the place of an inode that is gone, and ends those of what stays away. It
// tells whether some wait for that.
func (s *pins) follow() (waiting bool) {
	t := s.p.engine.Tree()
	for _, ino := range s.list() {
		row, err := t.Get(ino)
		switch {
		case err != nil && !isGone(err): // nothing is known
		case err == nil && !row.Removed && !s.inBin(row):
			s.places[ino] = s.places[ino].see(spot{row.Parent, row.Name})
		default:
			waiting = s.replace(ino) || waiting
		}
	}
	return waiting
}

// inBin tells whether an inode lies in the Rubbish Bin.
func (s *pins) inBin(row tree.Inode) bool {
	for row.Parent != 0 && row.Parent != tree.BinIno {
		up, err := s.p.engine.Tree().Get(row.Parent)
		if err != nil {
			return false
		}
		row = up
	}
	return row.Parent == tree.BinIno
}

// replace looks for what took the place of an inode that is gone, and tells whether to go on waiting for that. Some
// programs rename the old file away first, so that the place before counts as well.
func (s *pins) replace(ino tree.Ino) (waiting bool) {
	was, known := s.places[ino]
	spots := []spot{was.at}
	if time.Since(was.moved) < pinsGrace {
		spots = append(spots, was.before)
	}
	for _, at := range spots {
		if row, err := s.p.engine.Tree().Lookup(at.parent, at.name); err == nil && row.Ino != ino {
			return s.goOver(ino, row.Ino, at) != nil
		}
	}
	if known && was.gone.IsZero() {
		was.gone = time.Now()
		s.places[ino] = was
	}
	if known && time.Since(was.gone) < pinsGrace {
		return true
	}
	_ = s.end(ino)
	return false
}

// goOver pins an inode in place of another.
func (s *pins) goOver(from, to tree.Ino, at spot) error {
	if err := s.set(to, true); err != nil {
		return err
	}
	s.places[to] = s.places[to].see(at)
	return s.end(from)
}

// end unpins an inode that is gone.
func (s *pins) end(ino tree.Ino) error {
	if err := s.set(ino, false); err != nil {
		return err
	}
	delete(s.places, ino)
	return nil
}

// eachKept calls fn with the files at or below an inode that are to be kept: versions in the cloud, also where there
// are changes on top of them.
func (s *pins) eachKept(ctx context.Context, ino tree.Ino, fn func([]entry) error) error {
	return s.p.eachPage(ctx, ino, func(files []entry) error {
		kept := files[:0]
		for _, e := range files {
			f, ok := baseFile(&e.row)
			if ok && !e.row.Removed && (e.row.Base.Limit > 0 || !e.row.Pending.Has(tree.PendingContent)) {
				e.file, e.here = f, true
				kept = append(kept, e)
			}
		}
		if len(kept) == 0 {
			return nil
		}
		return fn(kept)
	})
}

// fill brings in what is missing below an inode, and keeps the status. A file that can't be had holds up no other;
// the error is that of the first one.
func (s *pins) fill(ctx context.Context, ino tree.Ino) (first error) {
	ctx, done, wanted := s.beginFilling(ctx, ino)
	defer done()
	if !wanted {
		return nil
	}
	var st control.Pinned
	if err := s.eachKept(ctx, ino, func(files []entry) error {
		for _, e := range files {
			st.Files++
			st.Bytes += e.file.Size
			st.Here += s.here(e.file)
		}
		return nil
	}); err != nil {
		return err
	}
	s.note(ino, st)
	err := s.eachKept(ctx, ino, func(files []entry) error {
		missing := slices.DeleteFunc(files, func(e entry) bool { return s.here(e.file) == e.file.Size })
		ask := make([]megaclient.Handle, len(missing))
		for i, e := range missing {
			ask[i] = megaclient.Handle(e.file.Handle)
		}
		_ = s.p.o.Client.PrepareURLs(ctx, ask)
		for _, e := range missing {
			st.Here -= s.here(e.file)
			s.begin(ino, st, e.file)
			err := s.p.cache.Fill(ctx, e.file, nil)
			st.Here += s.here(e.file)
			if err != nil && first == nil {
				first = fmt.Errorf("%s: %w", e.path, err)
			}
			s.note(ino, st)
			if err != nil && !isOfOneFile(err) || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
		}
		return nil
	})
	if first = cmp.Or(first, err); first != nil {
		st.Problem = first.Error()
		s.note(ino, st)
	}
	return first
}

// here is how much of a file can be read without the network. What is pinned and whole stays so, unless somebody
// meddles with the cache: that is looked at again now and then.
func (s *pins) here(f cache.File) int64 {
	if time.Since(s.whole[f.Key]) < pinsWhole {
		return f.Size
	}
	n := min(s.p.cache.State(f).Cached, f.Size)
	if n == f.Size {
		s.whole[f.Key] = time.Now()
	}
	return n
}

// isOfOneFile tells an error that says nothing about other files.
func isOfOneFile(err error) bool {
	var refusal *megaclient.Error
	var quota *megaclient.OverQuotaError
	return errors.Is(err, cache.ErrQuarantined) || errors.Is(err, cache.ErrWrong) ||
		errors.As(err, &refusal) && !errors.As(err, &quota) && refusal.Code != megaclient.ESID
}

// beginFilling lets unpinning end what is being brought in.
func (s *pins) beginFilling(ctx context.Context, ino tree.Ino) (_ context.Context, done func(), wanted bool) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filling, s.cancel = ino, cancel
	return ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancel = nil
		cancel()
	}, slices.Contains(s.inos, ino)
}

// note keeps the status of a pin.
func (s *pins) note(ino tree.Ino, st control.Pinned) { s.begin(ino, st, cache.File{}) }

// begin is note before a file is brought in, of which nothing is counted in.
func (s *pins) begin(ino tree.Ino, st control.Pinned, f cache.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming = f
	if slices.Contains(s.inos, ino) {
		s.status[ino] = st
	}
}

// forStatus tells how far all pins are.
func (s *pins) forStatus() []control.Pinned {
	var list []control.Pinned
	for _, ino := range s.list() {
		s.mu.Lock()
		st, counted := s.status[ino]
		coming := s.coming
		if ino != s.filling {
			coming = cache.File{}
		}
		s.mu.Unlock()
		st.Counting = !counted
		if coming.Size > 0 {
			st.Here += min(s.p.cache.State(coming).Cached, coming.Size)
		}
		if where, err := s.p.engine.Tree().Path(ino); err == nil {
			st.Path = where
			list = append(list, st)
		}
	}
	return list
}

// Pin keeps all at or below a path here. It returns at once; status shows how far it is.
func (p *Process) Pin(_ context.Context, where string) error { return p.setPin(where, true) }

// Unpin lets what is at or below a path be evicted again.
func (p *Process) Unpin(_ context.Context, where string) error { return p.setPin(where, false) }

func (p *Process) setPin(where string, on bool) error {
	ino, err := p.inodeAt(where)
	if err != nil {
		return err
	}
	if !on && !slices.Contains(p.pins.list(), ino) {
		return fmt.Errorf("%s is not pinned itself: `megadisk status` lists what is", where)
	}
	return p.pins.set(ino, on)
}

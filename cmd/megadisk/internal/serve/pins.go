package serve

import (
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
	"megadisk/writeback/tree"
)

// pins are the files and folders that are kept here whole, also for later. They are numbers of inodes, which stay
// the same through renames and new versions and tell nothing to who reads the disk.
//
// Lock order: none; mu is a leaf.
type pins struct {
	p    *Process
	file string
	wake chan struct{}

	mu     sync.Mutex
	inos   []tree.Ino                  // GUARDED_BY(mu)
	status map[tree.Ino]control.Pinned // as of the last round; GUARDED_BY(mu)
}

// pinsFile is what stands in the state folder.
type pinsFile struct {
	Version int        `json:"version"`
	Inodes  []tree.Ino `json:"inodes"`
}

const (
	pinsVersion = 1
	pinsRetry   = time.Minute     // after a round that could not bring in everything
	pinsSettle  = 2 * time.Second // changes are gathered for so long
)

// openPins reads what is pinned.
func openPins(p *Process, state string) (*pins, error) {
	s := &pins{p: p, file: filepath.Join(state, "pins.json"), wake: make(chan struct{}, 1), status: map[tree.Ino]control.Pinned{}}
	b, err := os.ReadFile(s.file)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	var f pinsFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err == nil && f.Version != pinsVersion {
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
	s.kick()
	return nil
}

// save replaces the file.
func (s *pins) save(inos []tree.Ino) error {
	b, err := json.Marshal(pinsFile{pinsVersion, inos})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(s.file+".new", s.file)
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
	kept := map[string]cache.File{} // by handle
	for {
		var again <-chan time.Time
		if !s.round(ctx, kept) {
			again = time.After(pinsRetry)
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

// round pins every content below what is pinned, brings in what is missing, and lets go of what was pinned before and
// isn't any more. It tells whether all is here.
func (s *pins) round(ctx context.Context, kept map[string]cache.File) (all bool) {
	now := map[string]cache.File{}
	all = true
	for _, ino := range s.list() {
		err := s.p.eachPage(ctx, ino, func(files []entry) error {
			for _, e := range files {
				if e.here {
					now[e.file.Handle] = e.file
					s.p.cache.Pin(e.file)
				}
			}
			return nil
		})
		if errors.Is(err, tree.ErrStale) || errors.Is(err, tree.ErrNotFound) {
			_ = s.set(ino, false) // it is gone; the next round sees to the rest
		}
		all = s.fill(ctx, ino) && all
	}
	for h, f := range kept {
		if _, still := now[h]; !still {
			s.p.cache.Unpin(f)
			delete(kept, h)
		}
	}
	for h, f := range now {
		kept[h] = f
	}
	return all && ctx.Err() == nil
}

// fill brings in what is missing below an inode, and keeps the status.
func (s *pins) fill(ctx context.Context, ino tree.Ino) bool {
	var st control.Pinned
	note := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if slices.Contains(s.inos, ino) {
			s.status[ino] = st
		}
	}
	_ = s.p.eachPage(ctx, ino, func(files []entry) error {
		for _, e := range files {
			if e.here {
				st.Files++
				st.Bytes += e.file.Size
				st.Here += min(s.p.cache.State(e.file).Cached, e.file.Size)
			}
		}
		return nil
	})
	note()
	err := s.p.eachPage(ctx, ino, func(files []entry) error {
		var missing []entry
		var ask []megaclient.Handle
		for _, e := range files {
			if e.here && s.p.cache.State(e.file).Cached < e.file.Size {
				missing, ask = append(missing, e), append(ask, megaclient.Handle(e.file.Handle))
			}
		}
		_ = s.p.o.Client.PrepareURLs(ctx, ask)
		for _, e := range missing {
			before := min(s.p.cache.State(e.file).Cached, e.file.Size)
			if err := s.p.cache.Fill(ctx, e.file, nil); err != nil {
				return err
			}
			st.Here += e.file.Size - before
			note()
		}
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil {
		st.Problem = err.Error()
		note()
	}
	return err == nil
}

// forStatus tells how far all pins are.
func (s *pins) forStatus() []control.Pinned {
	var list []control.Pinned
	for _, ino := range s.list() {
		s.mu.Lock()
		st := s.status[ino]
		s.mu.Unlock()
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

package fs

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"megadisk/writeback/tree"
)

// A program that copies or searches a folder opens its files one after the other, and each small file costs it two
// round trips. Here such programs are recognised: whose reads follow a folder's order, by name (a shell's *, ls) or by
// inode number (cp, whose library sorts so), gets the next files fetched ahead, the more of them the longer it goes on.
//
// It stands in fs because only here a program's first read of a file, and the file's folder, are seen together: the
// cache knows no folders, and the engine isn't told who opens what for which purpose.

const (
	walksKept    = 4                // folders that are walked at once
	walkStart    = 2                // reads in a row that make a walk, after the first
	walkFirst    = 4                // files that are fetched ahead then …
	walkMost     = 128              // … and at most
	walkGap      = 4                // files that may be left out
	walkListing  = 16384            // in larger folders only so many of the first are known
	walkFresh    = 30 * time.Second // how long a listing is believed
	walksWaiting = 64               // reads that may wait to be looked at
)

// walks recognises walks. The zero value recognises nothing.
type walks struct {
	prefetch func([]tree.Ino)
	get      func(tree.Ino) (tree.Inode, error)
	list     func(dir tree.Ino, after string, max int) ([]tree.Inode, error)

	mu      sync.Mutex
	reads   []tree.Ino // to be looked at; GUARDED_BY(mu)
	working bool       // GUARDED_BY(mu)
	ended   bool       // GUARDED_BY(mu)
	work    sync.WaitGroup

	folders []*walk // the last used last; the worker's own
}

// read is told of the first read of each opening of a file. It never waits.
func (w *walks) read(ino tree.Ino) {
	if w.prefetch == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || len(w.reads) >= walksWaiting {
		return
	}
	w.reads = append(w.reads, ino)
	if !w.working {
		w.working = true
		w.work.Go(w.look)
	}
}

// stop ends everything.
func (w *walks) stop() {
	w.mu.Lock()
	w.ended, w.reads = true, nil
	w.mu.Unlock()
	w.work.Wait()
}

// look works until there is nothing to look at.
func (w *walks) look() {
	for {
		w.mu.Lock()
		if len(w.reads) == 0 {
			w.working = false
			w.mu.Unlock()
			return
		}
		ino := w.reads[0]
		w.reads = w.reads[1:]
		w.mu.Unlock()
		if next := w.step(ino); len(next) > 0 {
			w.prefetch(next)
		}
	}
}

// step takes one read and says what to fetch ahead.
func (w *walks) step(ino tree.Ino) []tree.Ino {
	row, err := w.get(ino)
	if err != nil {
		return nil
	}
	f := w.folder(row.Parent)
	if f.seen++; f.seen < 2 {
		return nil // most folders see one read
	}
	if !f.knows(ino) || time.Since(f.listed) > walkFresh {
		files, err := w.list(row.Parent, "", walkListing)
		if err != nil {
			return nil
		}
		f.relist(files)
	}
	return f.step(ino)
}

// folder finds or begins the walk of a folder.
func (w *walks) folder(dir tree.Ino) *walk {
	i := slices.IndexFunc(w.folders, func(f *walk) bool { return f.dir == dir })
	f := &walk{dir: dir}
	if i >= 0 {
		f = w.folders[i]
		w.folders = slices.Delete(w.folders, i, i+1)
	}
	w.folders = append(w.folders, f)
	if len(w.folders) > walksKept {
		w.folders = slices.Delete(w.folders, 0, 1)
	}
	return f
}

// walk is one folder whose files are being read. It knows no clock and does nothing itself.
type walk struct {
	dir    tree.Ino
	seen   int // reads
	listed time.Time
	orders [2]order // by name, by inode number
}

// order is one way to go through the folder.
type order struct {
	files []tree.Ino
	at    map[tree.Ino]int
	last  int // where the last read was
	run   int // reads in this order
	ahead int // files before this one were fetched ahead
	width int // how many to fetch ahead
}

// relist takes a folder's files, in the order of their names.
func (f *walk) relist(list []tree.Inode) {
	var names []tree.Ino
	for i := range list {
		if list[i].Kind == tree.File {
			names = append(names, list[i].Ino)
		}
	}
	f.listed = time.Now()
	f.orders[0].take(names)
	f.orders[1].take(slices.SortedFunc(slices.Values(names), cmp.Compare[tree.Ino]))
}

// take puts in another listing; how far the walk has come is kept where that still means something.
func (o *order) take(files []tree.Ino) {
	at := make(map[tree.Ino]int, len(files))
	for i, ino := range files {
		at[ino] = i
	}
	last, known := -1, false
	if o.last >= 0 && o.last < len(o.files) {
		last, known = at[o.files[o.last]]
	}
	if !known {
		last, o.run = -1, 0
	}
	*o = order{files: files, at: at, last: last, run: o.run, ahead: last + 1, width: o.width}
}

func (f *walk) knows(ino tree.Ino) bool {
	_, ok := f.orders[0].at[ino]
	return ok
}

// step takes a read and says what to fetch ahead, in the order that fits the reads best.
func (f *walk) step(ino tree.Ino) []tree.Ino {
	best := &f.orders[0]
	for i := range f.orders {
		o := &f.orders[i]
		o.read(ino)
		if o.run > best.run {
			best = o
		}
	}
	return best.next()
}

// read notes where a file stands in the order.
func (o *order) read(ino tree.Ino) {
	i, ok := o.at[ino]
	if !ok {
		return
	}
	switch gap := i - o.last; {
	case gap == 0:
	case gap > 0 && gap <= walkGap:
		o.run++
	case gap < 0 && -gap <= walkGap && o.run > walkStart: // readers side by side
		return
	default:
		o.run, o.width, o.ahead = 0, 0, 0
	}
	o.last = i
}

// next gives the files to fetch ahead: when fewer than half of the width are left.
func (o *order) next() []tree.Ino {
	if o.run < walkStart {
		return nil
	}
	o.ahead = max(o.ahead, o.last+1)
	if o.width > 0 && o.ahead-o.last > o.width/2 {
		return nil
	}
	o.width = min(max(2*o.width, walkFirst), max(o.run, walkFirst), walkMost) // no more than were read
	end := min(o.last+1+o.width, len(o.files))
	if o.ahead >= end {
		return nil
	}
	files := o.files[o.ahead:end]
	o.ahead = end
	return files
}

package megaclient

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// A file that is spread over six URLs is read in windows. In each, the same lines of five parts are fetched side by
// side, each over a connection and into memory of its own, and passed on as far as five have come. The sixth part
// is asked for when one of the five fails, or keeps the others waiting; whichever five are first are taken. Only when
// two parts have failed has the attempt.

const (
	// raidWindow is the bytes of one part in a window: of the file, somewhat more than 2 MiB, so that what a
	// cache asks for at a time fits into one.
	raidWindow = 416 << 10
	// raidWindows bounds the windows at any time, and so the memory: 2.5 MiB each. They have more parts together
	// than there are connections.
	raidWindows = 8
	// raidSpare of them are never for what nobody waits for: such windows may wait long for their connections, and hold
	// their places meanwhile.
	raidSpare = 2
)

var windowBuffers = sync.Pool{New: func() any { return new([raidWindow]byte) }}

// window is the lines [first, end) of a spread file on their way.
type window struct {
	r          *rangeRead
	u          *downloadURL
	first, end int64
	until      int64         // position in the file up to which bytes are wanted
	news       chan struct{} // something has come, or failed
	group      sync.WaitGroup
	begun      time.Time
	alone      time.Time         // when all but one of the parts asked for had come
	rebuilt    *[raidWindow]byte // sectors of a part that doesn't come

	mu    sync.Mutex
	parts [raidParts]part // GUARDED_BY(mu)
}

// part is what has come of one part in a window.
type part struct {
	cancel context.CancelFunc // nil: not asked for
	buf    *[raidWindow]byte  // nil until there is a connection
	size   int64              // bytes that it has in the window
	got    int64
	begun  time.Time // when it got a connection
	err    error     // why no more comes
}

// fetchParts reads what is missing of a spread file, until two parts fail.
func (r *rangeRead) fetchParts(ctx context.Context, u *downloadURL) error {
	for r.pos < r.end {
		if err := r.fetchWindow(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

func (r *rangeRead) fetchWindow(ctx context.Context, u *downloadURL) error {
	w := newWindow(r, u)
	if err := r.c.transfers.windows.enter(ctx, r.handle); err != nil {
		return err
	}
	defer r.c.transfers.windows.leave()
	defer w.close()
	w.askFive(ctx)
	for {
		if err := w.pass(); err != nil || r.pos == w.until {
			return err
		}
		late, err := w.judge(ctx)
		if err != nil {
			r.waits.excuse(w.queued())
			return err
		}
		select {
		case <-w.news:
		case <-late:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func newWindow(r *rangeRead, u *downloadURL) *window {
	first, end := raidLines(r.pos, r.end)
	end = min(end, first+raidWindow/raidSector)
	w := &window{
		r: r, u: u, first: first, end: end, until: min(r.end, end*raidLine),
		news: make(chan struct{}, 1), begun: time.Now(),
	}
	for i := range w.parts {
		w.parts[i].size = min(raidPartSize(u.size, i), end*raidSector) - first*raidSector
	}
	return w
}

// close ends what is still under way. Parts that have come whole end by themselves, and their connections are
// used again.
func (w *window) close() {
	w.mu.Lock()
	for _, p := range w.parts {
		if p.cancel != nil && p.got < p.size {
			p.cancel()
		}
	}
	w.mu.Unlock()
	w.group.Wait()
	for _, p := range w.parts {
		if p.cancel != nil {
			p.cancel()
		}
		if p.buf != nil {
			windowBuffers.Put(p.buf)
		}
	}
	if w.rebuilt != nil {
		windowBuffers.Put(w.rebuilt)
	}
}

// askFive asks for all parts but the one that is to be left out.
func (w *window) askFive(ctx context.Context) {
	spare := int(w.u.spare.Load())
	if w.parts[spare].size == 0 {
		spare = 0 // the parity; where the file ends, some parts have nothing
	}
	for i := range w.parts {
		if i != spare && w.parts[i].size > 0 {
			w.ask(ctx, i)
		}
	}
}

// queued is how long the window has waited for its first connection.
func (w *window) queued() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := time.Now()
	for _, p := range w.parts {
		if !p.begun.IsZero() && p.begun.Before(first) {
			first = p.begun
		}
	}
	return first.Sub(w.begun)
}

// ask begins to fetch a part.
func (w *window) ask(ctx context.Context, i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &w.parts[i]
	ctx, p.cancel = context.WithCancel(ctx)
	w.group.Go(func() {
		if err := w.fetch(ctx, i); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.parts[i].err = err
			w.tell()
		}
	})
}

// fetch brings in a part over a connection of its own.
func (w *window) fetch(ctx context.Context, i int) error {
	down := w.r.c.transfers.down
	if err := down.enter(ctx, w.r.handle); err != nil {
		return err
	}
	defer down.leave()
	w.mu.Lock()
	p := &w.parts[i]
	p.buf, p.begun = windowBuffers.Get().(*[raidWindow]byte), time.Now()
	clear(p.buf[p.size:min(p.size+raidSector, raidWindow)]) // what a last, shorter sector lacks
	s := stretch{c: w.r.c, pos: w.first * raidSector, w: &partWriter{w, i}}
	s.end = s.pos + p.size
	w.mu.Unlock()
	w.tell() // there is a connection
	return s.fetch(ctx, w.u.urls[i])
}

// tell wakes the one who reads.
func (w *window) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// partWriter takes the bytes of a part.
type partWriter struct {
	w *window
	i int
}

// Lend gives the rest of the part's memory.
func (p *partWriter) Lend() []byte {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	t := &p.w.parts[p.i]
	return t.buf[t.got:t.size]
}

// Commit takes the first n bytes of what was lent last.
func (p *partWriter) Commit(n int) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.parts[p.i].got += int64(n)
	p.w.tell()
	return nil
}

// Write is there for the interface: what is lent is always taken.
func (p *partWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// linesLocked is how many lines of the window a part has.
func (w *window) linesLocked(p *part) int64 {
	if p.got >= p.size {
		return w.end - w.first
	}
	return p.got / raidSector
}

var noSector [raidSector]byte

// sectors gives the memory of all parts, of how many lines five of them have everything, and the part that is to be
// rebuilt for that; 0, the parity, says that none is.
func (w *window) sectors() (parts [raidParts][]byte, lines int64, missing int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var have [raidParts]int64
	for i := range w.parts {
		p := &w.parts[i]
		have[i] = w.linesLocked(p)
		switch {
		case p.buf != nil:
			parts[i] = p.buf[:]
		case p.size == 0: // the file ends before its sector
			parts[i] = noSector[:]
		}
	}
	sorted := have
	slices.Sort(sorted[:])
	lines = sorted[1]
	for i := 1; i < raidParts; i++ {
		if have[i] < lines {
			missing = i
		}
	}
	return parts, lines, missing
}

// pass passes on what can be put together.
func (w *window) pass() error {
	parts, lines, missing := w.sectors()
	until := min(w.until, (w.first+lines)*raidLine)
	if until <= w.r.pos {
		return nil
	}
	w.u.used.Or(1 << missing)
	if missing > 0 {
		if w.rebuilt == nil {
			w.rebuilt = windowBuffers.Get().(*[raidWindow]byte)
		}
		from := int(w.r.pos/raidLine-w.first) * raidSector
		rebuildSectors(w.rebuilt[:], parts, missing, from, int(lines)*raidSector)
		parts[missing] = w.rebuilt[:]
	}
	lender, giveBack := w.r.lender()
	defer giveBack()
	for w.r.pos < until {
		buf := lender.Lend()
		if len(buf) == 0 {
			return unwanted(lender)
		}
		buf = buf[:min(int64(len(buf)), until-w.r.pos)]
		joinSectors(buf, w.r.pos, w.first, parts)
		if err := lender.Commit(len(buf)); err != nil {
			return &writeError{err}
		}
		w.r.pos += int64(len(buf))
	}
	return nil
}

// judge asks for the sixth part if one of the five has failed or keeps the others waiting for too long; late says
// when to look again for that. It fails when two have failed.
func (w *window) judge(ctx context.Context) (late <-chan time.Time, err error) {
	lost, idle, failed := w.review()
	switch {
	case len(failed) > 1:
		return nil, worstOf(failed)
	case idle < 0, lost < 0 && w.u.wary:
		return nil, nil
	case lost < 0:
		slow, wait := w.slowest()
		if slow < 0 {
			return nil, nil
		}
		if wait > 0 {
			return time.After(wait), nil
		}
		lost = slow
	}
	w.u.spare.Store(int32(lost)) // windows to come do without it from the beginning
	w.ask(ctx, idle)
	return nil, nil
}

// review gives a part that has failed, the one that wasn't asked for, and all failures.
func (w *window) review() (lost, idle int, failed []error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost, idle = -1, -1
	for i := range w.parts {
		switch p := &w.parts[i]; {
		case p.got >= p.size:
		case p.err != nil:
			lost, failed = i, append(failed, p.err)
		case p.cancel == nil:
			idle = i
		}
	}
	return lost, idle, failed
}

// slowest gives the part that all others wait for, if it has a connection, and how long to wait for it still: as
// long again as the others took.
func (w *window) slowest() (slow int, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slow = -1
	for i := range w.parts {
		p := &w.parts[i]
		if p.cancel == nil || p.got >= p.size {
			continue
		}
		if slow >= 0 || p.buf == nil {
			return -1, 0
		}
		slow = i
	}
	if slow < 0 {
		return -1, 0
	}
	now := time.Now()
	if w.alone.IsZero() {
		w.alone = now
	}
	since := w.alone
	if begun := w.parts[slow].begun; begun.After(since) {
		since = begun
	}
	return slow, max(w.alone.Sub(w.begun), w.r.c.transfers.timing.lag) - now.Sub(since)
}

// worstOf tells which of two failures decides. Without transfer quota all parts say so.
func worstOf(failed []error) error {
	for _, err := range failed {
		var quota *OverQuotaError
		if !errors.As(err, &quota) {
			return err
		}
	}
	return failed[0]
}

package fs

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"megadisk/cache"
	"megadisk/megaclient"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// fake is an engine and a tree in memory, for what the real ones can't be made to do: block, fail, and change under
// the kernel's feet at a chosen moment. Its changes are told from one goroutine, in order, as the tree's are.
type fake struct {
	mu      sync.Mutex
	rows    map[tree.Ino]*tree.Inode
	data    map[tree.Ino][]byte
	changes map[tree.Ino]writeback.FileState
	next    tree.Ino
	forgot  []tree.Ino
	self    any // the mount whose requests come here
	subs    []func([]tree.Change)
	told    chan []tree.Change
	deliver sync.Mutex    // held: changes are committed and not told yet
	noted   chan struct{} // gets a value for each note; nil: nobody waits for one

	fetched chan struct{}                                 // closed when the first tree is there
	onRead  func(ctx context.Context, ino tree.Ino) error // before each read
	onMkdir func(ctx context.Context) error
}

func newFake(t testing.TB) *fake {
	f := &fake{
		rows: map[tree.Ino]*tree.Inode{}, data: map[tree.Ino][]byte{}, changes: map[tree.Ino]writeback.FileState{}, next: 16,
		told: make(chan []tree.Change, 1024), fetched: make(chan struct{}),
	}
	f.rows[tree.DriveIno] = &tree.Inode{Ino: tree.DriveIno, Kind: tree.Dir}
	close(f.fetched)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for changes := range f.told {
			f.mu.Lock()
			subs := slices.Clone(f.subs)
			f.mu.Unlock()
			f.deliver.Lock()
			for _, s := range subs {
				s(changes)
			}
			f.deliver.Unlock()
		}
	}()
	t.Cleanup(func() { close(f.told); <-done })
	return f
}

// emitLocked tells of changes, with the origin of ctx.
func (f *fake) emitLocked(origin any, changes ...tree.Change) {
	for i := range changes {
		changes[i].Origin = origin
	}
	f.told <- changes
}

func (f *fake) childLocked(parent tree.Ino, name string) *tree.Inode {
	for _, r := range f.rows {
		if r.Parent == parent && r.Name == name && !r.Removed {
			return r
		}
	}
	return nil
}

func (f *fake) addLocked(kind tree.Kind, parent tree.Ino, name string, data []byte) *tree.Inode {
	r := &tree.Inode{Ino: f.next, Kind: kind, Parent: parent, Name: name, Size: int64(len(data)), Mtime: int64(f.next) * 1e9}
	f.next++
	f.rows[r.Ino], f.data[r.Ino] = r, data
	return r
}

// put is another client's doing: it makes a file, or gives an existing one new content.
func (f *fake) put(parent tree.Ino, name string, data []byte) tree.Ino {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.childLocked(parent, name); r != nil {
		r.Size, f.data[r.Ino] = int64(len(data)), data
		r.Base.Handle += "+"
		f.emitLocked(nil, tree.Change{Ino: r.Ino, Content: true, Attr: true})
		return r.Ino
	}
	r := f.addLocked(tree.File, parent, name, data)
	f.emitLocked(nil, tree.Change{Dir: parent, Name: name, Ino: r.Ino})
	return r.Ino
}

// drop is another client's removal.
func (f *fake) drop(parent tree.Ino, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.childLocked(parent, name)
	r.Removed = true
	f.emitLocked(nil, tree.Change{Dir: parent, Name: name, Ino: r.Ino, Removed: true})
}

func (f *fake) Get(ino tree.Ino) (tree.Inode, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.rows[ino]; r != nil {
		return *r, nil
	}
	return tree.Inode{}, tree.ErrStale
}

func (f *fake) Stat(ino tree.Ino) (tree.Inode, error) { return f.Get(ino) }
func (f *fake) Fresh(in tree.Inode) tree.Inode        { return in }
func (f *fake) Generation() uint64                    { return 0 }

func (f *fake) Lookup(parent tree.Ino, name string) (tree.Inode, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.childLocked(parent, name); r != nil {
		return *r, nil
	}
	return tree.Inode{}, tree.ErrNotFound
}

func (f *fake) ReadDir(parent tree.Ino, after string, max int) ([]tree.Inode, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []tree.Inode
	for _, r := range f.rows {
		if r.Parent == parent && r.Name > after && !r.Removed && r.Ino >= 16 {
			all = append(all, *r)
		}
	}
	slices.SortFunc(all, func(a, b tree.Inode) int { return strings.Compare(a.Name, b.Name) })
	return all[:min(len(all), max)], nil
}

func (f *fake) Subscribe(fn func([]tree.Change)) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs = append(f.subs, fn)
	i := len(f.subs) - 1
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.subs[i] = func([]tree.Change) {}
	}
}

func (f *fake) Fetched() bool {
	select {
	case <-f.fetched:
		return true
	default:
		return false
	}
}

func (f *fake) note(_ context.Context, c tree.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.emitLocked(c.Origin, c)
	if f.noted != nil {
		f.noted <- struct{}{}
	}
	return nil
}

func (f *fake) Ready(ctx context.Context) error {
	select {
	case <-f.fetched:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fake) Create(_ context.Context, parent tree.Ino, name string, mode uint32) (tree.Inode, error) {
	return f.make(tree.File, parent, name, mode)
}

func (f *fake) Mkdir(ctx context.Context, parent tree.Ino, name string, mode uint32) (tree.Inode, error) {
	if f.onMkdir != nil {
		if err := f.onMkdir(ctx); err != nil {
			return tree.Inode{}, err
		}
	}
	return f.make(tree.Dir, parent, name, mode)
}

func (f *fake) make(kind tree.Kind, parent tree.Ino, name string, mode uint32) (tree.Inode, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.childLocked(parent, name) != nil {
		return tree.Inode{}, tree.ErrExist
	}
	r := f.addLocked(kind, parent, name, nil)
	r.Mode, r.HasMode = mode, true
	f.emitLocked(f.self, tree.Change{Dir: parent, Name: name, Ino: r.Ino})
	return *r, nil
}

func (f *fake) Unlink(_ context.Context, parent tree.Ino, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.childLocked(parent, name)
	if r == nil {
		return tree.ErrNotFound
	}
	r.Removed = true
	f.emitLocked(f.self, tree.Change{Dir: parent, Name: name, Ino: r.Ino, Removed: true})
	return nil
}

func (f *fake) Rmdir(ctx context.Context, parent tree.Ino, name string) error {
	return f.Unlink(ctx, parent, name)
}

func (f *fake) Rename(context.Context, tree.Ino, string, tree.Ino, string, bool) error {
	return tree.ErrCrossShare
}

func (f *fake) SetAttr(_ context.Context, ino tree.Ino, a writeback.Attr) (tree.Inode, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rows[ino]
	if a.Size != nil {
		r.Size = *a.Size
		f.data[ino] = append(f.data[ino], make([]byte, max(0, *a.Size-int64(len(f.data[ino]))))...)[:*a.Size]
	}
	if a.Mode != nil {
		r.Mode, r.HasMode = *a.Mode, true
	}
	if a.Mtime != nil {
		r.Mtime = a.Mtime.UnixNano()
	}
	return *r, nil
}

func (f *fake) Exchange(context.Context, tree.Ino, string, tree.Ino, string) error {
	return tree.ErrCrossShare
}

func (f *fake) Symlink(context.Context, tree.Ino, string, string) (tree.Inode, error) {
	return tree.Inode{}, tree.ErrReadOnly
}
func (f *fake) Readlink(context.Context, tree.Ino) (string, error) { return "", writeback.ErrNotLink }
func (f *fake) SetXattr(context.Context, tree.Ino, string, string, writeback.XattrMode) error {
	return tree.ErrReadOnly
}
func (f *fake) RemoveXattr(context.Context, tree.Ino, string) error { return tree.ErrReadOnly }

func (f *fake) SyncDir(context.Context, tree.Ino) error { return nil }
func (f *fake) Attach(origin any)                       { f.mu.Lock(); f.self = origin; f.mu.Unlock() }
func (f *fake) Detach(any)                              { f.mu.Lock(); f.self = nil; f.mu.Unlock() }
func (f *fake) Statfs() (total, used int64)             { return 100 << 30, 25 << 30 }

func (f *fake) Forget(_ any, ino tree.Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgot = append(f.forgot, ino)
}

func (f *fake) FileState(ino tree.Ino) (writeback.FileState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes[ino], nil
}

func (f *fake) Versions(tree.Ino) ([]writeback.Version, error) { return nil, nil }
func (f *fake) VersionOf(megaclient.Handle) (writeback.Version, error) {
	return writeback.Version{}, tree.ErrNotFound
}
func (f *fake) OpenVersion(megaclient.Handle) (*writeback.VersionReader, error) {
	return nil, tree.ErrNotFound
}
func (f *fake) ShareOwner(h megaclient.UserHandle) string { return string(h) }

func (f *fake) open(_ context.Context, ino tree.Ino, _, truncate bool) (file, error) {
	if truncate {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rows[ino].Size, f.data[ino] = 0, nil
	}
	return &fakeFile{f, ino}, nil
}

func (f *fake) createOpen(ctx context.Context, parent tree.Ino, name string, mode uint32, _ bool) (tree.Inode, file, error) {
	in, err := f.Create(ctx, parent, name, mode)
	return in, &fakeFile{f, in.Ino}, err
}

type fakeFile struct {
	f   *fake
	ino tree.Ino
}

func (h *fakeFile) Lend(context.Context, int64, int64) (*cache.Loan, error) { return nil, nil }

func (h *fakeFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if h.f.onRead != nil {
		if err := h.f.onRead(ctx, h.ino); err != nil {
			return 0, err
		}
	}
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	data := h.f.data[h.ino]
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	return copy(p, data[off:]), nil
}

func (h *fakeFile) WriteAt(_ context.Context, p []byte, off int64) (int, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	data := h.f.data[h.ino]
	if need := off + int64(len(p)); need > int64(len(data)) {
		data = append(data, make([]byte, need-int64(len(data)))...)
	}
	copy(data[off:], p)
	h.f.data[h.ino] = data
	h.f.rows[h.ino].Size, h.f.rows[h.ino].Mtime = int64(len(data)), time.Now().UnixNano()
	return len(p), nil
}

func (h *fakeFile) Flush(context.Context) error { return nil }
func (h *fakeFile) Fsync(context.Context) error { return nil }
func (h *fakeFile) Release()                    {}

func (h *fakeFile) Grow(_ context.Context, size int64) error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if data := h.f.data[h.ino]; size > int64(len(data)) {
		h.f.data[h.ino], h.f.rows[h.ino].Size = append(data, make([]byte, size-int64(len(data)))...), size
	}
	return nil
}
func (h *fakeFile) Zero(context.Context, int64, int64, bool) error { return tree.ErrReadOnly }
func (h *fakeFile) FindData(int64, bool) (int64, error)            { return 0, writeback.ErrNoData }
func (h *fakeFile) copyFrom(context.Context, file, int64, int64, int64) (int64, error) {
	return 0, tree.ErrCrossShare
}

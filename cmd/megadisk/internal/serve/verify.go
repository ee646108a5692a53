package serve

import (
	"context"
	"errors"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"

	"megadisk/cache"
	"megadisk/cmd/megadisk/internal/control"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// verifyAtOnce files are read side by side; page is how many are looked at together.
const (
	verifyAtOnce = 8
	page         = 128
)

// contentFile is what the cache calls a file's content in the cloud; false for one that has none.
func contentFile(in *tree.Inode) (cache.File, bool) {
	if in.Pending.Has(tree.PendingContent) {
		return cache.File{}, false
	}
	return baseFile(in)
}

// baseFile is the version in the cloud that a file's content is, or is a change of.
func baseFile(in *tree.Inode) (cache.File, bool) {
	if in.Kind != tree.File || in.Base.Handle == "" {
		return cache.File{}, false
	}
	key, err := megacrypto.UnpackFileKey(in.Base.Key)
	if err != nil {
		return cache.File{}, false
	}
	return cache.File{Handle: string(in.Base.Handle), Key: key, Size: in.Base.Size}, true
}

// entry is a file that a walk has come to.
type entry struct {
	path string // relative to where the walk began; "." for that itself
	row  tree.Inode
	file cache.File
	here bool // file is known
}

// eachPage calls fn with all files at or below ino, a page at a time, in the order of the tree.
func (p *Process) eachPage(ctx context.Context, ino tree.Ino, fn func([]entry) error) error {
	row, err := p.engine.Tree().Get(ino)
	if err != nil {
		return err
	}
	if row.Kind == tree.File {
		f, ok := contentFile(&row)
		return fn([]entry{{path: ".", row: row, file: f, here: ok}})
	}
	return p.eachPageBelow(ctx, ino, "", fn)
}

func (p *Process) eachPageBelow(ctx context.Context, dir tree.Ino, at string, fn func([]entry) error) error {
	for after := ""; ; {
		rows, err := p.engine.Tree().ReadDir(dir, after, page)
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		var files []entry
		for i := range rows {
			name := path.Join(at, rows[i].Name)
			if rows[i].Kind == tree.Dir {
				if err := p.eachPageBelow(ctx, rows[i].Ino, name, fn); err != nil && !errors.Is(err, tree.ErrStale) {
					return err
				}
				continue
			}
			f, ok := contentFile(&rows[i])
			files = append(files, entry{name, rows[i], f, ok})
		}
		if len(files) > 0 {
			if err := fn(files); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
		after = rows[len(rows)-1].Name
	}
}

// Verify reads everything at or below a path and compares it with its keys.
func (p *Process) Verify(ctx context.Context, where string, tell func(control.VerifyProgress)) (control.VerifyReport, error) {
	v := &verifying{p: p, tell: tell, report: control.VerifyReport{Wrong: []string{}, Unreadable: []control.Unreadable{}}}
	ino, err := p.inodeAt(where)
	if err == nil {
		err = p.eachPage(ctx, ino, v.count)
	}
	if err == nil {
		err = p.eachPage(ctx, ino, func(files []entry) error { return v.page(ctx, files) })
	}
	return v.report, err
}

// verifying is one Verify under way.
type verifying struct {
	p    *Process
	tell func(control.VerifyProgress)

	mu       sync.Mutex
	progress control.VerifyProgress // GUARDED_BY(mu)
	report   control.VerifyReport   // GUARDED_BY(mu)
}

func (v *verifying) count(files []entry) error {
	for _, e := range files {
		v.progress.AllFiles++
		v.progress.AllBytes += e.file.Size
	}
	return nil
}

// page verifies some files side by side; their URLs are asked for in one request.
func (v *verifying) page(ctx context.Context, files []entry) error {
	var ask []megaclient.Handle
	for _, e := range files {
		if e.here && e.file.Size > 0 && v.p.cache.State(e.file).Verified != cache.Verified {
			ask = append(ask, megaclient.Handle(e.file.Handle))
		}
	}
	_ = v.p.o.Client.PrepareURLs(ctx, ask) // each file's own read says what is wrong
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(verifyAtOnce)
	for _, e := range files {
		group.Go(func() error { v.file(ctx, e); return ctx.Err() })
	}
	return group.Wait()
}

func (v *verifying) file(ctx context.Context, e entry) {
	var err error
	before := e.here && v.p.cache.State(e.file).Verified == cache.Verified
	if e.here {
		err = v.p.cache.Verify(ctx, e.file, func(n int64) { v.advance(0, n) })
	}
	accepted := e.here && v.p.cache.State(e.file).Verified == cache.Accepted
	v.mu.Lock()
	switch {
	case ctx.Err() != nil:
	case !e.here:
		v.report.Pending++
	case accepted:
		v.report.Accepted++
	case err == nil:
		v.report.Verified++
		v.report.Bytes += e.file.Size
		if before {
			v.report.Before++
		}
	case errors.Is(err, cache.ErrQuarantined):
		v.report.Wrong = append(v.report.Wrong, e.path)
	default:
		v.report.Unreadable = append(v.report.Unreadable, control.Unreadable{Path: e.path, Reason: err.Error()})
	}
	v.mu.Unlock()
	v.advance(1, 0)
}

func (v *verifying) advance(files int, bytes int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress.Files += files
	v.progress.Bytes += bytes
	v.tell(v.progress)
}

// Accept lets be read what was found not to match its key.
func (p *Process) Accept(ctx context.Context, where string) (n int, err error) {
	ino, err := p.inodeAt(where)
	if err != nil {
		return 0, err
	}
	err = p.eachPage(ctx, ino, func(files []entry) error {
		for _, e := range files {
			if e.here && p.cache.State(e.file).Quarantined {
				p.cache.Accept(e.file)
				n++
			}
		}
		return nil
	})
	return n, err
}

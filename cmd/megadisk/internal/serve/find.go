package serve

import (
	"context"
	"errors"
	"path"
	"strings"
	"time"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/writeback/tree"
)

// findPage is how many entries are told at a time.
const findPage = 1000

// errPageFull ends a walk whose page is full.
var errPageFull = errors.New("the page is full")

// Find tells what lies at or below a path, out of the tree. A page begins behind the last path of the one before, so that
// nothing has to be kept between them.
func (p *Process) Find(ctx context.Context, r control.FindRequest) (control.FindPage, error) {
	ino, err := p.inodeAt(r.Path)
	if err != nil {
		return control.FindPage{}, err
	}
	in, err := p.engine.Tree().Get(ino)
	if err != nil {
		return control.FindPage{}, err
	}
	w := &finding{p: p, page: control.FindPage{Entries: []control.Found{}}}
	var behind []string
	if r.After == nil {
		w.add(".", &in)
	} else {
		behind = strings.Split(string(r.After), "/")
	}
	if in.Kind == tree.Dir {
		err = w.below(ctx, ino, "", behind)
	}
	if errors.Is(err, errPageFull) {
		w.page.Next, err = []byte(w.page.Entries[len(w.page.Entries)-1].Path), nil
	}
	return w.page, err
}

// finding is one page under way.
type finding struct {
	p    *Process
	page control.FindPage
}

func (w *finding) add(at string, in *tree.Inode) {
	e := control.Found{Path: at, Folder: in.Kind == tree.Dir, Mtime: time.Unix(0, in.Mtime)}
	if !e.Folder {
		e.Size, e.Here = in.Size, in.Size
		if f, inCloud := contentFile(in); inCloud {
			e.Here = w.p.cache.State(f).Cached
		}
	}
	w.page.Entries = append(w.page.Entries, e)
}

// below tells what is in a folder: in what lies at the path behind first, and then what comes after that.
func (w *finding) below(ctx context.Context, dir tree.Ino, at string, behind []string) error {
	t, after := w.p.engine.Tree(), ""
	if len(behind) > 0 {
		after = behind[0]
		if in, err := t.Lookup(dir, after); err == nil && in.Kind == tree.Dir {
			if err := w.below(ctx, in.Ino, path.Join(at, after), behind[1:]); err != nil {
				return err
			}
		}
	}
	for {
		rows, err := t.ReadDir(dir, after, page)
		if isGone(err) {
			return nil
		}
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		for i := range rows {
			if len(w.page.Entries) >= findPage {
				return errPageFull
			}
			after = rows[i].Name
			w.add(path.Join(at, after), &rows[i])
			if rows[i].Kind == tree.Dir {
				if err := w.below(ctx, rows[i].Ino, path.Join(at, after), nil); err != nil {
					return err
				}
			}
		}
		if len(rows) < page {
			return nil
		}
	}
}

// Folders names the folders in a folder of the drive, for who types the path of one.
func (p *Process) Folders(_ context.Context, source string) (names []string, err error) {
	dir, err := p.resolve(source)
	if err != nil {
		return nil, err
	}
	for after := ""; ; {
		rows, err := p.engine.Tree().ReadDir(dir, after, page)
		if err != nil || len(rows) == 0 {
			return names, err
		}
		for i := range rows {
			if after = rows[i].Name; rows[i].Kind == tree.Dir {
				names = append(names, after)
			}
		}
	}
}

// Free lets go of what is here of all at or below a path; what is pinned or pending stays.
func (p *Process) Free(ctx context.Context, at string) (freed int64, err error) {
	if at == "" {
		return p.cache.FreeDisk(1 << 62), nil
	}
	ino, err := p.inodeAt(at)
	if err != nil {
		return 0, err
	}
	err = p.eachPage(ctx, ino, func(files []entry) error {
		for _, e := range files {
			state := p.cache.State(e.file)
			if !e.here || state.Cached == 0 || state.Quarantined || p.pins.covers(e.row) {
				continue
			}
			if err := p.cache.Drop(e.file); err != nil {
				return err
			}
			freed += state.Cached
		}
		return nil
	})
	return freed, err
}

package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/cmd/megadisk/internal/copyout"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// Copying between the drive and the local disk. Nothing of it goes through a mount: this process would wait for itself.

// outside refuses a path of the local disk that is in a mount of ours.
func (p *Process) outside(local string) error {
	for _, m := range p.listMounts() {
		if rel, err := filepath.Rel(m.Mountpoint, local); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return fmt.Errorf("%s is in a folder that megadisk shows: name a folder of another disk", local)
		}
	}
	return nil
}

// Get copies what lies at a path to the local disk.
func (p *Process) Get(ctx context.Context, r control.Carry, tell func(control.Carried)) (control.Carried, error) {
	if err := p.outside(r.To); err != nil {
		return control.Carried{}, err
	}
	ino, err := p.inodeAt(r.From)
	if err != nil {
		return control.Carried{}, err
	}
	in, err := p.engine.Stat(ino)
	if err != nil {
		return control.Carried{}, err
	}
	g := &carrying{p: p, tell: tell}
	if g.done.Path, err = copyout.Place(r.To, path.Base(r.From)); err != nil {
		return control.Carried{}, err
	}
	g.done.AllBytes = p.sizeBelow(ctx, ino)
	err = g.get(ctx, in, g.done.Path)
	return g.done, err
}

// sizeBelow adds up all files; it only serves to show progress.
func (p *Process) sizeBelow(ctx context.Context, ino tree.Ino) (sum int64) {
	_ = p.eachPage(ctx, ino, func(files []entry) error {
		for _, e := range files {
			sum += e.row.Size
		}
		return nil
	})
	return sum
}

// carrying is one Get or Put under way.
type carrying struct {
	p    *Process
	tell func(control.Carried)
	done control.Carried
}

func (g *carrying) get(ctx context.Context, in tree.Inode, to string) error {
	mtime := time.Unix(0, in.Mtime)
	switch {
	case in.Kind == tree.Dir:
		mode := modeOf(&in, 0o777)
		if err := os.Mkdir(to, mode|0o700); err != nil { // it can be filled meanwhile
			return err
		}
		g.done.Folders++
		if err := g.getBelow(ctx, in.Ino, to); err != nil {
			return err
		}
		return errors.Join(os.Chmod(to, mode), os.Chtimes(to, mtime, mtime))
	case in.IsLink():
		target, err := g.p.engine.Readlink(ctx, in.Ino)
		if err == nil {
			err = os.Symlink(target, to)
		}
		g.done.Files++
		return err
	}
	err := copyout.File(ctx, to, modeOf(&in, 0o666), mtime, func(ctx context.Context, w io.Writer) error { return g.read(ctx, in.Ino, w) })
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(to), err)
	}
	g.done.Files++
	return nil
}

// modeOf is the mode of a local copy: that which a program set, else the usual one.
func modeOf(in *tree.Inode, usual os.FileMode) os.FileMode {
	if in.HasMode && !in.ModeLocal {
		return os.FileMode(in.Mode & 0o777)
	}
	return usual &^ os.FileMode(Umask())
}

func (g *carrying) getBelow(ctx context.Context, dir tree.Ino, to string) error {
	for after := ""; ; {
		rows, err := g.p.engine.Tree().ReadDir(dir, after, page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			in, err := g.p.engine.Stat(row.Ino)
			if isGone(err) {
				continue
			}
			if err == nil {
				err = g.get(ctx, in, filepath.Join(to, row.Name))
			}
			if err != nil {
				return err
			}
			after = row.Name
		}
		if len(rows) < page {
			return nil
		}
	}
}

// read copies a file's content.
func (g *carrying) read(ctx context.Context, ino tree.Ino, w io.Writer) error {
	f, err := g.p.engine.Open(ctx, ino, false, false)
	if err != nil {
		return err
	}
	defer f.Release()
	buf := make([]byte, 1<<20)
	for off := int64(0); ; {
		n, err := f.ReadAt(ctx, buf, off)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			off += int64(n)
			g.done.Bytes += int64(n)
			g.tell(g.done)
		}
		switch {
		case errors.Is(err, io.EOF), err == nil && n == 0:
			return nil
		case err != nil:
			return err
		}
	}
}

// Put copies something of the local disk into the drive.
func (p *Process) Put(ctx context.Context, r control.Carry, tell func(control.Carried)) (control.Carried, error) {
	if err := errors.Join(p.changeable(), p.outside(r.From)); err != nil {
		return control.Carried{}, err
	}
	parent, name, err := p.target(r.To, filepath.Base(r.From))
	if err != nil {
		return control.Carried{}, err
	}
	g := &carrying{p: p, tell: tell}
	_ = filepath.Walk(r.From, func(_ string, info os.FileInfo, err error) error { // to show progress
		if err == nil && info.Mode().IsRegular() {
			g.done.AllBytes += info.Size()
		}
		return ctx.Err()
	})
	ino, err := g.put(ctx, r.From, parent, name)
	if err != nil {
		return g.done, err
	}
	if g.done.Path, err = p.engine.Tree().Path(ino); err != nil {
		return g.done, err
	}
	return g.done, p.shown(ctx)
}

// target is where something called name goes: into what lies at a path if that is a folder, else it gets that name.
func (p *Process) target(at, name string) (parent tree.Ino, as string, err error) {
	ino, err := p.inodeAt(at)
	if err == nil {
		if in, err := p.engine.Tree().Get(ino); err != nil || in.Kind == tree.Dir {
			return ino, name, err
		}
	}
	if err != nil && !errors.Is(err, tree.ErrNotFound) {
		return 0, "", err
	}
	if parent, err = p.inodeAt(filepath.Dir(at)); errors.Is(err, tree.ErrNotFound) {
		err = notThere("there is no folder %s", filepath.Dir(at))
	}
	return parent, filepath.Base(at), err
}

func (g *carrying) put(ctx context.Context, from string, parent tree.Ino, name string) (tree.Ino, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, notThere("there is no %s", from)
	}
	if err != nil {
		return 0, err
	}
	e := g.p.engine
	there, err := e.Tree().Lookup(parent, name)
	isThere := err == nil
	if err != nil && !errors.Is(err, tree.ErrNotFound) {
		return 0, err
	}
	isLink := info.Mode()&os.ModeSymlink != 0
	if isThere && (there.IsLink() != isLink || (there.Kind == tree.Dir) != info.IsDir()) {
		return 0, fmt.Errorf("%s: something else has that name in the drive", from)
	}
	switch {
	case info.IsDir():
		if !isThere {
			if there, err = e.Mkdir(ctx, parent, name, uint32(info.Mode().Perm())); err != nil {
				return 0, err
			}
		}
		g.done.Folders++
		return there.Ino, g.putBelow(ctx, from, there.Ino)
	case isLink:
		g.done.Files++
		return g.putLink(ctx, from, parent, name, isThere)
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s is neither a file nor a folder: MEGA can't store it", from)
	}
	if !isThere {
		if there, err = e.Create(ctx, parent, name, uint32(info.Mode().Perm())); err != nil {
			return 0, err
		}
	}
	err = g.fill(ctx, from, info, there.Ino)
	if err != nil && !isThere {
		err = errors.Join(err, e.Unmake(ctx, there.Ino))
	}
	return there.Ino, err
}

// putLink makes a symbolic link, in the place of the one that is there.
func (g *carrying) putLink(ctx context.Context, from string, parent tree.Ino, name string, isThere bool) (tree.Ino, error) {
	target, err := os.Readlink(from)
	if err != nil {
		return 0, err
	}
	link := g.p.engine.Symlink
	if isThere {
		link = g.p.engine.ReplaceLink
	}
	in, err := link(ctx, parent, name, target)
	return in.Ino, err
}

func (g *carrying) putBelow(ctx context.Context, from string, dir tree.Ino) error {
	names, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, err := g.put(ctx, filepath.Join(from, n.Name()), dir, n.Name()); err != nil {
			return err
		}
	}
	return nil
}

// fill gives a file in the drive the content and time of a local one.
func (g *carrying) fill(ctx context.Context, from string, info os.FileInfo, ino tree.Ino) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	err = g.p.engine.ReplaceContent(ctx, ino, info.Size(), func(b []byte, off int64) (int, error) {
		n, err := f.ReadAt(b, off)
		g.done.Bytes += int64(n)
		g.tell(g.done)
		return n, err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	mtime := info.ModTime()
	if _, err := g.p.engine.SetAttr(ctx, ino, writeback.Attr{Mtime: &mtime}); err != nil {
		return err
	}
	g.done.Files++
	return nil
}

package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/fs"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// NotThereError says that what a command names doesn't exist, and what to do.
type NotThereError struct{ Sentence string }

func (e *NotThereError) Error() string { return e.Sentence }

func (e *NotThereError) Unwrap() error { return tree.ErrNotFound }

func notThere(format string, args ...any) error {
	return &NotThereError{Sentence: fmt.Sprintf(format, args...)}
}

// statusText is what .mega/status.json says: what `megadisk status --json` prints of this process.
func (p *Process) statusText(ctx context.Context) ([]byte, error) {
	st, err := p.Status(ctx)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(st, "", "  ")
	return append(text, '\n'), err
}

func versionOf(v writeback.Version) control.FileVersion {
	return control.FileVersion{Time: v.Name, Saved: v.Created, Size: v.Size, Handle: string(v.Handle)}
}

// Versions lists the earlier versions of a file.
func (p *Process) Versions(_ context.Context, path string) ([]control.FileVersion, error) {
	ino, err := p.fileAt(path)
	if err != nil {
		return nil, err
	}
	versions, err := p.engine.Versions(ino)
	list := make([]control.FileVersion, 0, len(versions))
	for _, v := range versions {
		list = append(list, versionOf(v))
	}
	return list, err
}

// RestoreVersion gives a file the content that it had in one of them, named by time or by handle.
func (p *Process) RestoreVersion(ctx context.Context, r control.RestoreRequest) (control.FileVersion, error) {
	if err := p.changeable(); err != nil {
		return control.FileVersion{}, err
	}
	ino, err := p.fileAt(r.Path)
	if err != nil {
		return control.FileVersion{}, err
	}
	versions, err := p.engine.Versions(ino)
	if err != nil {
		return control.FileVersion{}, err
	}
	for _, v := range versions {
		if v.Name == r.Time || string(v.Handle) == r.Time {
			if err := p.engine.RestoreVersion(ctx, ino, v.Handle); err != nil {
				return control.FileVersion{}, err
			}
			return versionOf(v), p.shown(ctx)
		}
	}
	return control.FileVersion{}, notThere("there is no version %s of %s: `megadisk versions` lists them", r.Time, r.Path)
}

// fileAt finds a file by its path.
func (p *Process) fileAt(path string) (tree.Ino, error) {
	ino, err := p.inodeAt(path)
	if err != nil {
		return 0, err
	}
	in, err := p.engine.Tree().Get(ino)
	if err == nil && in.Kind != tree.File {
		err = fmt.Errorf("%s is a folder: only files have versions", path)
	}
	return ino, err
}

// Bin lists what lies at the top of the bin.
func (p *Process) Bin(context.Context) ([]control.BinEntry, error) {
	rows, err := p.engine.Bin()
	list := make([]control.BinEntry, 0, len(rows))
	for _, r := range rows {
		e := control.BinEntry{Name: r.Name, Folder: r.Kind == tree.Dir, Since: r.Since, From: r.From}
		if !e.Folder {
			e.Size = r.Size
		}
		list = append(list, e)
	}
	return list, err
}

// restoreTo finds the folder that something is restored to; 0: where it was.
func (p *Process) restoreTo(folder string) (tree.Ino, error) {
	if err := p.changeable(); err != nil || folder == "" {
		return 0, err
	}
	return p.inodeAt(folder)
}

// RestoreFromBin moves something out of the bin.
func (p *Process) RestoreFromBin(ctx context.Context, r control.BinRestore) (string, error) {
	to, err := p.restoreTo(r.To)
	if err != nil {
		return "", err
	}
	path, err := p.engine.RestoreFromBin(ctx, r.Name, to)
	switch {
	case errors.Is(err, tree.ErrNotFound):
		return "", notThere("there is no %q in the bin: `megadisk bin list` shows it", r.Name)
	case errors.Is(err, tree.ErrExist):
		return "", fmt.Errorf("the name %q is taken where it was: give another folder with --to", r.Name)
	}
	if err != nil {
		return "", err
	}
	return path, p.shown(ctx)
}

// shown waits until all mounts show what was just done: it didn't come through their kernel, which has to be told.
func (p *Process) shown(ctx context.Context) error {
	p.mu.Lock()
	servers := make([]*fs.Server, 0, len(p.mounts))
	for _, m := range p.mounts {
		servers = append(servers, m.server)
	}
	p.mu.Unlock()
	for _, s := range servers {
		err := s.Settled(ctx)
		select {
		case <-s.Done(): // it shows nothing any more
		default:
			if err != nil {
				return fmt.Errorf("it is done, and not shown yet: %w", err)
			}
		}
	}
	return nil
}

// EmptyBin removes for good what is in the bin for at least so long.
func (p *Process) EmptyBin(ctx context.Context, atLeast time.Duration) (int, error) {
	if err := p.changeable(); err != nil {
		return 0, err
	}
	n, err := p.engine.EmptyBin(ctx, time.Now().Add(-atLeast))
	if err != nil {
		return n, err
	}
	return n, p.shown(ctx)
}

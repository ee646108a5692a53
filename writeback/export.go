package writeback

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"megadisk/cache"
	"megadisk/writeback/tree"
)

// Export is what was copied out of the state into a plain folder.
type Export struct {
	Files, Folders int
	Bytes          int64
	// Incomplete are files of which parts are missing, as zeros.
	Incomplete []IncompleteExport
	// Others counts changes without content: moves, removals, attributes.
	Others int
	// Salvaged counts files that come from segments alone, by the path at which they were written. Parts of them that
	// lie in the cloud are missing, and content that is in the cloud already may be among them.
	Salvaged int
}

// IncompleteExport is a file of which not all could be had.
type IncompleteExport struct {
	Path   string // below the export's folder; "inode 7" of what has no readable row
	Reason string
}

// ErrNotEmpty is given for a folder with something in it: an export never overwrites.
var ErrNotEmpty = errors.New("the folder to export to is not empty")

// exporter copies what is pending into a folder. It makes files and folders there and never opens one that exists.
type exporter struct {
	root   *os.Root
	result Export
	tell   func(Export)
	noBase bool // the cloud can't be reached: it isn't asked again
}

func newExporter(dir string, tell func(Export)) (*exporter, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder to export to: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the folder to export to: %w", err)
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotEmpty, dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder to export to: %w", err)
	}
	if tell == nil {
		tell = func(Export) {}
	}
	return &exporter{root: root, tell: tell}, nil
}

// finish makes what was exported durable.
func (x *exporter) finish() error {
	d, err := x.root.Open(".")
	if err == nil {
		err = unix.Syncfs(int(d.Fd()))
		err = errors.Join(err, d.Close())
	}
	return errors.Join(err, x.root.Close())
}

// create makes a file that wasn't there, and the folders above it.
func (x *exporter) create(path string) (*os.File, error) {
	if dir := filepath.Dir(path); dir != "." {
		if err := x.root.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return x.root.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// ExportPending copies all files and folders that are not yet in the cloud into dir, which must be empty or missing,
// under their present paths. It works with and without a network; what can't be had is told, and is a hole. What was
// put aside when a database was lost (Status.Orphaned) is salvaged into folders of its own. tell is called after each
// file. Errors: ErrNotEmpty, and what the disk of dir says.
func (e *Engine) ExportPending(ctx context.Context, dir string, tell func(Export)) (Export, error) {
	x, err := newExporter(dir, tell)
	if err != nil {
		return Export{}, err
	}
	x.noBase = e.client.Connection().Err != nil
	for _, ino := range e.tree.Pending() {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = e.exportOne(ctx, x, ino); err != nil {
			break
		}
		x.tell(x.result)
	}
	for _, o := range e.listOrphaned() {
		if err == nil {
			err = x.salvage(o.Dir, e.subkey(labelStaging), filepath.Base(o.Dir))
		}
	}
	return x.result, errors.Join(err, x.finish())
}

func (e *Engine) exportOne(ctx context.Context, x *exporter, ino tree.Ino) error {
	in, err := e.Stat(ino)
	if err != nil {
		return x.unreadable(ctx, fmt.Sprintf("inode %d", ino), err)
	}
	if in.Removed || !in.Pending.Has(tree.PendingCreate|tree.PendingContent) {
		x.result.Others++
		return nil
	}
	path := exportPath(in, e.tree.Path)
	if in.Kind == tree.Dir {
		x.result.Folders++
		return x.root.MkdirAll(path, 0o700)
	}
	if err := e.exportFile(ctx, x, in, path); err != nil {
		return fmt.Errorf("exporting a file: %w", err)
	}
	return nil
}

// exportPath gives the path in the export's folder, and one to what has none, because a folder above it is gone or damaged.
func exportPath(in tree.Inode, where func(tree.Ino) (string, error)) string {
	path, err := where(in.Ino)
	if err != nil {
		return fmt.Sprintf("without a path (%d)/%s", in.Ino, cmp.Or(in.Name, "file"))
	}
	if beside, is := strings.CutPrefix(path, "//"); is { // a share of others, the trash
		return ".mega/" + beside
	}
	return strings.TrimPrefix(path, "/")
}

// unreadable tells of what can't be read here at all, so that the others are exported all the same. What went meanwhile
// isn't told.
func (x *exporter) unreadable(ctx context.Context, path string, err error) error {
	switch {
	case isGone(err):
		return nil
	case ctx.Err() != nil, errors.Is(err, ErrClosed), errors.Is(err, tree.ErrClosed):
		return err
	}
	x.result.Incomplete = append(x.result.Incomplete, IncompleteExport{path, "what is known of it here is damaged"})
	return nil
}

// exportFile copies one file, or makes the link that it is.
func (e *Engine) exportFile(ctx context.Context, x *exporter, in tree.Inode, path string) error {
	src, err := e.Open(ctx, in.Ino, false, false)
	if err != nil {
		return x.unreadable(ctx, path, err)
	}
	defer src.Release()
	out, err := x.create(path)
	if err != nil {
		return err
	}
	reason, err := src.exportTo(ctx, x, out, in.Size)
	if err == nil && in.HasMode {
		err = out.Chmod(fs.FileMode(in.Mode & 0o777))
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if in.IsLink() && reason == "" {
		if err := x.makeLink(path); err != nil {
			return err
		}
	} else if err := x.root.Chtimes(path, time.Time{}, time.Unix(0, in.Mtime)); err != nil {
		return err
	}
	x.result.Files++
	x.result.Bytes += in.Size
	if reason != "" {
		x.result.Incomplete = append(x.result.Incomplete, IncompleteExport{path, reason})
	}
	return nil
}

// makeLink turns a file with a link's target into the link.
func (x *exporter) makeLink(path string) error {
	target, err := x.root.ReadFile(path)
	if err != nil {
		return err
	}
	if err := x.root.Remove(path); err != nil {
		return err
	}
	return x.root.Symlink(string(target), path)
}

// exportStep is what is read at once.
const exportStep = 1 << 20

// exportTo copies the content. Parts that can't be had stay holes; reason says why the last one couldn't. The error
// is one of out, or of ctx.
func (f *File) exportTo(ctx context.Context, x *exporter, out *os.File, size int64) (reason string, err error) {
	for off := int64(0); off < size; off += exportStep {
		n := min(exportStep, size-off)
		f.st.mu.Lock()
		v := f.e.viewLocked(f.st, off, n, nil)
		f.st.mu.Unlock()
		why, err := f.exportView(ctx, x, out, v)
		f.e.releaseView(v)
		if err != nil {
			return "", err
		}
		if why != "" {
			reason = why
		}
	}
	return reason, out.Truncate(size)
}

func (f *File) exportView(ctx context.Context, x *exporter, out *os.File, v view) (reason string, err error) {
	for _, p := range v.pieces {
		inCloud := p.Extent == nil && v.base.Handle != "" && p.Off < v.base.Limit
		if inCloud && x.noBase {
			reason = "parts of it are only in the cloud, which can't be read now"
			continue
		}
		buf := make([]byte, p.Len)
		if err := f.e.readPiece(ctx, p, v.base, buf, f.reader); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			reason = "what was staged of it is damaged"
			if inCloud {
				reason = "parts of it are only in the cloud, which can't be read now"
				x.noBase = classify(err) != errRefused && !errors.Is(err, cache.ErrQuarantined) && !errors.Is(err, cache.ErrWrong)
			}
			continue
		}
		if len(bytes.Trim(buf, "\x00")) == 0 {
			continue // a hole
		}
		if _, err := out.WriteAt(buf, p.Off); err != nil {
			return "", err
		}
	}
	return reason, nil
}

package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"megadisk/cache"
	"megadisk/cmd/megadisk/internal/control"
	"megadisk/fs"
	"megadisk/megaclient"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

var _ control.Backend = (*Process)(nil)

// maxListed bounds the pending changes that a status names.
const maxListed = 100

// Mount shows a folder of the drive.
func (p *Process) Mount(ctx context.Context, r control.MountRequest) error {
	if p.isEnding() {
		return ErrEnding
	}
	if err := CheckMountpoint(r.Mountpoint); err != nil {
		return err
	}
	if r.AllowOther {
		if err := checkAllowOther(r.Mountpoint); err != nil {
			return err
		}
	}
	root, err := p.rootOf(ctx, &r)
	if err != nil {
		return err
	}
	m := &mounted{source: r.Source, point: r.Mountpoint, ro: r.ReadOnly, root: root, uid: r.UID, gone: make(chan struct{})}
	m.server, err = fs.Mount(r.Mountpoint, fs.Options{
		Engine: p.engine, Cache: p.cache, Root: root, ReadOnly: r.ReadOnly, AllowOther: r.AllowOther,
		UID: r.UID, GID: r.GID, FMask: r.FMask, DMask: r.DMask, Flags: r.Flags, FsName: r.FsName, Observe: p.o.Observe, Log: p.o.Log, Debug: r.Debug,
		Hidden: r.Hidden, Status: p.statusText, Link: p.setLink, ShareKey: p.o.Client.LinkKey, Pinned: p.pins.covers, Lookers: p.o.Lookers, Probes: p.o.Probes, Looked: p.thumbs.Looked,
	})
	if err != nil {
		return &MountpointError{Path: r.Mountpoint, Problem: cause(err)}
	}
	p.mu.Lock()
	ended := p.ended
	if !ended {
		p.mounts[m.point] = m
		p.live++
	}
	p.mu.Unlock()
	if ended {
		return errors.Join(ErrEnding, m.detach())
	}
	go p.watch(m) // ends with the mount
	return nil
}

// cause is what went wrong with a mount, without the path, which a MountpointError has already.
func cause(err error) string {
	var m *fs.MountError
	switch {
	case errors.Is(err, fs.ErrBusy):
		return "programs use it (`fuser -vm` names them): close them first"
	case errors.As(err, &m):
		return m.Err.Error()
	}
	return err.Error()
}

// ErrEnding means that the last mount is gone and the process is closing its stores.
var ErrEnding = errors.New("the process that held this account's mounts is ending")

func (p *Process) isEnding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// rootOf finds the folder that is to be shown; of one that is named by its handle, it fills in the path. What isn't
// there is only known when the tree is whole.
func (p *Process) rootOf(ctx context.Context, r *control.MountRequest) (root tree.Ino, err error) {
	if strings.Trim(r.Source, "/") != "" || r.Node != "" {
		if err := p.engine.Ready(ctx); err != nil {
			return 0, err
		}
	}
	if r.Node == "" {
		return p.resolve(r.Source)
	}
	err = p.engine.Tree().View(func(tx *tree.Tx) error {
		ino, known := tx.ByHandle(megaclient.Handle(r.Node))
		if !known {
			return notThere("what the link points to is not in its folder (any more)")
		}
		r.Source, err = tx.Path(ino)
		return err
	})
	if err != nil {
		return 0, err
	}
	return p.resolve(r.Source)
}

// resolve finds the inode of a source: a folder of the drive, or of an incoming share (/.mega/shares/OWNER/NAME, or
// without the owner).
func (p *Process) resolve(source string) (tree.Ino, error) {
	const shares = "/.mega/shares/"
	t := p.engine.Tree()
	in, err := t.Get(tree.DriveIno)
	if err != nil {
		return 0, fmt.Errorf("opening the drive: %w", err)
	}
	rest := source
	if strings.HasPrefix(source, shares) {
		in.Ino, rest = tree.SharesIno, strings.TrimPrefix(source, shares)
	}
	for at, name := range strings.Split(rest, "/") {
		if name == "" || at == 0 && in.Ino == tree.SharesIno && p.isOwner(name) {
			continue
		}
		if in, err = t.Lookup(in.Ino, name); err != nil {
			return 0, &MountpointError{Path: source, Problem: "there is no such folder in the cloud"}
		}
	}
	if in.Kind != tree.Dir {
		return 0, &MountpointError{Path: source, Problem: "it is a file: mount the folder that it is in"}
	}
	return in.Ino, nil
}

// isOwner tells whether a name is that of somebody who shares something, and of no share.
func (p *Process) isOwner(name string) bool {
	roots, err := p.engine.Tree().ReadDir(tree.SharesIno, "", 0)
	owner := false
	for _, r := range roots {
		owner = owner || r.Cloud != nil && (p.engine.ShareOwner(r.Cloud.SharedBy) == name || string(r.Cloud.SharedBy) == name)
		if r.Name == name {
			return false
		}
	}
	return owner && err == nil
}

// watch forgets the mount when it ends, by whomever. One that was taken out of sight (umount -l) lives as long as something is
// open in it; another may stand in its place by then.
func (p *Process) watch(m *mounted) {
	m.server.Wait()
	defer close(m.gone)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mounts[m.point] == m {
		delete(p.mounts, m.point)
	}
	if p.live--; p.live == 0 && !p.ended {
		p.ended = true
		close(p.idle)
	}
}

// Unmount ends one mount; with Wait everything is uploaded first, and a refusal leaves it mounted.
func (p *Process) Unmount(ctx context.Context, r control.UnmountRequest) (ending bool, err error) {
	p.mu.Lock()
	m := p.mounts[r.Mountpoint]
	p.mu.Unlock()
	if m == nil {
		return false, &MountpointError{Path: r.Mountpoint, Problem: "megadisk shows nothing there"}
	}
	var held *writeback.BrakedError
	if r.Wait {
		err := p.engine.Flush(ctx, 0)
		if held = writeback.OnlyBraked(err); err != nil && held == nil {
			return false, fmt.Errorf("not everything could be uploaded (%w): `megadisk status` says what, --no-wait leaves it to the next mount", err)
		}
	}
	if err := p.unmount(m); err != nil {
		return false, &MountpointError{Path: r.Mountpoint, Problem: "it can't be unmounted: " + cause(err)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if held != nil {
		return p.ended, &HeldError{Held: held, Ended: p.ended}
	}
	return p.ended, nil
}

// unmount ends one mount. Close waits for it: with a million names to forget the kernel goes on for seconds after the
// mount's last request, and who asked is answered only then.
func (p *Process) unmount(m *mounted) error {
	p.mu.Lock()
	ended := p.ended // by Close, or it was gone already
	if !ended {
		p.work.Add(1)
		defer p.work.Done()
	}
	p.mu.Unlock()
	if !ended {
		if err := m.server.Unmount(); err != nil {
			return err
		}
	}
	<-m.gone
	return nil
}

// HeldError says that a folder was unmounted while deletions wait for somebody's word: the next mount still has them.
type HeldError struct {
	Held  *writeback.BrakedError
	Ended bool // it was the last folder
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("unmounted, but %v (after the next mount)", e.Held)
}

func (e *HeldError) Unwrap() error { return e.Held }

// Flush uploads what lies at path, or all.
func (p *Process) Flush(ctx context.Context, path string) error {
	if path == "" {
		return p.engine.Flush(ctx, 0)
	}
	ino, err := p.inodeAt(path)
	if err != nil {
		return err
	}
	return p.engine.Flush(ctx, ino)
}

// inodeAt finds what a path in one of our mounts means, without touching the mount.
func (p *Process) inodeAt(path string) (tree.Ino, error) {
	p.mu.Lock()
	var best *mounted
	for _, m := range p.mounts {
		if rel, err := filepath.Rel(m.point, path); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") &&
			(best == nil || len(m.point) > len(best.point)) {
			best = m
		}
	}
	p.mu.Unlock()
	if best == nil {
		return 0, fmt.Errorf("%s is not in a folder that megadisk shows", path)
	}
	rel, _ := filepath.Rel(best.point, path)
	ino := best.root
	for _, name := range strings.Split(rel, "/") {
		if name == "." {
			continue
		}
		in, err := p.engine.Tree().Lookup(ino, name)
		if errors.Is(err, tree.ErrNotFound) {
			return 0, notThere("there is no %s", path)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		ino = in.Ino
	}
	return ino, nil
}

// Status tells what the process is doing.
func (p *Process) Status(context.Context) (control.Status, error) {
	e := p.engine.Status()
	st := control.Status{
		Account: p.account(), Host: p.o.Host, PID: os.Getpid(),
		Mounts: p.listMounts(), Online: e.Offline.IsZero() && !e.SessionEnded, Problem: p.problem(e),
		Quota: control.Quota{Total: e.Quota.Total, Used: e.Quota.Used}, Pending: pending(e), Transfer: transfers(e),
		HereOnly: hereOnly(e), Interrupted: interrupted(e),
		Braked: e.Braked,
		Cache: control.Cache{Bytes: e.Cache.DiskUsed, Limit: e.Cache.DiskLimit, Misses: e.Cache.Misses,
			Hits: e.Cache.MemoryHits + e.Cache.DiskHits, Degraded: degraded(e.Cache),
			Fetched: e.Cache.Fetched, Unasked: e.Cache.Wasted},
		Pinned:  p.pins.forStatus(),
		Notices: p.listNotices(),
	}
	until, left := p.quota.state()
	if until.After(time.Now()) {
		st.NoTransfer = &until
	}
	st.LittleTransfer = left
	if !e.Offline.IsZero() {
		st.Offline = &e.Offline
	}
	if !e.Behind.IsZero() {
		st.Behind = &e.Behind
	}
	return st, nil
}

// Revive goes on with the session of a new login.
func (p *Process) Revive(ctx context.Context) error {
	s, err := p.o.Session(ctx)
	if err != nil {
		return err
	}
	if err := p.o.Client.Revive(s); err != nil {
		return err
	}
	p.engine.Revive()
	return nil
}

// problem is what the engine says about that.
func problem(e writeback.Status) string {
	switch {
	case e.SessionEnded:
		return "the session has ended: run `megadisk login` (nothing that is pending is lost)"
	case e.Blocked != "":
		return e.Blocked + " (nothing that is pending is lost)"
	case len(e.Walls) > 0:
		return strings.Join(e.Walls, "; ")
	case e.Paused:
		return writeback.ErrPaused.Error()
	case e.Braked > 0:
		return (&writeback.BrakedError{Deletions: e.Braked}).Error()
	case len(e.Orphaned) > 0:
		return "the database was lost, or its end; what was staged under it lies untouched in " + e.Orphaned[0].Dir
	}
	return ""
}

func pending(e writeback.Status) control.Pending {
	all := control.Pending{Changes: e.PendingCount, Bytes: e.PendingBytes, Items: []control.Change{}}
	for _, ch := range e.Pending {
		if all.Oldest.IsZero() || ch.Since.Before(all.Oldest) {
			all.Oldest = ch.Since
		}
		// What is refused is what a person looks for: it is never cut off by what merely waits.
		if ch.Reason != "" || len(all.Items) < maxListed {
			all.Items = append(all.Items, control.Change{Path: ch.Path, What: ch.What, Size: ch.Size, Reason: ch.Reason})
		}
	}
	return all
}

// hereOnly is what stays on this machine because of its name.
func hereOnly(e writeback.Status) control.HereOnly {
	all := control.HereOnly{Files: e.LocalCount, Items: []control.HereFile{}}
	for _, f := range e.Local[:min(len(e.Local), maxListed)] {
		all.Items = append(all.Items, control.HereFile{Path: f.Path, Size: f.Size})
	}
	return all
}

// interrupted is what programs were writing when the process was killed.
func interrupted(e writeback.Status) (list []control.HereFile) {
	for _, f := range e.Interrupted[:min(len(e.Interrupted), maxListed)] {
		list = append(list, control.HereFile{Path: f.Path, Size: f.Size})
	}
	return list
}

func transfers(e writeback.Status) []control.Transfer {
	list := make([]control.Transfer, 0, len(e.Uploads))
	for _, t := range e.Uploads {
		rate := int64(float64(t.Done) / max(time.Since(t.Started).Seconds(), 0.001))
		list = append(list, control.Transfer{Path: t.Path, Size: t.Total, Done: t.Done, Rate: rate})
	}
	return list
}

// degraded words why the cache does not keep what it fetches.
func degraded(c cache.Stats) string {
	switch {
	case c.DiskOff != "":
		return "works without a disk: " + c.DiskOff
	case c.DiskPaused:
		return "paused: the disk is nearly full"
	}
	return ""
}

func (p *Process) listMounts() []control.Mount {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]control.Mount, 0, len(p.mounts))
	for _, m := range p.mounts {
		list = append(list, control.Mount{Source: m.source, Mountpoint: m.point, ReadOnly: m.ro})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Mountpoint < list[j].Mountpoint })
	return list
}

// PendingError says that changes are not in the cloud yet.
type PendingError struct{ Changes int }

func (e *PendingError) Error() string {
	return fmt.Sprintf("%s not yet in the cloud: mount and `megadisk flush` first, or use --discard", english.Plural(e.Changes, "change", ""))
}

// Logout makes the process end, if nothing would be left behind that nobody then sends.
func (p *Process) Logout(_ context.Context, discard bool) error {
	if n := p.engine.Status().PendingCount; n > 0 && !discard {
		return &PendingError{Changes: n}
	}
	if n := len(p.listMounts()); n > 0 {
		return fmt.Errorf("still mounted: %s: `megadisk unmount` first", english.Plural(n, "folder", ""))
	}
	return nil
}

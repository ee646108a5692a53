package serve

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback"
	"megadisk/writeback/tree"
)

// ExportPending copies what is pending into a folder. One inside a mount of ours would wait for ourselves.
func (p *Process) ExportPending(ctx context.Context, dir string, tell func(control.Exported)) (control.Exported, error) {
	for _, m := range p.listMounts() {
		if rel, err := filepath.Rel(m.Mountpoint, dir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return control.Exported{}, fmt.Errorf("%s is in a folder that megadisk shows: export to a folder on another disk", dir)
		}
	}
	x, err := p.engine.ExportPending(ctx, dir, func(x writeback.Export) { tell(exported(x)) })
	return exported(x), err
}

// ExportOnDisk is the same from the stores alone, with no process running; from the segments, if the database can't
// be opened.
func ExportOnDisk(ctx context.Context, o Options, dir string, tell func(control.Exported)) (control.Exported, error) {
	state, cacheDir, err := o.Dirs.Account(o.Host, string(o.Client.Session().User))
	if err != nil {
		return control.Exported{}, err
	}
	if !writeback.HasState(state) {
		return control.Exported{}, fmt.Errorf("nothing of this account was ever mounted here: there is no state in %s", state)
	}
	if err := enoughRoom(state); err != nil {
		return control.Exported{}, err
	}
	key, err := writeback.OpenStateKey(state, o.Client.Session().MasterKey)
	if err != nil {
		return control.Exported{}, err
	}
	p := &Process{o: o, quota: newTransferQuota(o.Client, o.Timeout)}
	err = p.openStores(ctx, state, cacheDir, key)
	if isDamaged(err) {
		x, err := writeback.Salvage(state, key, dir, func(x writeback.Export) { tell(exported(x)) })
		return exported(x), err
	}
	if err != nil {
		return control.Exported{}, err
	}
	x, err := p.engine.ExportPending(ctx, dir, func(x writeback.Export) { tell(exported(x)) })
	return exported(x), errors.Join(err, p.engine.Close(), p.cache.Close())
}

func isDamaged(err error) bool {
	var damaged *tree.DamagedError
	return errors.As(err, &damaged) || errors.Is(err, tree.ErrCorrupt) || errors.Is(err, tree.ErrWrongKey)
}

func exported(x writeback.Export) control.Exported {
	out := control.Exported{Files: x.Files, Folders: x.Folders, Bytes: x.Bytes, Others: x.Others, Salvaged: x.Salvaged,
		Incomplete: []control.Unreadable{}}
	for _, i := range x.Incomplete {
		out.Incomplete = append(out.Incomplete, control.Unreadable{Path: i.Path, Reason: i.Reason})
	}
	return out
}

// ErrNoSuchState means that a recovery key opens none of the states here.
var ErrNoSuchState = errors.New("no state here is opened by this recovery key: check it, --api-url and --state-dir")

// RecoverySession finds the account that a recovery key (the master key) opens the state of. The session has ended
// as far as the server is concerned: it only opens what is on this disk.
func RecoverySession(accounts string, master megacrypto.Key) (megaclient.Session, error) {
	states, err := os.ReadDir(accounts)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return megaclient.Session{}, fmt.Errorf("looking for states: %w", err)
	}
	failed := ErrNoSuchState
	for _, s := range states {
		dir := filepath.Join(accounts, s.Name())
		if !s.IsDir() || !writeback.HasState(dir) {
			continue
		}
		_, err := writeback.OpenStateKey(dir, master)
		switch {
		case err == nil:
			return megaclient.Session{SID: noSID, User: megaclient.UserHandle(s.Name()), MasterKey: master}, nil
		case !errors.Is(err, writeback.ErrWrongMaster): // it may be the one that is meant
			failed = fmt.Errorf("%w, and one can't be looked into: %w", ErrNoSuchState, err)
		}
	}
	return megaclient.Session{}, failed
}

// noSID has the form of a session id, and is none.
var noSID = base64.RawURLEncoding.EncodeToString(make([]byte, 43))

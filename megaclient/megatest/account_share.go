package megatest

import (
	"fmt"

	"megadisk/megaclient/megacrypto"
)

// shareRoot is a share that a folder lies in, with its key.
type shareRoot struct {
	handle string
	key    megacrypto.Key
}

// sharesAbove lists the shares that a folder is or lies in, as far as this account has their keys.
func (a *Account) sharesAbove(folder string) []shareRoot {
	a.s.mu.Lock()
	var handles []string
	for n := a.s.nodes[folder]; n != nil; n = n.parent {
		if n.share != nil {
			handles = append(handles, n.handle)
		}
	}
	a.s.mu.Unlock()
	var roots []shareRoot
	for _, h := range handles {
		if key, found := a.shareKey(h); found {
			roots = append(roots, shareRoot{h, key})
		}
	}
	return roots
}

// shareKey finds the key of a share: one's own, or what its owner sent. It takes no lock of the server,
// since callers may hold it.
func (a *Account) shareKey(handle string) (megacrypto.Key, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, found := a.shareKeys[handle]
	return key, found
}

func (a *Account) learnShareKey(handle string, key megacrypto.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shareKeys[handle] = key
}

// subtreeGrant makes the cr of a subtree that enters shares.
func (a *Account) subtreeGrant(handle string, roots []shareRoot) []any {
	handles, nodes, flat := []string{}, []string{handle}, []any{}
	for _, r := range roots {
		handles = append(handles, r.handle)
	}
	all := a.subtree(handle)
	for _, p := range all[1:] {
		nodes = append(nodes, p.n.handle)
	}
	for i, p := range all {
		packed, err := a.nodeKey(p)
		if err != nil {
			continue // others can't read it either
		}
		for j, r := range roots {
			flat = append(flat, j, i, seal(r.key, packed))
		}
	}
	return []any{handles, nodes, flat}
}

// subtree picks a node and all below it, older versions too.
func (a *Account) subtree(handle string) []pick {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	var all []pick
	a.s.nodes[handle].walk(func(n *node) { all = append(all, a.pickLocked(n)) })
	return all
}

// shareKeyFor returns the key of an own folder's share and makes one if there is none; fresh tells that.
func (a *Account) shareKeyFor(folder string) (key megacrypto.Key, fresh bool) {
	key, found := a.shareKey(folder)
	if !found {
		key = megacrypto.NewKey()
		a.learnShareKey(folder, key)
	}
	return key, !found
}

// share sends s2 for one target. Accounts with ^!keys send dummy keys, as MEGA's clients do.
func (a *Account) share(folder string, key megacrypto.Key, fresh bool, target map[string]any) {
	ok, auth := seal(a.master, key[:]), b64.EncodeToString(megacrypto.ShareAuth(a.master, folder))
	if a.curve != nil {
		ok, auth = zeroKey, zeroKey
	}
	cmd := map[string]any{"a": "s2", "n": folder, "s": []any{target}, "ok": ok, "ha": auth}
	if fresh {
		cmd["cr"] = a.subtreeGrant(folder, []shareRoot{{folder, key}})
		if a.curve != nil {
			a.writeAccountKeys()
		}
	}
	a.must(cmd, nil)
}

// Seal encrypts a key for this account, as others do who send it one: with RSA, so without proof of who they are.
func (a *Account) Seal(key []byte) string {
	mpi, err := a.rsa.Public().Encrypt(key)
	if err != nil {
		panic("megatest: encrypting a key: " + err.Error())
	}
	return b64.EncodeToString(mpi)
}

// Share gives another account access to a folder: 0 to read, 1 to add, 2 to do everything. Between two
// accounts with ^!keys the share's key travels by pk, otherwise in the share itself, encrypted with RSA.
func (a *Account) Share(folder string, with *Account, access int) {
	key, fresh := a.shareKeyFor(folder)
	target := map[string]any{"u": with.Handle, "r": access}
	secure := a.curve != nil && with.curve != nil
	if !secure {
		target["k"] = with.Seal(key[:])
	}
	a.share(folder, key, fresh, target)
	with.learnShareKey(folder, key)
	if secure {
		pair, err := a.pairKey(with.curve.private.PublicKey().Bytes())
		if err != nil {
			panic(err.Error())
		}
		a.must(map[string]any{"a": "pk", "u": with.Handle, "h": folder, "k": seal(pair, key[:])}, nil)
	}
}

// Unshare takes an account's access to a folder back.
func (a *Account) Unshare(folder string, with *Account) {
	a.must(map[string]any{"a": "s2", "n": folder, "s": []any{map[string]any{"u": with.Handle, "r": ""}}}, nil)
}

// Export makes a public link to a file or folder and returns it.
func (a *Account) Export(handle string) string {
	p := a.pick(handle)
	l := megacrypto.Link{Kind: megacrypto.FileLink}
	if p.typ == fileNode {
		l.Key = a.Key(handle)
	} else {
		key, fresh := a.shareKeyFor(handle)
		a.share(handle, key, fresh, map[string]any{"u": "EXP", "r": 0})
		l.Kind, l.Key = megacrypto.FolderLink, key[:]
	}
	a.must(map[string]any{"a": "l", "n": handle}, &l.Handle)
	return l.String()
}

// Unexport removes the public link of a file or folder.
func (a *Account) Unexport(handle string) {
	a.must(map[string]any{"a": "l", "n": handle, "d": 1}, nil)
	if p := a.pick(handle); p.typ != fileNode {
		a.must(map[string]any{"a": "s2", "n": handle, "s": []any{map[string]any{"u": "EXP", "r": ""}}}, nil)
	}
}

// String names the account without anything secret.
func (a *Account) String() string { return fmt.Sprintf("account %s", a.Handle) }

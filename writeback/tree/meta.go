package tree

import (
	"encoding/binary"
	"fmt"
	"strings"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/dgraph-io/badger/v4"
)

// format is the version of all that FORMAT.md describes.
const format = 1

// The names of the meta rows.
const (
	metaFormat   = "format"
	metaNext     = "next"
	metaEpoch    = "epoch"
	metaFetched  = "fetched"
	metaSN       = "sn"
	metaShareKey = "sharekey/"
	metaProof    = "shareproof/"
	metaCaller   = "x/"
)

// SN gives the event sequence number kept with the tree; "" if none.
func (tx *Tx) SN() string { return tx.sn }

// SetSN keeps an event sequence number: all events up to it are in the tree once this is committed.
func (tx *Tx) SetSN(sn string) error {
	tx.sn = sn
	return tx.setRaw(textKey(rowMeta, metaSN), []byte(sn))
}

// Meta gives a small value that SetMeta kept; nil if there is none.
func (tx *Tx) Meta(name string) ([]byte, error) { return tx.metaRow(metaCaller + name) }

// SetMeta keeps a small value under a name; nil deletes it.
func (tx *Tx) SetMeta(name string, value []byte) error {
	k := textKey(rowMeta, metaCaller+name)
	if value == nil {
		return tx.del(k)
	}
	return tx.setRaw(k, value)
}

func (tx *Tx) metaRow(name string) ([]byte, error) {
	item, err := tx.txn.Get(textKey(rowMeta, name))
	if err == badger.ErrKeyNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the meta row %q: %w", name, err)
	}
	return item.ValueCopy(nil)
}

func (tx *Tx) metaUint(name string) (uint64, error) {
	b, err := tx.metaRow(name)
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: meta row %q", ErrCorrupt, name)
	}
	return binary.BigEndian.Uint64(b), nil
}

// AddShareKeys keeps share keys, by the handle of the shared folder. A proven one gives way to another proven one only.
func (tx *Tx) AddShareKeys(m map[megaclient.Handle]megaclient.ShareKey) error {
	for h, k := range m {
		old, known := tx.shareKey(h)
		if known && (old == k && !tx.unmarked(h) || old.Proven && !k.Proven) || !validHandle(h) {
			continue
		}
		tx.shareKeys[h] = k
		if err := tx.setRaw(textKey(rowMeta, metaShareKey+string(h)), k.Key[:]); err != nil {
			return err
		}
		proof := []byte{0}
		if k.Proven {
			proof[0] = 1
		}
		if err := tx.setRaw(textKey(rowMeta, metaProof+string(h)), proof); err != nil {
			return err
		}
	}
	return nil
}

// unmarked says that an earlier program kept a share key, which didn't know what is proven.
func (tx *Tx) unmarked(h megaclient.Handle) bool {
	tx.t.stateMu.RLock()
	defer tx.t.stateMu.RUnlock()
	return tx.t.state.unmarked[h]
}

// shareKey gives a share key that is kept.
func (tx *Tx) shareKey(h megaclient.Handle) (megaclient.ShareKey, bool) {
	if k, ok := tx.shareKeys[h]; ok {
		return k, true
	}
	tx.t.stateMu.RLock()
	defer tx.t.stateMu.RUnlock()
	k, ok := tx.t.state.shareKeys[h]
	return k, ok
}

// flushMeta writes the counters that changed.
func (tx *Tx) flushMeta() error {
	tx.t.stateMu.RLock()
	old := tx.t.state
	tx.t.stateMu.RUnlock()
	for name, v := range map[string][2]uint64{
		metaNext:    {uint64(old.next), uint64(tx.next)},
		metaEpoch:   {uint64(old.epoch), uint64(tx.epoch)},
		metaFetched: {count(old.fetched), count(tx.fetched)},
	} {
		if v[0] == v[1] {
			continue
		}
		if err := tx.setRaw(textKey(rowMeta, name), bigEndian(v[1])); err != nil {
			return err
		}
	}
	return nil
}

func count(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// load reads the state that is kept in memory, and makes it in an empty database.
func (t *Tree) load() error {
	t.state = state{
		next:      firstFree,
		shareKeys: map[megaclient.Handle]megaclient.ShareKey{},
		unmarked:  map[megaclient.Handle]bool{},
		pending:   map[Ino]struct{}{},
		halves:    map[megaclient.Handle]struct{}{},
	}
	empty := false
	err := t.db.View(func(txn *badger.Txn) error {
		tx := &Tx{t: t, txn: txn, slots: map[Ino]*slot{}}
		have, err := tx.metaUint(metaFormat)
		if err != nil {
			return err
		}
		if have > format {
			return &NewerError{Have: int(have), Known: format}
		}
		empty = have == 0
		if err := t.loadCounters(tx); err != nil {
			return err
		}
		return t.loadSets(tx)
	})
	if err != nil {
		return err
	}
	if empty {
		t.written = newFilter()
	}
	return t.makeFixed(empty)
}

func (t *Tree) loadCounters(tx *Tx) error {
	next, err := tx.metaUint(metaNext)
	if err != nil {
		return err
	}
	t.state.next = max(Ino(next), firstFree)
	epoch, err := tx.metaUint(metaEpoch)
	if err != nil {
		return err
	}
	t.state.epoch = uint32(epoch)
	fetched, err := tx.metaUint(metaFetched)
	if err != nil {
		return err
	}
	t.state.fetched = fetched != 0
	sn, err := tx.metaRow(metaSN)
	t.state.sn = string(sn)
	return err
}

func (t *Tree) loadSets(tx *Tx) error {
	prefix := []byte{rowPending}
	err := tx.scan(prefix, prefix, func(item *badger.Item) (bool, error) {
		t.state.pending[inoOf(item.Key())] = struct{}{}
		return true, nil
	})
	if err != nil {
		return err
	}
	prefix = []byte{rowHalf}
	err = tx.scan(prefix, prefix, func(item *badger.Item) (bool, error) {
		t.state.halves[megaclient.Handle(item.Key()[1:])] = struct{}{}
		return true, nil
	})
	if err != nil {
		return err
	}
	for prefix, has := range map[byte]*bool{rowDouble: &t.state.rare.doubles, rowOrphan: &t.state.rare.orphans} {
		err := tx.scan([]byte{prefix}, []byte{prefix}, func(*badger.Item) (bool, error) { *has = true; return false, nil })
		if err != nil {
			return err
		}
	}
	return tx.loadShareKeys()
}

func (tx *Tx) loadShareKeys() error {
	st := &tx.t.state
	prefix := textKey(rowMeta, metaShareKey)
	return tx.scan(prefix, prefix, func(item *badger.Item) (bool, error) {
		h := megaclient.Handle(strings.TrimPrefix(string(item.Key()), string(prefix)))
		proof, err := tx.metaRow(metaProof + string(h))
		if err != nil {
			return false, err
		}
		if len(proof) != 1 {
			st.unmarked[h] = true
		}
		return true, item.Value(func(b []byte) error {
			if len(b) != len(megacrypto.Key{}) {
				return fmt.Errorf("%w: a share key's row", ErrCorrupt)
			}
			st.shareKeys[h] = megaclient.ShareKey{Key: megacrypto.Key(b), Proven: len(proof) == 1 && proof[0] == 1}
			return nil
		})
	})
}

// makeFixed writes those of the fixed inodes that are missing, all in an empty database (later ones in that of an
// earlier program), and the format's number.
func (t *Tree) makeFixed(empty bool) error {
	now := t.opts.Now().UnixNano()
	err := t.db.Update(func(txn *badger.Txn) error {
		for ino := DriveIno; ino <= TrashIno; ino++ {
			if _, err := txn.Get(inoKey(rowInode, ino)); err == nil {
				continue
			}
			b, err := encodeRow(&Inode{Ino: ino, Kind: Dir, Mtime: now, Ctime: now, Btime: now})
			if err != nil {
				return err
			}
			if err := txn.Set(inoKey(rowInode, ino), b); err != nil {
				return err
			}
		}
		if !empty {
			return nil
		}
		return txn.Set(textKey(rowMeta, metaFormat), bigEndian(format))
	})
	if err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	return nil
}

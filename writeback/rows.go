package writeback

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/fxamacker/cbor/v2"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// rowVersion is the first byte of each value: the version of the journal in
// which it was written.
const rowVersion = journalVersion

// All rows of this package are under the prefix 'w'; the second byte says of
// what kind they are. FORMAT.md lists them.
const (
	rowPrefix     = 'w'
	rowEntry      = 'j' // + ino: what differs from the cloud
	rowExtents    = 'x' // + ino + region: which bytes are staged
	rowNext       = 'n' // + ino + region: what is to take the place of a region's row; + ino: they count
	rowGeneration = 'g' // + ino: the frozen content that is uploaded
	rowFrozen     = 'f' // + ino + region: the extents of a large generation
	rowLimit      = 'l' // + ino: how much of a generation wasn't cut off since
	rowBatch      = 'b' // + batch id: what was sent and not answered
	rowEcho       = 'e' // + handle + field + tag: packets of ours still to come
	rowPart       = 'p' // + kind + ino + region + stamp + part: extents of a region with very many
	rowDoomed     = 'd' // + handle moved to the bin + handle: nodes to be deleted for good once they are there
	rowHappened   = 'h' // + number: what happened to a file
	rowSpent      = 's' // + handle: older versions that are to be removed
	rowKeyless    = 'k' // + handle: nodes whose key is to be given to their share
	rowZombie     = 'z' // + ino: removed rows that nothing but a handle needs
)

// entry is the journal's row for an inode that differs from the cloud.
type entry struct {
	Seq   uint64 `cbor:"1,keyasint,omitempty"` // order of the first change
	Since int64  `cbor:"2,keyasint,omitempty"` // time of the first change, Unix ns
	Last  int64  `cbor:"3,keyasint,omitempty"` // of the last one
	// Content counts changes of the content; a generation remembers the count.
	Content uint64 `cbor:"4,keyasint,omitempty"`
	// RemovedAs is the version that was removed here: another one there undoes the removal.
	RemovedAs megaclient.Handle `cbor:"5,keyasint,omitempty"`
	// Refused: why the cloud didn't take it, how often, and when to try again.
	Reason   string `cbor:"6,keyasint,omitempty"`
	Code     int    `cbor:"7,keyasint,omitempty"`
	Attempts int    `cbor:"8,keyasint,omitempty"`
	Retry    int64  `cbor:"9,keyasint,omitempty"` // Unix ns
	// Held: the content is damaged and must not go up until it is written anew.
	Held bool `cbor:"10,keyasint,omitempty"`
	// Key is a new folder's key, drawn when it is first sent (so that a lost
	// answer is recognised by it).
	Key []byte `cbor:"11,keyasint,omitempty"`
	// NoCopy: the server wouldn't copy the node, so the content is uploaded.
	NoCopy bool `cbor:"12,keyasint,omitempty"`
	// ForGood: the node lies in the bin, was put there by us, and is to be deleted.
	ForGood bool `cbor:"13,keyasint,omitempty"`
	// Braked: a removal, one of very many at once, that waits for somebody's word.
	Braked bool `cbor:"14,keyasint,omitempty"`
	// Open: what is staged was stored while it was being written, and no close or fsync came since.
	Open bool `cbor:"16,keyasint,omitempty"`
	// Synced: it took the place of a file that the cloud has, so that its name doesn't keep it here.
	Synced bool `cbor:"15,keyasint,omitempty"`
}

// What a command of a batch is for.
type itemKind uint8

const (
	itemFolder itemKind = iota + 1 // a new folder
	itemFile                       // a file's new version or first one
	itemAttrs                      // new attributes, the name among them
	itemMove                       // a new parent
	itemTrash                      // a move to the bin
	itemDelete                     // removal for good
)

// item says what one command of a batch is for, and what the local state was
// that it carries: what still equals it when the answer comes is in the cloud.
type item struct {
	Kind   itemKind          `cbor:"1,keyasint"`
	Ino    tree.Ino          `cbor:"2,keyasint"`
	Key    []byte            `cbor:"3,keyasint,omitempty"` // creations: packed key
	Handle megaclient.Handle `cbor:"4,keyasint,omitempty"` // of the node changed or replaced
	Parent megaclient.Handle `cbor:"5,keyasint,omitempty"` // where it goes
	Name   string            `cbor:"6,keyasint,omitempty"` // raw
	// The local state that was sent.
	LocalParent tree.Ino              `cbor:"7,keyasint,omitempty"`
	LocalName   string                `cbor:"8,keyasint,omitempty"`
	Mtime       int64                 `cbor:"9,keyasint,omitempty"`
	Content     uint64                `cbor:"10,keyasint,omitempty"`
	Attrs       megacrypto.Attributes `cbor:"11,keyasint,omitempty"` // all that were sent
	// Over is the inode whose node is replaced, 0 if the file's own.
	Over tree.Ino `cbor:"12,keyasint,omitempty"`
	// Found: the node of a creation was seen in the event stream or a fetch.
	Found megaclient.Handle `cbor:"13,keyasint,omitempty"`
	// Echoed: a packet with the command's tag was applied.
	Echoed bool `cbor:"14,keyasint,omitempty"`
	// Copy: the server makes the node from another one, whose key it shares.
	Copy bool `cbor:"15,keyasint,omitempty"`
	// Keep: the version replaced stays, whatever the account's setting says.
	Keep bool `cbor:"16,keyasint,omitempty"`
	// Thin: it was made while the file was open, as this one was.
	Thin bool `cbor:"17,keyasint,omitempty"`
	// Under: the events said that it lies directly below the new one.
	Under bool `cbor:"18,keyasint,omitempty"`
	// Set: the fields of the attributes that the command was to change.
	Set []string `cbor:"19,keyasint,omitempty"`
}

// batchRow is a batch that was (or was about to be) sent.
type batchRow struct {
	Batch megaclient.Batch `cbor:"1,keyasint"`
	Items []item           `cbor:"2,keyasint"`
}

func inoKey(kind byte, ino tree.Ino) []byte {
	k := make([]byte, 10)
	k[0], k[1] = rowPrefix, kind
	binary.BigEndian.PutUint64(k[2:], uint64(ino))
	return k
}

func regionKey(kind byte, ino tree.Ino, region uint64) []byte {
	return binary.BigEndian.AppendUint64(inoKey(kind, ino), region)
}

func stringKey(kind byte, s string) []byte {
	return append([]byte{rowPrefix, kind}, s...)
}

func inoOfKey(k []byte) tree.Ino { return tree.Ino(binary.BigEndian.Uint64(k[2:10])) }

func regionOfKey(k []byte) uint64 { return binary.BigEndian.Uint64(k[10:18]) }

func encodeRow(v any) ([]byte, error) {
	raw, err := cbor.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a row: %w", err)
	}
	return append([]byte{rowVersion}, raw...), nil
}

func decodeRow(raw []byte, v any) error {
	if len(raw) == 0 {
		return errors.New("empty row")
	}
	if raw[0] > rowVersion {
		return fmt.Errorf("row format %d is of a newer version", raw[0])
	}
	return decoder.Unmarshal(raw[1:], v)
}

// decoder takes text as it was written: names are bytes, and need not be UTF-8.
var decoder = func() cbor.DecMode {
	mode, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic("writeback: CBOR options: " + err.Error())
	}
	return mode
}()

// putRow writes a row; v is encoded.
func putRow(b *badger.Txn, key []byte, v any) error {
	raw, err := encodeRow(v)
	if err != nil {
		return err
	}
	return b.Set(key, raw)
}

// getRow reads a row into v; false if there is none.
func getRow(b *badger.Txn, key []byte, v any) (bool, error) {
	it, err := b.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = it.Value(func(raw []byte) error { return decodeRow(raw, v) })
	return err == nil, err
}

// scanRows calls fn for each row whose key begins with prefix, in order. The
// slices are valid during the call only.
func scanRows(b *badger.Txn, prefix []byte, fn func(key, raw []byte) error) error {
	opts := badger.DefaultIteratorOptions
	opts.Prefix = prefix
	it := b.NewIterator(opts)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		row := it.Item()
		if err := row.Value(func(raw []byte) error { return fn(row.Key(), raw) }); err != nil {
			return err
		}
	}
	return nil
}

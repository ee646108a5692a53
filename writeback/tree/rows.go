package tree

import (
	"fmt"

	"megadisk/megaclient"

	"github.com/dgraph-io/badger/v4"
	"github.com/fxamacker/cbor/v2"
)

// rowFormat is the first byte of each value; CBOR follows.
const rowFormat = 1

// entryRow is a folder's entry ('d').
type entryRow struct {
	Ino  Ino  `cbor:"1,keyasint"`
	Kind Kind `cbor:"2,keyasint"`
}

// handleRow says what a handle is ('h'): the node of an inode, an older version of it, or an orphan.
type handleRow struct {
	Ino     Ino               `cbor:"1,keyasint,omitempty"`
	Version bool              `cbor:"2,keyasint,omitempty"` // an older version of that inode
	Orphan  megaclient.Handle `cbor:"3,keyasint,omitempty"` // waits for this parent; no inode
}

// doubleRow is an inode shown under another name than its own ('u').
type doubleRow struct {
	Ino Ino `cbor:"1,keyasint"`
}

// countRow counts the doubles of a name.
type countRow struct {
	Count int `cbor:"1,keyasint"`
}

// orphanRow is a node whose parent is unknown ('o'); Node is nil for a node that has an inode, whose
// shadow tells all.
type orphanRow struct {
	Node  *Cloud `cbor:"1,keyasint,omitempty"`
	Epoch uint32 `cbor:"2,keyasint,omitempty"`
	// Foreign: somebody else put the node there, where we had removed the folder.
	Foreign bool `cbor:"3,keyasint,omitempty"`
}

// sweepRow is a removed folder whose entries wait for the sweep ('s').
type sweepRow struct {
	Handle megaclient.Handle `cbor:"1,keyasint"`           // that it had
	After  string            `cbor:"2,keyasint,omitempty"` // entries up to this one are done
	Path   string            `cbor:"3,keyasint,omitempty"` // where it was, for who keeps what is lost
	Bin    bool              `cbor:"4,keyasint,omitempty"` // it is in the bin: only what has to go up leaves it
}

// Strings are bytes that need not be UTF-8, so they are CBOR byte strings.
var (
	encoding = must(cbor.EncOptions{String: cbor.StringToByteString}.EncMode())
	decoding = must(cbor.DecOptions{ByteStringToString: cbor.ByteStringToStringAllowed, UTF8: cbor.UTF8DecodeInvalid}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options
	}
	return v
}

func encodeRow(v any) ([]byte, error) {
	switch v := v.(type) {
	case *Inode:
		return encodeInode(v), nil
	case entryRow:
		return v.encode(), nil
	case handleRow:
		return v.encode(), nil
	}
	b, err := encoding.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a row: %w", err)
	}
	return append([]byte{rowFormat}, b...), nil
}

func decodeRow(b []byte, v any) error {
	if len(b) == 0 || b[0] != rowFormat {
		return fmt.Errorf("%w: a row of unknown format", ErrCorrupt)
	}
	if err := decoding.Unmarshal(b[1:], v); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// getRow reads a row into v; false if there is none.
func getRow(txn *badger.Txn, k []byte, v any) (bool, error) {
	item, err := txn.Get(k)
	if err == badger.ErrKeyNotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading a row %q: %w", k[0], err)
	}
	err = item.Value(func(b []byte) error {
		switch v := v.(type) {
		case nil:
			return nil
		case *Inode:
			return decodeInode(b, v)
		case *entryRow:
			return decodeEntry(b, v)
		}
		return decodeRow(b, v)
	})
	return err == nil, err
}

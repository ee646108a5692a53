package tree

import (
	"encoding/binary"

	"megadisk/megaclient"
)

// The rows' prefixes; FORMAT.md says what is in each row. 'w' belongs to package writeback.
const (
	rowInode    = 'i'
	rowEntry    = 'd'
	rowNameless = 'k'
	rowHandle   = 'h'
	rowVersion  = 'v'
	rowDouble   = 'u'
	rowOrphan   = 'o'
	rowAdopt    = 'q'
	rowPending  = 'p'
	rowGrave    = 'g'
	rowSweep    = 's'
	rowHalf     = 'x'
	rowMeta     = 'm'
)

func key(prefix byte, size int) []byte {
	return append(make([]byte, 0, 1+size), prefix)
}

func inoKey(prefix byte, ino Ino) []byte {
	return binary.BigEndian.AppendUint64(key(prefix, 8), uint64(ino))
}

// inoOf reads the number after the prefix; 0 for a key that is too short.
func inoOf(k []byte) Ino {
	if len(k) < 9 {
		return 0
	}
	return Ino(binary.BigEndian.Uint64(k[1:9]))
}

func entryKey(parent Ino, name string) []byte {
	k := binary.BigEndian.AppendUint64(key(rowEntry, 8+len(name)), uint64(parent))
	return append(k, name...)
}

func namelessKey(parent, ino Ino) []byte {
	k := binary.BigEndian.AppendUint64(key(rowNameless, 16), uint64(parent))
	return binary.BigEndian.AppendUint64(k, uint64(ino))
}

func handleKey(h megaclient.Handle) []byte {
	return append(key(rowHandle, len(h)), h...)
}

func versionKey(top Ino, h megaclient.Handle) []byte {
	return append(inoKey(rowVersion, top), h...)
}

// doubleKey without a handle is the row that counts the doubles of a name.
func doubleKey(parent Ino, wanted string, h megaclient.Handle) []byte {
	k := binary.BigEndian.AppendUint64(key(rowDouble, 9+len(wanted)+len(h)), uint64(parent))
	k = append(k, wanted...)
	return append(append(k, 0), h...)
}

// orphanKey without a handle is the row that says that the parent has orphans.
func orphanKey(parent, h megaclient.Handle) []byte {
	k := append(key(rowOrphan, 1+len(parent)+len(h)), byte(len(parent)))
	return append(append(k, parent...), h...)
}

func textKey(prefix byte, s string) []byte {
	return append(key(prefix, len(s)), s...)
}

// validHandle says whether a handle can be a key and part of a shown name: 1 to 16 characters of
// base64 (the server's have 8).
func validHandle(h megaclient.Handle) bool {
	if len(h) == 0 || len(h) > 16 {
		return false
	}
	for i := range len(h) {
		switch c := h[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

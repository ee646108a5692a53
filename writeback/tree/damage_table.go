package tree

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/proto"
)

// A table of Badger (*.sst): blocks, then an index that says where each of them begins, and how long all of that is:
//
//	block..., index, length of the index, checksum of the index, length of the checksum
//
// Blocks and index are encrypted, with the nonce at their end; a block is compressed before that, and ends, uncompressed, with
// a checksum and its length as the table does. Lengths are four bytes, big-endian. Badger's own check takes four times the
// processor's time of this one, for memory that it makes anew for each block; and before each start all tables are checked.

var errTable = errors.New("its content is damaged")

// tableCheck checks tables, one after another. What it reads into is used again.
type tableCheck struct {
	c                 *surveyor
	raw, plain, block []byte
	cipher            cipher.Block
}

// check checks each block of a table.
func (t *tableCheck) check(id uint64, entry badger.TableManifest) (err error) {
	name := table.IDToFilename(id)
	if t.c.registry == nil {
		return t.c.damaged(badger.KeyRegistryFileName, errMissing)
	}
	key, err := t.c.registry.DataKey(entry.KeyID)
	if err != nil || key == nil {
		return t.c.damaged(name, errNoKey)
	}
	defer t.c.caught(name, &err)
	if err := t.read(table.NewFilename(id, t.c.o.Dir)); err != nil {
		return t.c.damaged(name, err)
	}
	if t.cipher, err = aes.NewCipher(key.Data); err == nil {
		err = t.blocks(entry.Compression)
	}
	if err != nil {
		return t.c.damaged(name, err)
	}
	return nil
}

// read reads a table to its end: what the disk can't give back is an error here, and the death of the process where it is
// mapped into memory.
func (t *tableCheck) read(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errMissing
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t.raw = sized(t.raw, int(info.Size()))
	_, err = io.ReadFull(f, t.raw)
	return err
}

// blocks checks the index of the table that was read, and what that names.
func (t *tableCheck) blocks(compression options.CompressionType) error {
	rest, sum, err := cutSum(t.raw)
	if err != nil {
		return err
	}
	sealed, _, err := cutLast(rest)
	if err == nil {
		err = y.VerifyChecksum(sealed, sum)
	}
	if err != nil {
		return err
	}
	index := fb.GetRootAsTableIndex(t.decrypted(nil, sealed), 0)
	var at fb.BlockOffset
	for i := range index.OffsetsLength() {
		index.Offsets(&at, i)
		t.plain = t.decrypted(t.plain, t.raw[at.Offset():][:at.Len()])
		if err := t.one(compression, int(index.UncompressedSize())); err != nil {
			return err
		}
	}
	return nil
}

// one checks the block that was decrypted, which is at most so long.
func (t *tableCheck) one(compression options.CompressionType, most int) error {
	block := t.plain
	if compression == options.Snappy {
		n, err := snappy.DecodedLen(block)
		if err != nil || n > most {
			return errTable
		}
		t.block = sized(t.block, n)
		if block, err = snappy.Decode(t.block, block); err != nil {
			return err
		}
	}
	block, sum, err := cutSum(block)
	if err != nil {
		return err
	}
	return y.VerifyChecksum(block, sum)
}

// decrypted decrypts into a slice's memory, if that suffices.
func (t *tableCheck) decrypted(into, sealed []byte) []byte {
	n := len(sealed) - aes.BlockSize
	into = sized(into, n)
	cipher.NewCTR(t.cipher, sealed[n:]).XORKeyStream(into, sealed[:n])
	return into
}

// cutSum takes a checksum off the end.
func cutSum(b []byte) (rest []byte, sum *pb.Checksum, err error) {
	raw, rest, err := cutLast(b)
	if err != nil {
		return nil, nil, err
	}
	sum = &pb.Checksum{}
	return rest, sum, proto.Unmarshal(raw, sum)
}

// cutLast takes what is as long as the last four bytes say off the end, and them.
func cutLast(b []byte) (last, rest []byte, err error) {
	end := len(b) - 4
	if end < 0 {
		return nil, nil, errTable
	}
	at := end - int(y.BytesToU32(b[end:]))
	if at < 0 {
		return nil, nil, errTable
	}
	return b[at:end], b[:at], nil
}

// sized gives a slice that is so long, in the same memory if that suffices.
func sized(b []byte, n int) []byte { return slices.Grow(b[:0], n)[:n] }

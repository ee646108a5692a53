package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4/y"
)

// The logs of Badger (*.mem, *.vlog): a header of 20 bytes (which key, nonce), then entries:
//
//	meta, user meta, three varints (length of key, length of value, expiry), key, value, CRC-32C
//
// Key and value are encrypted. A transaction ends with an entry of its own; zeros follow the last one.
const (
	logHeader  = 20
	logMaxHead = 22
	metaEnd    = 1 << 7 // the entry ends a transaction
)

var endKey = []byte("!badger!txn")

// logs checks the logs. Zero-length ones (a crash between two steps of making or removing them) keep Badger from
// opening; so would the one that was made ahead. What stands in a log behind a damaged entry is cut off, since Badger would do so without a word.
func (c *surveyor) logs() error {
	if _, err := os.Stat(c.path(runningName)); err == nil {
		if n, err := c.logsWithLength(); err != nil || n == 0 {
			return errors.Join(err, c.damaged("*.mem", errMissing))
		}
	}
	for _, suffix := range []string{".mem", ".vlog"} {
		names, err := c.files(suffix)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := c.log(name, suffix == ".mem"); err != nil {
				return err
			}
		}
	}
	return nil
}

// logsWithLength counts the logs that aren't only made ahead.
func (c *surveyor) logsWithLength() (n int, err error) {
	names, err := c.files(".mem")
	for _, name := range names {
		if info, err := os.Stat(c.path(name)); err == nil && info.Size() > 0 {
			n++
		}
	}
	return n, err
}

func (c *surveyor) log(name string, journal bool) error {
	raw, err := os.ReadFile(c.path(name))
	if err != nil {
		return c.damaged(name, err)
	}
	if len(raw) <= logHeader || isZero(raw) {
		if err := os.Remove(c.path(name)); err != nil {
			return c.damaged(name, err)
		}
		return nil
	}
	keyID := binary.BigEndian.Uint64(raw)
	if c.registry == nil {
		return c.damaged(name, errNoKey)
	}
	key, err := c.registry.DataKey(keyID)
	if err != nil || key == nil {
		return c.damaged(name, errNoKey)
	}
	if !journal {
		return nil // values are verified when they are read
	}
	end, rest := walkLog(raw)
	if err := checkEnd(raw, key.Data); err != nil {
		return c.damaged(name, err)
	}
	if rest == 0 {
		return nil
	}
	if err := os.Truncate(c.path(name), int64(end)); err != nil {
		return c.damaged(name, err)
	}
	c.cut = append(c.cut, fmt.Sprintf("up to %d bytes at the end of the log %s", rest, name))
	return nil
}

// isZero tells whether there is nothing in a log: a loss of power may come before its header.
func isZero(raw []byte) bool { return len(bytes.TrimRight(raw, "\x00")) == 0 }

// walkLog finds the end of the last whole transaction. Rest is how much lies behind an entry that is torn: 0 if
// nothing does, which is what the death of the process leaves.
func walkLog(raw []byte) (end, rest int) {
	end = logHeader
	at := logHeader
	for at < len(raw) {
		n, meta := logEntry(raw[at:])
		if n == 0 {
			break
		}
		at += n
		if meta&metaEnd != 0 {
			end = at
		}
	}
	behind := min(at+max(logClaim(raw[at:]), logMaxHead), len(raw))
	last := len(bytes.TrimRight(raw[behind:], "\x00"))
	if last == 0 {
		return end, 0
	}
	return end, behind + last - end
}

// logEntry gives the length of the whole entry at the beginning of raw; 0 if there is none.
func logEntry(raw []byte) (n int, meta byte) {
	head, key, value, ok := logHead(raw)
	if !ok || key == 0 {
		return 0, 0
	}
	sum := head + key + value
	if sum+crc32.Size > len(raw) {
		return 0, 0
	}
	if crc32.Checksum(raw[:sum], y.CastagnoliCrcTable) != binary.BigEndian.Uint32(raw[sum:]) {
		return 0, 0
	}
	return sum + crc32.Size, raw[0]
}

// logClaim is how long the entry at the beginning of raw says that it is.
func logClaim(raw []byte) int {
	head, key, value, ok := logHead(raw)
	if !ok {
		return 0
	}
	return min(head+key+value+crc32.Size, len(raw))
}

func logHead(raw []byte) (head, key, value int, ok bool) {
	head = 2
	var fields [3]uint64
	for i := range fields {
		if head >= len(raw) {
			return 0, 0, 0, false
		}
		v, n := binary.Uvarint(raw[head:])
		if n <= 0 {
			return 0, 0, 0, false
		}
		fields[i] = v
		head += n
	}
	if fields[0] > 1<<16 || fields[1] > 1<<30 {
		return 0, 0, 0, false
	}
	return head, int(fields[0]), int(fields[1]), true
}

// checkEnd decrypts the first entry that ends a transaction: the sums of the entries don't cover the log's nonce,
// and under a wrong one all rows would be noise.
func checkEnd(raw, key []byte) error {
	for at := logHeader; at < len(raw); {
		n, meta := logEntry(raw[at:])
		if n == 0 {
			return nil
		}
		if meta&metaEnd != 0 {
			head, klen, _, _ := logHead(raw[at:])
			iv := binary.BigEndian.AppendUint32(bytes.Clone(raw[8:logHeader]), uint32(at))
			plain, err := y.XORBlockAllocate(raw[at+head:at+head+klen], key, iv)
			if err != nil {
				return err
			}
			if !bytes.HasPrefix(plain, endKey) {
				return errors.New("its header is damaged")
			}
			return nil
		}
		at += n
	}
	return nil
}

// checkRegistry walks the file of keys: the lengths in it are believed by who reads it.
func checkRegistry(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const head = 16 + len("Hello Badger")
	if len(raw) < head {
		return io.ErrUnexpectedEOF
	}
	for rest := raw[head:]; len(rest) > 0; {
		if len(rest) < 8 {
			return io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(rest))
		if n > int64(len(rest)-8) {
			return io.ErrUnexpectedEOF
		}
		if crc32.Checksum(rest[8:8+n], y.CastagnoliCrcTable) != binary.BigEndian.Uint32(rest[4:]) {
			return y.ErrChecksumMismatch
		}
		rest = rest[8+n:]
	}
	return nil
}

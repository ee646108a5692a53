package tree

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

// Rows of inodes and entries are read a million times for one `find`, so they are decoded by hand:
// one copy of the row, of which all strings are parts. The reader takes the CBOR that rows are made
// of (integers, byte and text strings, booleans, maps, all of definite length) and skips keys that
// it doesn't know. A fuzz test holds it against the library.

type reader struct {
	s   string // the row, owned by what is decoded
	pos int
	bad bool
}

const (
	majorUint   = 0
	majorNeg    = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorSimple = 7
)

// head reads an item's first bytes.
func (r *reader) head() (major byte, arg uint64) {
	if r.pos >= len(r.s) {
		r.bad = true
		return majorSimple, 0
	}
	b := r.s[r.pos]
	r.pos++
	major, low := b>>5, b&31
	if low < 24 {
		return major, uint64(low)
	}
	n := 1 << (low - 24)
	if low > 27 || r.pos+n > len(r.s) {
		r.bad = true
		return majorSimple, 0
	}
	var buf [8]byte
	copy(buf[8-n:], r.s[r.pos:r.pos+n])
	r.pos += n
	return major, binary.BigEndian.Uint64(buf[:])
}

func (r *reader) uint() uint64 {
	major, arg := r.head()
	r.bad = r.bad || major != majorUint
	return arg
}

func (r *reader) int() int64 {
	major, arg := r.head()
	r.bad = r.bad || major > majorNeg || arg > 1<<63-1
	if major == majorNeg {
		return -1 - int64(arg)
	}
	return int64(arg)
}

func (r *reader) bool() bool {
	major, arg := r.head()
	r.bad = r.bad || major != majorSimple || arg != 20 && arg != 21
	return arg == 21
}

func (r *reader) string() string {
	major, arg := r.head()
	if r.bad || major != majorBytes && major != majorText || arg > uint64(len(r.s)-r.pos) {
		r.bad = true
		return ""
	}
	s := r.s[r.pos : r.pos+int(arg)]
	r.pos += int(arg)
	return s
}

func (r *reader) bytes() []byte { return []byte(r.string()) }

// fields calls fn with each key of a map; fn reads the value.
func (r *reader) fields(fn func(key int64)) {
	major, n := r.head()
	if major != majorMap {
		r.bad = true
	}
	for ; n > 0 && !r.bad; n-- {
		fn(r.int())
	}
}

// skip passes over one item.
func (r *reader) skip(depth int) {
	major, arg := r.head()
	switch {
	case r.bad || depth > 16:
		r.bad = true
	case major == majorBytes || major == majorText:
		if arg > uint64(len(r.s)-r.pos) {
			r.bad = true
			return
		}
		r.pos += int(arg)
	case major == majorArray || major == majorMap:
		for n := arg; n > 0 && !r.bad; n-- {
			r.skip(depth + 1)
			if major == majorMap {
				r.skip(depth + 1)
			}
		}
	}
}

func openRow(b []byte) (reader, error) {
	if len(b) == 0 || b[0] != rowFormat {
		return reader{}, fmt.Errorf("%w: a row of unknown format", ErrCorrupt)
	}
	return reader{s: string(b[1:])}, nil
}

func (r *reader) end(what string) error {
	if r.bad || r.pos != len(r.s) {
		return fmt.Errorf("%w: %s row", ErrCorrupt, what)
	}
	return nil
}

func decodeEntry(b []byte, e *entryRow) error {
	r, err := openRow(b)
	if err != nil {
		return err
	}
	r.fields(func(key int64) {
		switch key {
		case 1:
			e.Ino = Ino(r.uint())
		case 2:
			e.Kind = Kind(r.uint())
		default:
			r.skip(0)
		}
	})
	return r.end("entry")
}

func decodeInode(b []byte, in *Inode) error {
	r, err := openRow(b)
	if err != nil {
		return err
	}
	r.fields(func(key int64) { r.inodeField(key, in) })
	return r.end("inode")
}

func (r *reader) inodeField(key int64, in *Inode) {
	switch key {
	case 1:
		in.Ino = Ino(r.uint())
	case 2:
		in.Kind = Kind(r.uint())
	case 3:
		in.Parent = Ino(r.uint())
	case 4:
		in.Name = r.string()
	case 5:
		in.Mode = uint32(r.uint())
	case 6:
		in.HasMode = r.bool()
	case 7:
		in.Size = r.int()
	case 8:
		in.Mtime = r.int()
	case 9:
		in.Ctime = r.int()
	case 10:
		in.Btime = r.int()
	case 11:
		in.Removed = r.bool()
	case 12:
		in.Pending = Pending(r.uint())
	case 13:
		in.Cloud = new(Cloud)
		r.fields(func(key int64) { r.cloudField(key, in.Cloud) })
	case 14:
		r.fields(func(key int64) { r.baseField(key, &in.Base) })
	case 15:
		in.Epoch = uint32(r.uint())
	case 16:
		in.ModeLocal = r.bool()
	case 17:
		in.Exact = r.bool()
	case 18:
		in.Link = r.bool()
	case 19:
		in.Xattrs = r.texts()
	case 20:
		in.Own = Own(r.uint())
	case 21:
		in.Atime = r.int()
	case 22:
		r.fields(func(key int64) { r.placeField(key, &in.Was) })
	case 23:
		in.Others = r.texts()
	default:
		r.skip(0)
	}
}

func (r *reader) placeField(key int64, p *Place) {
	switch key {
	case 1:
		p.Parent = Ino(r.uint())
	case 2:
		p.Name = r.string()
	default:
		r.skip(0)
	}
}

func (r *reader) baseField(key int64, b *Base) {
	switch key {
	case 1:
		b.Handle = megaclient.Handle(r.string())
	case 2:
		b.Key = r.bytes()
	case 3:
		b.Size = r.int()
	case 4:
		b.Limit = r.int()
	default:
		r.skip(0)
	}
}

func (r *reader) cloudField(key int64, c *Cloud) {
	switch key {
	case 1:
		c.Handle = megaclient.Handle(r.string())
	case 2:
		c.Parent = megaclient.Handle(r.string())
	case 3:
		c.Owner = megaclient.UserHandle(r.string())
	case 4:
		c.Type = megaclient.NodeType(r.int())
	case 5:
		c.Name = r.string()
	case 6:
		c.Size = r.int()
	case 7:
		c.Created = r.int()
	case 8:
		c.Key = r.bytes()
	case 9:
		c.Attrs = r.attrs()
	case 10:
		c.RawKey = r.string()
	case 11:
		c.RawAttrs = r.string()
	case 12:
		c.FileAttrs = r.string()
	case 13:
		c.Link = megaclient.Handle(r.string())
	case 14:
		c.Access = int(r.int())
	case 15:
		c.Share = r.bool()
	case 16:
		c.SharedBy = megaclient.UserHandle(r.string())
	case 17:
		c.Versions = int(r.int())
	case 18:
		c.Damaged = r.bool()
	case 19:
		c.Foreign = r.bool()
	default:
		r.skip(0)
	}
}

// texts reads a map of strings.
func (r *reader) texts() map[string]string {
	major, n := r.head()
	if r.bad || major != majorMap || n > uint64(len(r.s)-r.pos) {
		r.bad = true
		return nil
	}
	all := make(map[string]string, n)
	for ; n > 0 && !r.bad; n-- {
		name := r.string()
		all[name] = r.string()
	}
	return all
}

// attrs reads attributes; their values share one allocation.
func (r *reader) attrs() megacrypto.Attributes {
	major, n := r.head()
	if r.bad || major != majorMap || n > uint64(len(r.s)-r.pos) {
		r.bad = true
		return nil
	}
	a := make(megacrypto.Attributes, n)
	for ; n > 0 && !r.bad; n-- {
		name := r.string()
		a[name] = json.RawMessage(r.bytes())
	}
	return a
}

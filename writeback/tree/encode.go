package tree

import "encoding/binary"

// Rows of inodes, entries and handles are written a million times for one fetch, so they are encoded by hand as well, into what the library
// would make of them (but for the order within maps of attributes and xattrs, which has no meaning).

// writer appends CBOR. A map that is begun with open counts its fields as they come.
type writer struct {
	b  []byte
	at int // of the open map's head
}

func (w *writer) head(major byte, arg uint64) {
	major <<= 5
	switch {
	case arg < 24:
		w.b = append(w.b, major|byte(arg))
	case arg < 1<<8:
		w.b = append(w.b, major|24, byte(arg))
	case arg < 1<<16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, major|25), uint16(arg))
	case arg < 1<<32:
		w.b = binary.BigEndian.AppendUint32(append(w.b, major|26), uint32(arg))
	default:
		w.b = binary.BigEndian.AppendUint64(append(w.b, major|27), arg)
	}
}

// open begins a map of at most 23 fields, whose head is one byte; the function that it returns goes back to the one around it.
func (w *writer) open() (end func()) {
	around := w.at
	w.at = len(w.b)
	w.b = append(w.b, majorMap<<5)
	return func() { w.at = around }
}

func (w *writer) key(k byte) {
	w.b[w.at]++
	w.head(majorUint, uint64(k))
}

func (w *writer) uint(k byte, v uint64) {
	if v != 0 {
		w.key(k)
		w.head(majorUint, v)
	}
}

func (w *writer) int(k byte, v int64) {
	switch {
	case v > 0:
		w.uint(k, uint64(v))
	case v < 0:
		w.key(k)
		w.head(majorNeg, uint64(-1-v))
	}
}

func (w *writer) bool(k byte, v bool) {
	if v {
		w.key(k)
		w.head(majorSimple, 21)
	}
}

func (w *writer) bytes(k byte, v string) {
	if v != "" {
		w.key(k)
		w.text(v)
	}
}

func (w *writer) text(v string) {
	w.head(majorBytes, uint64(len(v)))
	w.b = append(w.b, v...)
}

// appendMap appends a map of strings.
func appendMap[V ~string | ~[]byte](w *writer, k byte, m map[string]V) {
	if len(m) == 0 {
		return
	}
	w.key(k)
	w.head(majorMap, uint64(len(m)))
	for name, v := range m {
		w.text(name)
		w.text(string(v))
	}
}

// encodeInode makes an inode's row.
func encodeInode(in *Inode) []byte {
	w := &writer{b: append(make([]byte, 0, 512), rowFormat)}
	defer w.open()()
	w.key(1)
	w.head(majorUint, uint64(in.Ino))
	w.key(2)
	w.head(majorUint, uint64(in.Kind))
	w.uint(3, uint64(in.Parent))
	w.bytes(4, in.Name)
	w.uint(5, uint64(in.Mode))
	w.bool(6, in.HasMode)
	w.int(7, in.Size)
	w.int(8, in.Mtime)
	w.int(9, in.Ctime)
	w.int(10, in.Btime)
	w.bool(11, in.Removed)
	w.uint(12, uint64(in.Pending))
	if in.Cloud != nil {
		w.key(13)
		in.Cloud.encode(w)
	}
	in.Base.encode(w)
	w.uint(15, uint64(in.Epoch))
	w.bool(16, in.ModeLocal)
	w.bool(17, in.Exact)
	w.bool(18, in.Link)
	appendMap(w, 19, in.Xattrs)
	w.uint(20, uint64(in.Own))
	w.int(21, in.Atime)
	appendMap(w, 23, in.Others)
	if in.Was != (Place{}) {
		w.key(22)
		defer w.open()()
		w.uint(1, uint64(in.Was.Parent))
		w.bytes(2, in.Was.Name)
	}
	return w.b
}

func (c *Cloud) encode(w *writer) {
	defer w.open()()
	w.key(1)
	w.text(string(c.Handle))
	w.bytes(2, string(c.Parent))
	w.bytes(3, string(c.Owner))
	w.int(4, int64(c.Type))
	w.bytes(5, c.Name)
	w.int(6, c.Size)
	w.int(7, c.Created)
	w.bytes(8, string(c.Key))
	appendMap(w, 9, c.Attrs)
	w.bytes(10, c.RawKey)
	w.bytes(11, c.RawAttrs)
	w.bytes(12, c.FileAttrs)
	w.bytes(13, string(c.Link))
	w.int(14, int64(c.Access))
	w.bool(15, c.Share)
	w.bytes(16, string(c.SharedBy))
	w.int(17, int64(c.Versions))
	w.bool(18, c.Damaged)
	w.bool(19, c.Foreign)
}

func (b *Base) encode(w *writer) {
	if b.Handle == "" && len(b.Key) == 0 && b.Size == 0 && b.Limit == 0 {
		return
	}
	w.key(14)
	defer w.open()()
	w.bytes(1, string(b.Handle))
	w.bytes(2, string(b.Key))
	w.int(3, b.Size)
	w.int(4, b.Limit)
}

func (e entryRow) encode() []byte {
	w := &writer{b: append(make([]byte, 0, 16), rowFormat)}
	defer w.open()()
	w.key(1)
	w.head(majorUint, uint64(e.Ino))
	w.key(2)
	w.head(majorUint, uint64(e.Kind))
	return w.b
}

func (r handleRow) encode() []byte {
	w := &writer{b: append(make([]byte, 0, 32), rowFormat)}
	defer w.open()()
	w.uint(1, uint64(r.Ino))
	w.bool(2, r.Version)
	w.bytes(3, string(r.Orphan))
	return w.b
}

package tree

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"megadisk/megaclient/megacrypto"

	"github.com/fxamacker/cbor/v2"
)

// What programs set and MEGA has no place for travels in one attribute of the node, which other clients pass on
// unread: mode, that a file is a symbolic link, a time with its fraction, and xattrs. FORMAT.md describes it.
// A node of which no program used any of that doesn't have it.

// ExtraName is the name of that attribute.
const ExtraName = "mdx"

// Limits of what is kept for a node.
const (
	MaxXattrs  = 4 << 10 // bytes of all its xattrs, names and values
	MaxTarget  = 4095    // bytes of a symbolic link's target
	MaxXattr   = 250     // bytes of an xattr's name without "user."
	modeBits   = 0o777   // what is kept and believed of a mode
	extraRoom  = 1 << 10 // bytes of a node's attributes left for other clients
	reserved   = "mega." // xattrs below it are facts, and nobody's to set
	extraFirst = 1       // the value's first byte: the format
)

// extraLink is the kind (field 2) of a symbolic link.
const extraLink = 1

// Extra is the attribute, decoded.
type Extra struct {
	HasMode  bool
	Mode     uint32 // permission bits
	Link     bool   // the content is a symbolic link's target
	HasMtime bool
	Mtime    int64             // ns since 1970
	Xattrs   map[string]string // names without "user."; must not be changed in place
	others   map[uint64]cbor.RawMessage
	newer    bool // written by a later version: neither understood nor changed
}

// extraRow is the attribute as it is encoded, with the fields that this version knows.
type extraRow struct {
	Mode   *uint32           `cbor:"1,keyasint,omitempty"`
	Kind   uint8             `cbor:"2,keyasint,omitempty"`
	Mtime  *int64            `cbor:"3,keyasint,omitempty"`
	Xattrs map[string]string `cbor:"4,keyasint,omitempty"`
}

const extraKnown = 4 // fields 1 to 4 are known

var extraEncoding = must(cbor.EncOptions{String: cbor.StringToByteString, Sort: cbor.SortBytewiseLexical}.EncMode())

// ParseExtra reads the attribute of a node. What makes no sense in it is as if it weren't there.
func ParseExtra(a megacrypto.Attributes) (x Extra) {
	var fields map[uint64]cbor.RawMessage
	fields, x.newer = extraFields(a)
	for key, value := range fields {
		x.field(key, value)
	}
	return x
}

// extraFields takes the attribute apart; nil if there is none, or none that makes sense. newer: a later version has
// written it.
func extraFields(a megacrypto.Attributes) (fields map[uint64]cbor.RawMessage, newer bool) {
	text, ok := a.String(ExtraName)
	if !ok {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return nil, false
	}
	if raw[0] > extraFirst {
		return nil, true
	}
	if raw[0] != extraFirst || decoding.Unmarshal(raw[1:], &fields) != nil {
		return nil, false
	}
	return fields, false
}

// setExtraFields is the inverse of extraFields; no fields, no attribute.
func setExtraFields(a megacrypto.Attributes, fields map[uint64]cbor.RawMessage) {
	if len(fields) == 0 {
		delete(a, ExtraName)
		return
	}
	// Fields of others go out as they came. The library would look into them once more, and refuse what it read.
	raw := append([]byte{extraFirst}, must(extraEncoding.Marshal(len(fields)))...)
	raw[1] |= majorMap << 5
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		raw = append(append(raw, must(extraEncoding.Marshal(key))...), fields[key]...)
	}
	a.SetString(ExtraName, base64.RawURLEncoding.EncodeToString(raw))
}

// field reads one field.
func (x *Extra) field(key uint64, value cbor.RawMessage) {
	switch key {
	case 1:
		x.HasMode = decoding.Unmarshal(value, &x.Mode) == nil
		x.Mode &= modeBits
	case 2:
		var kind uint8
		x.Link = decoding.Unmarshal(value, &kind) == nil && kind == extraLink
	case 3:
		x.HasMtime = decoding.Unmarshal(value, &x.Mtime) == nil
	case 4:
		var all map[string]string
		if decoding.Unmarshal(value, &all) != nil {
			return
		}
		maps.DeleteFunc(all, func(name, _ string) bool { return !ValidXattr(name) })
		if len(all) > 0 {
			x.Xattrs = all
		}
	default:
		if x.others == nil {
			x.others = map[uint64]cbor.RawMessage{}
		}
		x.others[key] = value
	}
}

// ValidXattr says whether a name, without "user.", can be that of a program's xattr.
func ValidXattr(name string) bool {
	return name != "" && len(name) <= MaxXattr && !strings.Contains(name, "\x00") && !strings.HasPrefix(name, reserved)
}

// store writes the attribute, or removes it when nothing is in it. One of a later version stays as it is.
func (x Extra) store(a megacrypto.Attributes) {
	if x.newer {
		return
	}
	row := extraRow{Xattrs: x.Xattrs}
	if x.HasMode {
		row.Mode = &x.Mode
	}
	if x.Link {
		row.Kind = extraLink
	}
	if x.HasMtime {
		row.Mtime = &x.Mtime
	}
	fields := map[uint64]cbor.RawMessage{}
	known := must(extraEncoding.Marshal(row))
	if err := decoding.Unmarshal(known, &fields); err != nil {
		panic(err) // it was just encoded
	}
	for key, value := range x.others {
		if key == 0 || key > extraKnown {
			fields[key] = value
		}
	}
	setExtraFields(a, fields)
}

// Own is a set of the attributes that PendingAttrs is about.
type Own uint8

// The bits of Own.
const (
	OwnMtime Own = 1 << iota
	OwnMode
	OwnXattrs
	OwnLink
	OwnOthers // those in Others

	ownAll = OwnMtime | OwnMode | OwnXattrs | OwnLink
)

// Claim notes that attributes were changed here and the cloud has to hear of it: they don't follow it any more.
func (in *Inode) Claim(own Own) {
	if !in.Pending.Has(PendingAttrs) {
		in.Own, in.Others = 0, nil
	}
	in.Pending |= PendingAttrs
	in.Own |= own
	in.claimed(own)
}

// owned gives the attributes that don't follow the cloud.
func (in *Inode) owned() Own {
	switch {
	case in.Pending.Has(PendingCreate):
		return ownAll
	case !in.Pending.Has(PendingAttrs):
		return 0
	case in.Own == 0:
		return ownAll // a row of a version that knew no better
	}
	return in.Own
}

// IsLink says whether an inode is shown as a symbolic link: what can't be a target isn't.
func (in *Inode) IsLink() bool {
	return in.Link && in.Kind == File && in.Size > 0 && in.Size <= MaxTarget
}

// Given tells which attributes a program gave to an inode that was made here.
func (in *Inode) Given() (own Own) {
	if in.Exact {
		own |= OwnMtime
	}
	if in.ownMode() {
		own |= OwnMode
	}
	if len(in.Xattrs) > 0 {
		own |= OwnXattrs
	}
	return own
}

// ownMode says whether a program has set the mode, so that the cloud is to have it.
func (in *Inode) ownMode() bool { return in.HasMode && !in.ModeLocal }

// Differs tells which attributes of an inode a node with the given attributes doesn't have. What the
// fingerprint can't say of a time counts only if a program set that time.
func (in *Inode) Differs(a megacrypto.Attributes) (own Own) {
	if a == nil {
		return 0
	}
	if len(in.others()) > 0 {
		a, own = in.withOthers(a), OwnOthers
	}
	x := ParseExtra(a)
	if in.mtimeDiffers(a, x) {
		own |= OwnMtime
	}
	if x.newer {
		return own
	}
	if in.ownMode() && (!x.HasMode || x.Mode != in.Mode&modeBits) {
		own |= OwnMode
	}
	if !maps.Equal(in.Xattrs, x.Xattrs) {
		own |= OwnXattrs
	}
	if in.Kind == File && in.Link != x.Link {
		own |= OwnLink
	}
	return own
}

func (in *Inode) mtimeDiffers(a megacrypto.Attributes, x Extra) bool {
	if f, ok := fingerprint(a); ok && in.Kind == File {
		if f.Mtime != seconds(in.Mtime) {
			return true
		}
		if in.Mtime == f.Mtime*1e9 {
			return false
		}
	}
	return in.Exact && !x.newer && (!x.HasMtime || x.Mtime != in.Mtime)
}

// StoreExtra writes what programs set of an inode into a node's attributes, over what is in them of it.
// Fields that this version doesn't know stay. The fingerprint must be there already.
func (in *Inode) StoreExtra(a megacrypto.Attributes) {
	x := ParseExtra(a)
	if in.ownMode() {
		x.HasMode, x.Mode = true, in.Mode&modeBits
	}
	x.Link, x.Xattrs = in.Link && in.Kind == File, in.Xattrs
	f, ok := fingerprint(a)
	whole := ok && in.Kind == File && in.Mtime == f.Mtime*1e9
	switch {
	case in.Exact && !whole:
		x.HasMtime, x.Mtime = true, in.Mtime
	case in.Kind == File:
		x.HasMtime, x.Mtime = false, 0
	}
	x.store(a)
}

// FitsExtra says whether what programs set of an inode fits into its node's attributes, with some room left.
func (in *Inode) FitsExtra() bool {
	size := 0
	for name, value := range in.Xattrs {
		size += len(name) + len(value)
	}
	if size > MaxXattrs {
		return false
	}
	a := in.CloudAttrs()
	if a == nil {
		a = megacrypto.Attributes{}
	}
	in.StoreExtra(a)
	size = len("MEGA{}") + 6*MaxName + 64 // a name full of what JSON escapes, and a fingerprint
	for name, value := range a {
		size += len(name) + len(value) + len(`"":,`)
	}
	return size <= megacrypto.MaxAttributes-extraRoom
}

// followAttrs brings mtime, mode, xattrs and the kind of file in line with the shadow, where nothing is
// pending. old is the shadow before; nil: there was none.
func (tx *Tx) followAttrs(e *Inode, old *Cloud) {
	if e.Cloud == nil || e.Cloud.Attrs == nil {
		return
	}
	shadow := *e.Cloud
	if len(e.others()) > 0 {
		shadow.Attrs = e.CloudAttrs()
	}
	x, own := ParseExtra(shadow.Attrs), e.owned()
	mtime, exact := shadow.exactMtime(x)
	switch {
	case own&OwnMtime != 0:
	case e.Kind == File && !e.Pending.Has(PendingContent):
		// The cloud has whole seconds of what no program set. The fraction known here stays, as long as it is the
		// same version: that the cloud has taken it is no change.
		same := old != nil && old.Handle == e.Cloud.Handle && seconds(e.Mtime) == seconds(mtime)
		if exact || e.Exact || !same {
			e.Mtime, e.Exact = mtime, exact
		}
	case e.Kind == Dir && exact:
		// A folder's own time changes with its entries: only another one from the cloud counts.
		var before Extra
		if old != nil {
			before = ParseExtra(old.Attrs)
		}
		if old == nil || !before.HasMtime || before.Mtime != mtime {
			e.Mtime, e.Exact = mtime, true
		}
	}
	if x.newer {
		return
	}
	if own&OwnMode == 0 && (x.HasMode || !e.ModeLocal) {
		e.HasMode, e.Mode, e.ModeLocal = x.HasMode, x.Mode, false
	}
	if own&OwnXattrs == 0 {
		e.Xattrs = x.Xattrs
	}
	if own&OwnLink == 0 && e.Kind == File && e.Link != x.Link {
		e.Link = x.Link
		if !e.Removed && e.Name != "" { // the kernel must look the name up again: it is another kind of file
			tx.Note(Change{Dir: e.Parent, Name: e.Name, Ino: e.Ino, Attr: true})
		}
	}
}

// exactMtime gives a node's time of last modification in ns, and whether its fraction is a program's. The
// exact time counts as long as the fingerprint says the same second: another client may have changed that.
func (c *Cloud) exactMtime(x Extra) (ns int64, exact bool) {
	f, ok := fingerprint(c.Attrs)
	if x.HasMtime && (!ok || c.kind() == Dir || f.Mtime == seconds(x.Mtime)) {
		return x.Mtime, true
	}
	return c.mtime(), false
}

func fingerprint(a megacrypto.Attributes) (megacrypto.Fingerprint, bool) {
	text, ok := a.String("c")
	if !ok {
		return megacrypto.Fingerprint{}, false
	}
	f, err := megacrypto.ParseFingerprint(text)
	return f, err == nil
}

// seconds rounds towards the past, as time.Unix does.
func seconds(ns int64) int64 { return time.Unix(0, ns).Unix() }

package tree

import (
	"maps"
	"strconv"
	"strings"

	"megadisk/megaclient/megacrypto"

	"github.com/fxamacker/cbor/v2"
)

// A command sets all of a node's attributes. What somebody else set, and ours replaced since it was sent before
// that was heard, is not in the cloud then and in no version either: the inode keeps it (Others) until it has been
// sent again. It is kept by fields: each attribute is one, and of mdx each of its fields.

// extraField begins the name of a field of mdx; its number follows.
const extraField = ExtraName + "/"

// ownFields says in which fields of a node's attributes an inode's own ones are.
var ownFields = map[Own][]string{
	OwnMtime:  {"c", extraField + "3"},
	OwnMode:   {extraField + "1"},
	OwnLink:   {extraField + "2"},
	OwnXattrs: {extraField + "4"},
}

// OwnFields lists all fields that hold what programs set of an inode.
func OwnFields() (names []string) {
	for _, list := range ownFields {
		names = append(names, list...)
	}
	return names
}

// fields takes a node's attributes apart.
func fields(a megacrypto.Attributes) map[string]string {
	all := make(map[string]string, len(a))
	for name, value := range a {
		if !strings.HasPrefix(name, extraField) {
			all[name] = string(value)
		}
	}
	extra, newer := extraFields(a)
	if newer || len(extra) == 0 {
		return all
	}
	delete(all, ExtraName)
	for key, value := range extra {
		all[extraField+strconv.FormatUint(key, 10)] = string(value)
	}
	return all
}

// ChangedFields lists the fields in which two nodes' attributes differ.
func ChangedFields(from, to megacrypto.Attributes) (names []string) {
	old, now := fields(from), fields(to)
	for name, value := range now {
		if was, there := old[name]; !there || was != value {
			names = append(names, name)
		}
	}
	for name := range old {
		if _, there := now[name]; !there {
			names = append(names, name)
		}
	}
	return names
}

// LostFields gives what theirs says otherwise than ours, but for the fields that ours was to set: "" for what isn't in
// theirs. The name is a place and not among them.
func LostFields(theirs, ours megacrypto.Attributes, set []string) map[string]string {
	lost, said := map[string]string{}, fields(theirs)
	for _, name := range ChangedFields(ours, theirs) {
		lost[name] = said[name]
	}
	delete(lost, "n")
	for _, name := range set {
		delete(lost, name)
	}
	return lost
}

// Owe notes what others had set of a node and ours replaced. It is shown here at once. Of what was noted before and
// isn't in lost, the cloud has heard otherwise since. Errors: ErrStale.
func (tx *Tx) Owe(ino Ino, lost map[string]string) error {
	e, err := tx.edit(ino)
	if err != nil {
		return err
	}
	if e.Cloud == nil || e.Removed || len(lost) == 0 && len(e.others()) == 0 {
		return nil
	}
	lost = maps.Clone(lost)
	for own, names := range ownFields {
		if e.owned()&own == 0 {
			continue
		}
		for _, name := range names {
			delete(lost, name)
		}
	}
	if len(lost) > 0 {
		e.Claim(OwnOthers)
		e.Others = lost
	}
	if len(lost) == 0 || !e.FitsExtra() {
		if e.Own &^= OwnOthers; e.Own == 0 {
			e.Pending &^= PendingAttrs
		}
		e.Others = nil
	}
	tx.followAttrs(e, e.Cloud)
	tx.Note(Change{Ino: ino, Attr: true, Pending: true})
	return nil
}

// others gives what is noted of others' attributes.
func (in *Inode) others() map[string]string {
	if !in.Pending.Has(PendingAttrs) {
		return nil
	}
	return in.Others
}

// CloudAttrs gives the attributes of an inode's node as they are to be, but for those of its own: a copy.
func (in *Inode) CloudAttrs() megacrypto.Attributes {
	if in.Cloud == nil {
		return nil
	}
	return in.withOthers(in.Cloud.Attrs)
}

// withOthers gives attributes with those that are owed to others: a copy.
func (in *Inode) withOthers(a megacrypto.Attributes) megacrypto.Attributes {
	out, owed := a.Clone(), in.others()
	if out == nil || len(owed) == 0 {
		return out
	}
	extra, newer := extraFields(out)
	if extra == nil {
		extra = map[uint64]cbor.RawMessage{}
	}
	inExtra := false
	for name, value := range owed {
		digits, of := strings.CutPrefix(name, extraField)
		key, err := strconv.ParseUint(digits, 10, 64)
		switch {
		case of && err == nil && value == "":
			delete(extra, key)
			inExtra = true
		case of && err == nil:
			extra[key] = cbor.RawMessage(value)
			inExtra = true
		case value == "":
			delete(out, name)
		default:
			out[name] = []byte(value)
		}
	}
	if inExtra && !newer {
		setExtraFields(out, extra)
	}
	return out
}

// settleOthers ends what is owed in fields that the cloud says otherwise now than before: it has them, or has heard
// something newer.
func (in *Inode) settleOthers(old, now megacrypto.Attributes) {
	if len(in.Others) == 0 || now == nil {
		return
	}
	left := maps.Clone(in.Others)
	for _, name := range ChangedFields(old, now) {
		delete(left, name)
	}
	in.Others = left
}

// claimed ends what is owed in fields that were changed here.
func (in *Inode) claimed(own Own) {
	if len(in.Others) == 0 {
		return
	}
	left := maps.Clone(in.Others)
	for bit, names := range ownFields {
		if own&bit == 0 {
			continue
		}
		for _, name := range names {
			delete(left, name)
		}
	}
	in.Others = left
}

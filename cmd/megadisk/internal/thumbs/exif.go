package thumbs

import (
	"bytes"
	"encoding/binary"
)

// A JPEG begins with segments: FF, a letter, two bytes of length, and what they hold.
const (
	segmentStart      = 0xff
	segmentSOI        = 0xd8 // the picture begins
	segmentSOS        = 0xda // the pixels begin
	segmentBaseline   = 0xc0 // the size, and that the picture is sequential
	segmentExtended   = 0xc1 // the same
	segmentHuffman    = 0xc4
	segmentQuantizers = 0xdb
	segmentApp0       = 0xe0 // and the 15 kinds after it: what programs add
	segmentApp1       = 0xe1 // EXIF
	segmentComment    = 0xfe
)

// eachSegment calls fn for each segment before the pixels, until it returns false.
func eachSegment(jpeg []byte, fn func(kind byte, body []byte) bool) {
	if len(jpeg) < 2 || jpeg[0] != segmentStart || jpeg[1] != segmentSOI {
		return
	}
	for at := jpeg[2:]; len(at) >= 4 && at[0] == segmentStart && at[1] != segmentSOS; {
		n := int(binary.BigEndian.Uint16(at[2:])) + 2
		if n < 4 || n > len(at) || !fn(at[1], at[4:n]) {
			return
		}
		at = at[n:]
	}
}

// isSequential says of a JPEG that it surely isn't progressive: each segment up to the one that tells is of a kind that every
// decoder goes through in the same way.
func isSequential(jpeg []byte) (is bool) {
	eachSegment(jpeg, func(kind byte, _ []byte) bool {
		is = kind == segmentBaseline || kind == segmentExtended
		return kind == segmentHuffman || kind == segmentQuantizers || kind == segmentComment || kind&0xf0 == segmentApp0
	})
	return is
}

// orientation reads how a camera was held, 1 to 8 as EXIF counts; 1, upright, if it isn't said.
func orientation(jpeg []byte) int {
	found := 1
	eachSegment(jpeg, func(kind byte, body []byte) bool {
		tiff, isEXIF := bytes.CutPrefix(body, []byte("Exif\x00\x00"))
		if kind != segmentApp1 || !isEXIF {
			return true
		}
		found = orientationOf(tiff)
		return false
	})
	return found
}

// orientationOf looks for the tag in the first folder of EXIF's own little filesystem.
func orientationOf(tiff []byte) int {
	const tag, entrySize = 0x0112, 12
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	first := order.Uint32(tiff[4:])
	if uint64(first)+2 > uint64(len(tiff)) {
		return 1
	}
	entries := tiff[first+2:]
	for range order.Uint16(tiff[first:]) {
		if len(entries) < entrySize {
			return 1
		}
		if order.Uint16(entries) == tag {
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
		entries = entries[entrySize:]
	}
	return 1
}

package megaclient

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
)

// CloudRAID (PROTOCOL 6.3): the ciphertext of a file is spread in sectors over five parts, line by line, and a
// sixth one, part 0, holds their XOR. Each part has a URL of its own, and any five of them give the file.
//
//	           part 1   part 2   part 3   part 4   part 5     part 0
//	line 0      0-15    16-31    32-47    48-63    64-79      their XOR
//	line 1     80-95    …
const (
	raidParts  = 6
	raidSector = 16
	raidLine   = raidSector * (raidParts - 1)
)

// raidPartSize is the length of one part of a file of a size.
func raidPartSize(size int64, part int) int64 {
	rest := size%raidLine - raidSector*int64(max(part-1, 0))
	return size/raidLine*raidSector + min(max(rest, 0), raidSector)
}

// raidLines gives the lines that hold the bytes [off, end) of a file.
func raidLines(off, end int64) (first, last int64) { return off / raidLine, (end-1)/raidLine + 1 }

// joinSectors puts bytes of a file together, beginning at off. parts are the sectors of the data parts from line
// first on.
func joinSectors(dst []byte, off, first int64, parts [raidParts][]byte) {
	line, in := int(off/raidLine-first), int(off%raidLine)
	for len(dst) > 0 {
		sector := parts[1+in/raidSector][line*raidSector:][:raidSector]
		n := copy(dst, sector[in%raidSector:])
		dst = dst[n:]
		if in += n; in == raidLine {
			line, in = line+1, 0
		}
	}
}

// rebuildSectors makes the bytes [from, to) of the missing part from those of the five others.
func rebuildSectors(dst []byte, parts [raidParts][]byte, missing, from, to int) {
	clear(dst[from:to])
	for i, part := range parts {
		if i != missing {
			subtle.XORBytes(dst[from:to], dst[from:to], part[from:to])
		}
	}
}

// contentURLs is the g of an answer to g: one URL, or those of the six parts.
type contentURLs []string

// UnmarshalJSON reads one or six.
func (u *contentURLs) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*u = contentURLs{one}
		return nil
	}
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if len(list) != 1 && len(list) != raidParts {
		return fmt.Errorf("%d URLs", len(list))
	}
	*u = list
	return nil
}

package megaclient_test

import (
	"testing"

	"megadisk/megaclient"

	"github.com/stretchr/testify/require"
)

// FuzzRAIDParts: any range of any content comes out of its parts as it is, with any one of them lost.
func FuzzRAIDParts(f *testing.F) {
	f.Add([]byte("a"), uint16(0), uint16(1), uint8(1))
	f.Add(content(163), uint16(79), uint16(82), uint8(0))
	f.Add(content(4000), uint16(1234), uint16(2000), uint8(5))
	f.Fuzz(func(t *testing.T, data []byte, from, length uint16, lost uint8) {
		off := int64(from)
		if off >= int64(len(data)) || length == 0 {
			return
		}
		n := min(int64(length), int64(len(data))-off)
		require.Equal(t, data[off:off+n], megaclient.JoinParts(spread(data), off, n, int(lost%raidParts)))
	})
}

// spread takes content apart as the protocol draws it.
func spread(data []byte) (parts [raidParts][]byte) {
	for i := 0; i < len(data); i += 16 {
		sector := data[i:min(i+16, len(data))]
		part := 1 + i/16%(raidParts-1)
		parts[part] = append(parts[part], sector...)
		if part == 1 {
			parts[0] = append(parts[0], make([]byte, len(sector))...)
		}
		line := parts[0][i/80*16:]
		for j, b := range sector {
			line[j] ^= b
		}
	}
	return parts
}

// FuzzContentURLs: what an answer may say of where content lies.
func FuzzContentURLs(f *testing.F) {
	for _, seed := range []string{`"https://a"`, `["a"]`, `["a","b","c","d","e","f"]`, `[]`, `{}`, `null`, `[1]`, `""`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if urls, err := megaclient.ContentURLs(raw); err == nil {
			require.Contains(t, []int{0, 1, raidParts}, len(urls))
		}
	})
}

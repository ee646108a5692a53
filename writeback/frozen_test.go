package writeback

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/staging"
	"megadisk/writeback/tree"
)

// Samples are never changed. WRITEBACK_SAMPLE=1 makes those of the present
// format, for the day when that changes (under a new name then).
const (
	frozenKey  = "testdata/state-v1.key"
	frozenRows = "testdata/rows-v%d.json" // of a version of the journal
)

var (
	sampleMaster = megacrypto.Key{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	sampleState  = [32]byte{0: 0xaa, 31: 0x55}
)

func TestFrozenStateKeyOpensForEver(t *testing.T) {
	if os.Getenv("WRITEBACK_SAMPLE") != "" {
		raw, err := wrapStateKey(sampleState, sampleMaster)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(frozenKey, raw, 0o600))
	}
	raw, err := os.ReadFile(frozenKey)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, stateKeyFile), raw, 0o600))
	key, err := OpenStateKey(dir, sampleMaster)
	require.NoError(t, err)
	require.Equal(t, sampleState, key)
	require.Equal(t, "31b9146630a217fe", hex.EncodeToString(sum(subkey(key, labelStaging))))
	require.Equal(t, "5720ecb472063f6d", hex.EncodeToString(sum(subkey(key, labelTree))))
	require.Equal(t, "ab96cd4c2ec85c10", hex.EncodeToString(sum(CacheKey(key))))
}

// sum is the start of a derived key: enough to see that it is the same.
func sum(k [32]byte) []byte { return k[:8] }

// sampleRow is one row: what it is decoded into, and what comes out.
type sampleRow struct {
	name       string
	into, want any
}

func samples() []sampleRow {
	x := []staging.Extent{{Off: 4096, Len: 100, Seg: 7 << 32, Pos: 128, Skip: 3}, {Off: 5000, Len: 1, Seg: 8 << 32, Pos: 64}}
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", "name\xff")
	attrs.SetString("c", "fingerprint")
	g := func() *generation {
		return &generation{
			Ino: 42, Content: 3, Base: tree.Base{Handle: "BASE0000", Key: []byte("01234567890123456789012345678901"), Size: 9000, Limit: 8000},
			State: megaclient.UploadState{
				Size: 5001, Key: megacrypto.FileKey{Key: sampleMaster, Nonce: [8]byte{9}, MAC: [8]byte{8}}, URL: "https://storage/ul/x", URLTime: 1_700_000_000,
				Chunks: []megaclient.UploadedChunk{{Index: 1, MAC: megacrypto.ChunkMAC{5}}}, Token: "token",
			},
			CRC: [16]byte{6}, Digest: []byte("digest"), Packed: staging.EncodeExtents(x),
		}
	}
	return []sampleRow{
		{"entry", &entry{}, &entry{Seq: 1, Since: 2, Last: 3, Content: 4, RemovedAs: "GONE0000", Reason: "full", Code: -17,
			Attempts: 5, Retry: 6, Held: true, Key: sampleMaster[:]}},
		{"generation", &generation{}, g()},
		{"limit", new(int64), ptr(int64(4711))},
		{"echo", &echoRow{}, &echoRow{Acked: 1, Seq: 2, Held: true}},
		{"happening", &Happening{}, &Happening{Time: 1, What: Conflicted, Path: "/a\xff", More: "b"}},
		{"doomed", &doomedRow{}, &doomedRow{Parent: "PARENT00", Moved: true}},
		{"batch", &batchRow{}, &batchRow{
			Batch: megaclient.Batch{ID: "abcdefghij", Body: []byte(`[{"a":"p"}]`), Tags: []string{"t1"}, Run: "run", FirstSent: megaclient.Moment{Boot: "boot", Nanos: 5}},
			Items: []item{{Kind: itemFile, Ino: 42, Key: []byte("key"), Handle: "OLD00000", Parent: "PARENT00", Name: "name\xff", LocalParent: 2,
				LocalName: "name", Mtime: 7, Content: 8, Attrs: attrs, Over: 43, Found: "FOUND000", Echoed: true}},
		}},
	}
}

func ptr[T any](v T) *T { return &v }

func TestFrozenRowsOpenForEver(t *testing.T) {
	es := []staging.Extent{{Off: 4096, Len: 100, Seg: 7 << 32, Pos: 128, Skip: 3}, {Off: 5000, Len: 1, Seg: 8 << 32, Pos: 64}}
	if os.Getenv("WRITEBACK_SAMPLE") != "" {
		rows := map[string]string{}
		for _, s := range samples() {
			raw, err := encodeRow(s.want)
			require.NoError(t, err)
			rows[s.name] = hex.EncodeToString(raw)
		}
		r, _ := inlineRow(rowExtents, 42, 0, es)
		rows["region"] = hex.EncodeToString(r.value)
		raw, err := json.MarshalIndent(rows, "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(fmt.Sprintf(frozenRows, journalVersion), append(raw, '\n'), 0o644))
	}
	for version := 1; version <= journalVersion; version++ {
		raw, err := os.ReadFile(fmt.Sprintf(frozenRows, version))
		require.NoError(t, err)
		rows := map[string]string{}
		require.NoError(t, json.Unmarshal(raw, &rows))
		for _, s := range samples() {
			if version == 1 && (s.name == "generation" || s.name == "happening") {
				continue // migrated (TestJournalOfVersion1IsMigrated), and new in version 2
			}
			row, err := hex.DecodeString(rows[s.name])
			require.NoError(t, err)
			require.EqualValues(t, version, row[0])
			require.NoError(t, decodeRow(row, s.into), s.name)
			require.Equal(t, s.want, s.into, s.name)
		}
		row, err := hex.DecodeString(rows["region"])
		require.NoError(t, err)
		got, err := readRegion(nil, regionKey(rowExtents, 42, 0), row)
		require.NoError(t, err)
		require.Equal(t, es, got)
	}

	key := partKey(rowExtents, 42, 1, 2, 3)
	require.Equal(t, "7770"+"78"+"000000000000002a"+"0000000000000001"+"0000000000000002"+"00000003", hex.EncodeToString(key))
	require.Equal(t, "7778"+"000000000000002a"+"0000000000000001", hex.EncodeToString(regionKey(rowExtents, 42, 1)))
	id, ok := parseEchoKey([]byte("weNODE0000atag"))
	require.True(t, ok)
	require.Equal(t, echoID{"NODE0000", fieldAttrs, "tag"}, id)
}

package staging

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"
)

// frozenRecord is one append in a frozen sample.
type frozenRecord struct {
	Owner   Owner
	Off     int64
	Size    int
	SHA256  string
	Extents []Extent
	Row     string // the extents as EncodeExtents packs them, hex
}

var frozenOwners = []Owner{
	{Ino: 16, Path: "/Thesis/chapter 1.tex", Base: "AbCdEfGh"},
	{Ino: 1 << 40, Path: "/\xff\xfe not UTF-8", Base: ""},
	{Ino: 17, Path: "/deep" + strings.Repeat("/folder", 100), Base: strings.Repeat("b", 60)},
}

// Segments of every version that ever was are opened for ever. For a new
// version: go test -run Frozen -update, after formatVersion went up.
func TestFrozenSamples(t *testing.T) {
	if *update {
		drawFrozen(t, filepath.Join("testdata", "v1"))
	}
	samples, err := filepath.Glob("testdata/v*")
	require.NoError(t, err)
	require.NotEmpty(t, samples)
	for _, sample := range samples {
		t.Run(filepath.Base(sample), func(t *testing.T) { openFrozen(t, sample) })
	}
}

// drawFrozen makes a sample.
func drawFrozen(t *testing.T, dir string) {
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.Empty(t, segmentFiles(t, dir), "a frozen sample is never drawn anew")
	s, err := Open(Options{Dir: dir, Key: testKey, SegmentSize: 6000})
	require.NoError(t, err)
	var records []frozenRecord
	for i, size := range []int{1, 48, 49, 4096, 700, 5000, 3} {
		r := frozenRecord{Owner: frozenOwners[i%3], Off: int64(i)*MaxRecord - int64(i), Size: size}
		p := content(uint64(i), size)
		sum := sha256.Sum256(p)
		r.SHA256 = hex.EncodeToString(sum[:])
		r.Extents, err = s.Append(r.Owner, r.Off, p)
		require.NoError(t, err)
		r.Row = hex.EncodeToString(EncodeExtents(r.Extents))
		records = append(records, r)
	}
	require.NoError(t, s.Close())
	b, err := json.MarshalIndent(records, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "records.json"), b, 0o644))
}

// openFrozen reads a sample in every way.
func openFrozen(t *testing.T, sample string) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(sample)))
	b, err := os.ReadFile(filepath.Join(dir, "records.json"))
	require.NoError(t, err)
	var records []frozenRecord
	require.NoError(t, json.Unmarshal(b, &records))
	s, err := Open(Options{Dir: dir, Key: testKey})
	require.NoError(t, err)
	byPlace := map[int64]frozenRecord{}
	for _, r := range records {
		r.Owner = frozenOwners[len(byPlace)%3] // JSON can't hold its name
		byPlace[r.Off] = r
		s.Retain(r.Extents...)
	}
	s.Started()
	require.Equal(t, len(segmentFiles(t, sample)), settle(s).Segments)
	for _, r := range records {
		p := readBack(t, s, r.Extents)
		sum := sha256.Sum256(p)
		require.Equal(t, r.SHA256, hex.EncodeToString(sum[:]))
		require.Len(t, p, r.Size)
		require.NoError(t, s.Verify(context.Background(), r.Extents...))
		row, err := hex.DecodeString(r.Row)
		require.NoError(t, err)
		es, err := DecodeExtents(row)
		require.NoError(t, err)
		require.Equal(t, r.Extents, es)
	}
	require.NoError(t, s.Close())
	n := 0
	require.NoError(t, Salvage(dir, testKey, func(o Owner, off int64, data []byte) error {
		for _, r := range byPlace {
			if off >= r.Off && off < r.Off+int64(r.Size) {
				require.Equal(t, r.Owner, o)
			}
		}
		n += len(data)
		return nil
	}))
	require.Equal(t, 1+48+49+4096+700+5000+3, n)
}

// FORMAT.md, followed by hand: no function of the package takes part.
func TestFormatDocument(t *testing.T) {
	names, err := filepath.Glob("testdata/v1/*.seg")
	require.NoError(t, err)
	b, err := os.ReadFile(names[0])
	require.NoError(t, err)
	gcm := func(key []byte) cipher.AEAD {
		block, err := aes.NewCipher(key)
		require.NoError(t, err)
		g, err := cipher.NewGCM(block)
		require.NoError(t, err)
		return g
	}
	kek := make([]byte, 32)
	blake3.DeriveKey("megadisk writeback/staging segment key wrap v1", testKey[:], kek)
	require.Equal(t, "MDSTAGE\n\x00\x01\x00\x00\x00\x00\x00\x00", string(b[:16]))
	require.Equal(t, strings.TrimSuffix(filepath.Base(names[0]), ".seg"), hex.EncodeToString(b[16:24]))
	key, err := gcm(kek).Open(nil, b[24:36], b[36:84], b[:24])
	require.NoError(t, err)
	require.Equal(t, make([]byte, 44), b[84:128])

	g, pos, total := gcm(key), uint64(128), 0
	for pos < uint64(len(b)) {
		nonce := func(box byte) []byte {
			return binary.BigEndian.AppendUint64([]byte{0, 0, 0, box}, pos)
		}
		rec := b[pos:]
		head, err := g.Open(nil, nonce(1), rec[:48], nil)
		require.NoError(t, err)
		require.Equal(t, []byte{1, 0}, head[:2])
		n, m := uint64(binary.BigEndian.Uint16(head[2:])), uint64(binary.BigEndian.Uint32(head[4:]))
		owner, err := g.Open(nil, nonce(2), rec[48:48+n+16], nil)
		require.NoError(t, err)
		data, err := g.Open(nil, nonce(3), rec[64+n:64+n+m+16], nil)
		require.NoError(t, err)
		if pos == 128 {
			require.Equal(t, uint64(16), binary.BigEndian.Uint64(head[8:]))
			require.Equal(t, uint64(0), binary.BigEndian.Uint64(head[16:]))
			require.Equal(t, "\x00\x15/Thesis/chapter 1.tex\x00\x08AbCdEfGh", strings.TrimRight(string(owner), "\x00"))
			require.Equal(t, content(0, 1), data)
		}
		total++
		pos += 80 + n + m
		require.Zero(t, pos%64)
	}
	require.Equal(t, uint64(len(b)), pos)
	require.Positive(t, total)
}

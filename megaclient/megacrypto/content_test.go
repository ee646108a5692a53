package megacrypto_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	mc "megadisk/megaclient/megacrypto"
)

func TestChunkVectors(t *testing.T) {
	type vector struct {
		Size   int64
		Count  int
		Chunks [][2]int64 `json:"chunks_offset_length"`
	}
	for _, v := range loadVectors[vector](t, "chunks") {
		require.Equal(t, v.Count, mc.ChunkCount(v.Size), v.Size)
		for i, c := range v.Chunks {
			start, end := mc.ChunkBounds(i, v.Size)
			require.Equal(t, c, [2]int64{start, end - start})
			require.Equal(t, i, mc.ChunkIndex(start))
			require.Equal(t, i, mc.ChunkIndex(end-1))
		}
	}
}

func TestChunksCoverFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, 1<<44).Draw(t, "size")
		n := mc.ChunkCount(size)
		if n == 0 {
			require.Zero(t, size)
			return
		}
		i := rapid.IntRange(0, n-1).Draw(t, "chunk")
		start, end := mc.ChunkBounds(i, size)
		require.Less(t, start, end)
		require.LessOrEqual(t, end-start, int64(1<<20))
		require.Equal(t, i == n-1, end == size)
		if i > 0 {
			_, before := mc.ChunkBounds(i-1, size)
			require.Equal(t, before, start)
		} else {
			require.Zero(t, start)
		}
		behind, end := mc.ChunkBounds(n, size)
		require.Equal(t, [2]int64{size, size}, [2]int64{behind, end})
	})
}

func TestCTRVectors(t *testing.T) {
	type vector struct {
		AES    string `json:"aes_hex"`
		Nonce  string `json:"nonce_hex"`
		Offset int64
		Stream string `json:"keystream_48_bytes_hex"`
	}
	for _, v := range loadVectors[vector](t, "ctr") {
		want := unhex(t, v.Stream)
		c := mc.NewCipher(fileKey(t, v.AES, v.Nonce))
		got := make([]byte, len(want))
		c.XORKeyStreamAt(got, got, v.Offset)
		require.Equal(t, want, got, v.Offset)
		for skip := range want { // any offset, any length
			part := make([]byte, len(want)-skip)
			c.XORKeyStreamAt(part, part, v.Offset+int64(skip))
			require.Equal(t, want[skip:], part)
		}
		long := make([]byte, 4096) // the other path of the code
		c.XORKeyStreamAt(long, long, v.Offset)
		require.Equal(t, want, long[:len(want)])
	}
}

func TestCTRPiecesMakeTheWhole(t *testing.T) {
	c := mc.NewCipher(mc.NewFileKey())
	plain := pattern(10000)
	whole := make([]byte, len(plain))
	c.XORKeyStreamAt(whole, plain, 0)
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.IntRange(0, len(plain)).Draw(t, "off")
		n := rapid.IntRange(0, len(plain)-off).Draw(t, "n")
		piece := bytes.Clone(plain[off : off+n])
		c.XORKeyStreamAt(piece, piece, int64(off))
		require.True(t, bytes.Equal(whole[off:off+n], piece))
	})
}

// At any place of a file, in place or not, aligned or not, what the assembly does is what the library's way does.
func TestCTRIsThePortableOne(t *testing.T) {
	c := mc.NewCipher(mc.NewFileKey())
	content := noise(3, 5000)
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.SampledFrom([]int64{0, 16 << 8, 16 << 16, 16 << 32, 16 << 40, 1 << 62}).Draw(t, "place")
		off += rapid.Int64Range(0, 2000).Draw(t, "off") - min(off, 1000)
		src := content[rapid.IntRange(0, 64).Draw(t, "from"):rapid.IntRange(64, len(content)).Draw(t, "to")]
		want := make([]byte, len(src))
		c.Portable().XORKeyStreamAt(want, src, off)
		got := bytes.Clone(src)
		c.XORKeyStreamAt(got, got, off)
		require.True(t, bytes.Equal(want, got), "in place")
		room := make([]byte, len(src)+40)
		at := rapid.IntRange(1, 40).Draw(t, "at")
		c.XORKeyStreamAt(room[at:at+len(src)], src, off)
		require.True(t, bytes.Equal(want, room[at:at+len(src)]), "apart")
		require.Equal(t, make([]byte, 40), append(room[:at:at], room[at+len(src):]...), "nothing beside it is touched")
	})
}

type macVector struct {
	AES        string `json:"aes_hex"`
	Nonce      string `json:"nonce_hex"`
	Size       int64
	CipherHash string `json:"cipher_sha256"`
	MAC        string `json:"meta_mac_hex"`
	Packed     string `json:"packed_node_key_hex"`
	Others     map[string]struct {
		MAC string `json:"meta_mac_hex"`
	} `json:"disagreeing_clients"`
}

func chunkMACs(c *mc.Cipher, plain []byte) []mc.ChunkMAC {
	var macs []mc.ChunkMAC
	for i := range mc.ChunkCount(int64(len(plain))) {
		start, end := mc.ChunkBounds(i, int64(len(plain)))
		macs = append(macs, c.ChunkMAC(plain[start:end]))
	}
	return macs
}

func TestMACVectors(t *testing.T) {
	extra := 0
	for _, v := range loadVectors[macVector](t, "mac") {
		k := fileKey(t, v.AES, v.Nonce)
		c := mc.NewCipher(k)
		plain := pattern(v.Size)
		macs := chunkMACs(c, plain)
		k.MAC = c.MetaMAC(macs)
		require.Equal(t, unhex(t, v.MAC), k.MAC[:], v.Size)
		require.Equal(t, unhex(t, v.Packed), k.Pack())

		variant, err := c.CheckMAC(v.Size, macs, k.MAC)
		require.NoError(t, err)
		require.Equal(t, v.Size == 0, variant == mc.MACEmpty)
		require.Equal(t, v.Size != 0, variant == mc.MACExact)
		for client, other := range v.Others {
			variant, err := c.CheckMAC(v.Size, macs, [8]byte(unhex(t, other.MAC)))
			require.NoError(t, err, "%s, %d bytes", client, v.Size)
			if v.Size != 0 {
				require.Equal(t, mc.MACExtraEnd, variant)
				extra++
			}
		}
		c.XORKeyStreamAt(plain, plain, 0)
		hash := sha256.Sum256(plain)
		require.Equal(t, v.CipherHash, hex.EncodeToString(hash[:]))
	}
	require.Positive(t, extra)
}

// The extra chunk is accepted only where megajs makes it.
func TestExtraChunkOnlyOnBorders(t *testing.T) {
	k := mc.NewFileKey()
	c := mc.NewCipher(k)
	nonces := mc.ChunkMAC([16]byte(append(k.Nonce[:], k.Nonce[:]...)))
	for size, accepted := range map[int64]bool{
		131056: false, 131057: true, 131072: true, 131073: false, 393200: false, 393201: true, 393216: true, 393217: false,
		786432: true, 1048576: false, 1: false, 16: false,
	} {
		macs := chunkMACs(c, pattern(size))
		variant, err := c.CheckMAC(size, macs, c.MetaMAC(append(macs, nonces)))
		if accepted {
			require.NoError(t, err, size)
			require.Equal(t, mc.MACExtraEnd, variant)
		} else {
			require.ErrorIs(t, err, mc.ErrMAC, size)
		}
	}
}

func without(macs []mc.ChunkMAC, gaps ...[2]int) []mc.ChunkMAC {
	var kept []mc.ChunkMAC
next:
	for i, m := range macs {
		for _, g := range gaps {
			if i >= g[0] && i < g[1] {
				continue next
			}
		}
		kept = append(kept, m)
	}
	return kept
}

func TestLateGaps(t *testing.T) {
	c := mc.NewCipher(mc.NewFileKey())
	random := rand.New(rand.NewPCG(1, 2))
	macs := make([]mc.ChunkMAC, 200)
	for i := range macs {
		for j := range macs[i] {
			macs[i][j] = byte(random.Uint32())
		}
	}
	size := int64(4718592) + 192<<20
	const n = 200
	for _, v := range []struct {
		n        int // chunks of the file
		gaps     [][2]int
		accepted bool
	}{
		{n, [][2]int{{n - 1, n}}, true},
		{n, [][2]int{{n - 96, n - 32}}, true},
		{n, [][2]int{{n - 96, n - 31}}, false},
		{n, [][2]int{{n - 97, n - 96}}, false},
		{n, [][2]int{{n - 40, n - 24}, {n - 16, n}}, true},
		{n, [][2]int{{n - 40, n - 23}, {n - 16, n}}, false},
		{n, [][2]int{{n - 41, n - 40}, {n - 1, n}}, false},
		{n, [][2]int{{n - 3, n - 2}, {n - 1, n}}, true},
		{3, [][2]int{{0, 1}, {2, 3}}, true},
		{2, [][2]int{{0, 1}}, true},
		{2, [][2]int{{0, 2}}, false}, // nothing would be left
		{1, [][2]int{{0, 1}}, false},
	} {
		fileSize := size
		if v.n < n {
			_, fileSize = mc.ChunkBounds(v.n-1, size)
			fileSize -= 100 // not on a border
		}
		require.Equal(t, v.n, mc.ChunkCount(fileSize))
		all := macs[:v.n]
		variant, err := c.CheckMAC(fileSize, all, c.MetaMAC(without(all, v.gaps...)))
		if v.accepted {
			require.NoError(t, err, v.gaps)
			require.Equal(t, mc.MACLateGaps, variant)
		} else {
			require.ErrorIs(t, err, mc.ErrMAC, v.gaps)
			require.Equal(t, mc.MACUnmatched, variant)
		}
	}
	_, err := c.CheckMAC(size, macs[:n-1], c.MetaMAC(macs[:n-1]))
	require.ErrorIs(t, err, mc.ErrMAC)
}

func TestMACWriterTakesAnySplit(t *testing.T) {
	c := mc.NewCipher(mc.NewFileKey())
	plain := pattern(5000)
	w := c.NewMAC()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, len(plain)).Draw(t, "size")
		w.Reset()
		for rest := plain[:size]; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			wrote, err := w.Write(rest[:n])
			require.NoError(t, err)
			require.Equal(t, n, wrote)
			rest = rest[n:]
			require.Equal(t, c.ChunkMAC(plain[:size-len(rest)]), w.Sum())
		}
		require.Equal(t, c.ChunkMAC(plain[:size]), w.Sum())
	})
}

func TestUploadChecksumVectors(t *testing.T) {
	type vector struct {
		AES   string `json:"aes_hex"`
		Nonce string `json:"nonce_hex"`
		Start int64  `json:"piece_start"`
		End   int64  `json:"piece_end"`
		Hash  string `json:"piece_cipher_sha256"`
		URL   string `json:"url_suffix"`
	}
	for _, v := range loadVectors[vector](t, "upload_checksum") {
		piece := pattern(v.End)[v.Start:]
		mc.NewCipher(fileKey(t, v.AES, v.Nonce)).XORKeyStreamAt(piece, piece, v.Start)
		hash := sha256.Sum256(piece)
		require.Equal(t, v.Hash, hex.EncodeToString(hash[:]))
		require.Equal(t, v.URL, fmt.Sprintf("/%d?d=%s", v.Start, mc.UploadChecksum(piece)))
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	c := mc.NewCipher(mc.NewFileKey())
	buf := make([]byte, 4096)
	w := c.NewMAC()
	require.Zero(t, testing.AllocsPerRun(100, func() { c.ChunkMAC(buf) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = w.Write(buf[:1001]) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { c.XORKeyStreamAt(buf[:200], buf[:200], 7) }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { c.XORKeyStreamAt(buf, buf, 7) }), 1.0)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { mc.UploadChecksum(buf) }), 1.0)
}

func BenchmarkContent(b *testing.B) {
	c := mc.NewCipher(mc.NewFileKey())
	buf := make([]byte, 1<<20)
	for name, work := range map[string]func(){
		"CTR":      func() { c.XORKeyStreamAt(buf, buf, 1<<30) },
		"MAC":      func() { c.ChunkMAC(buf) },
		"Checksum": func() { mc.UploadChecksum(buf) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				work()
			}
		})
	}
	b.Run("CheckMAC mismatch", func(b *testing.B) {
		macs := make([]mc.ChunkMAC, mc.ChunkCount(1<<30))
		for b.Loop() {
			_, err := c.CheckMAC(1<<30, macs, [8]byte{1})
			if err == nil || !strings.Contains(err.Error(), "MAC") {
				b.Fatal(err)
			}
		}
	})
}

package writeback

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/writeback/tree"
)

// The state of journal version 1, as it was written by the last program of that version, and never changed since:
// small files, large ones of which a frozen generation is half uploaded, one of which the extents are spread over
// rows. WRITEBACK_SAMPLE_STATE=file makes one of the present version.
const frozenState1 = "testdata/state-v1.tar.gz"

const sampleSize = 5 << 20 // large enough for an upload's progress to be kept

// sampleWrites are the places of the bytes in a large file; the rest is zeros.
func sampleWrites(i int) (offs []int64) {
	if i == 0 {
		for k := range int64(300) {
			offs = append(offs, k*16<<10) // more than one row's worth of extents
		}
		return offs
	}
	return []int64{0, 100_000, int64(i) * 1_000_000, sampleSize - 10}
}

func sampleLarge(i int) []byte {
	p := make([]byte, sampleSize)
	for _, off := range sampleWrites(i) {
		copy(p[off:], fmt.Sprintf("large%d %d.", i, i))
	}
	return p
}

func frozenStateOptions(o *Options) {
	settleNever(o)
	o.StateKey = sampleState
}

func makeSampleState(t *testing.T, to string) {
	r := newRig(t, frozenStateOptions)
	r.mkdir("folder")
	r.write("folder/small", "small and pending")
	for i := range 4 {
		f := r.create(fmt.Sprint("large", i))
		for _, off := range sampleWrites(i) {
			_, err := f.WriteAt(r.ctx, fmt.Appendf(nil, "large%d %d.", i, i), off)
			require.NoError(t, err)
		}
		size := int64(sampleSize)
		_, err := r.engine.SetAttr(r.ctx, f.Ino(), Attr{Size: &size})
		require.NoError(t, err)
		require.NoError(t, f.Flush(r.ctx))
		g, err := r.engine.freeze(r.ctx, f.st)
		require.NoError(t, err)
		g.State.Key = sampleFileKey(i)
		g.State.URL, g.State.URLTime = "https://storage/ul/x", 1_700_000_000
		g.State.Chunks = []megaclient.UploadedChunk{{Index: i, MAC: megacrypto.ChunkMAC{5}}}
		require.NoError(t, r.engine.storeGeneration(r.ctx, g))
		f.Release()
	}
	r.stop()
	require.NoError(t, os.Remove(filepath.Join(r.dir, stateKeyFile))) // wrapped for an account that isn't any more
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	require.NoError(t, err)
	w := tar.NewWriter(z)
	require.NoError(t, w.AddFS(os.DirFS(r.dir)))
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(to, buf.Bytes(), 0o644))
}

func sampleFileKey(i int) megacrypto.FileKey {
	return megacrypto.FileKey{Key: sampleMaster, Nonce: [8]byte{byte(i), 9}}
}

// unpackState makes a state folder of the sample, in the place of the rig's.
func (r *rig) unpackState() {
	r.Helper()
	key, err := os.ReadFile(filepath.Join(r.dir, stateKeyFile))
	require.NoError(r, err)
	r.dir = r.TempDir()
	out, err := exec.Command("tar", "xzf", frozenState1, "-C", r.dir).CombinedOutput()
	require.NoError(r, err, "%s", out)
	require.NoError(r, os.WriteFile(filepath.Join(r.dir, stateKeyFile), key, 0o600))
}

// requireSampleState checks that nothing of the sample is lost, and that all is of the present version.
func (r *rig) requireSampleState() {
	r.Helper()
	require.Equal(r, "small and pending", r.read("folder/small"))
	for i := range 4 {
		name := fmt.Sprint("large", i)
		require.True(r, string(sampleLarge(i)) == r.read(name), name)
		g := r.engine.queue.generation(r.ino(name))
		require.NotNil(r, g, name)
		require.True(r, g.restored)
		require.Equal(r, i == 0, g.Spread)
		require.Equal(r, sampleFileKey(i), g.State.Key)
		require.Equal(r, []megaclient.UploadedChunk{{Index: i, MAC: megacrypto.ChunkMAC{5}}}, g.State.Chunks)
		require.NoError(r, r.engine.verifyRestored(r.ctx, g), "its upload may go on")
		require.NotZero(r, g.m.Len())
	}
	rows := 0
	require.NoError(r, r.engine.tree.View(func(tx *tree.Tx) error {
		return scanRows(tx.Badger(), []byte{rowPrefix, rowGeneration}, func(_, raw []byte) error {
			rows++
			require.EqualValues(r, journalVersion, raw[0])
			return nil
		})
	}))
	require.Equal(r, 4, rows)
	version, err := r.engine.readJournalVersion()
	require.NoError(r, err)
	require.Equal(r, journalVersion, version)
}

// WRITEBACK_SAMPLE_STATE=file makes a sample of the present version.
func TestJournalOfVersion1IsMigrated(t *testing.T) {
	if to := os.Getenv("WRITEBACK_SAMPLE_STATE"); to != "" {
		makeSampleState(t, to)
	}
	r := newRig(t, frozenStateOptions)
	r.stop()
	r.unpackState()
	r.open()
	r.requireSampleState()
	r.crash()
	r.open()
	r.requireSampleState()
}

// dying is a context that ends when it has been asked so many times: once before each transaction.
type dying struct {
	context.Context
	left int
}

func (d *dying) Err() error {
	if d.left--; d.left < 0 {
		return context.Canceled
	}
	return nil
}

// A migration that ends between any two of its transactions is begun anew, and nothing is done twice or lost.
func TestMigrationGoesOnAfterItsDeath(t *testing.T) {
	defer func(n int) { migrateBytes = n }(migrateBytes)
	migrateBytes = 1 // a transaction for each row
	r := newRig(t, frozenStateOptions)
	r.stop()
	r.unpackState()
	deaths := 0
	for died := true; died; deaths++ {
		require.Less(t, deaths, 20)
		r.openClient()
		o := r.engineOptions()
		var err error
		r.engine, err = Open(&dying{r.ctx, 1 + deaths/2}, o)
		if died = err != nil; died {
			require.ErrorIs(t, err, context.Canceled)
			r.closeRest()
		}
	}
	require.GreaterOrEqual(t, deaths, 5)
	r.requireSampleState()
}

// A journal of a version to come is refused in one sentence, and left alone.
func TestJournalOfANewerVersionIsRefused(t *testing.T) {
	r := newRig(t, settleNever)
	r.write("a", "pending")
	require.NoError(t, r.engine.storeJournalVersion(r.ctx, journalVersion+1))
	r.stop()
	r.openClient()
	_, err := Open(r.ctx, r.engineOptions())
	var newer *tree.NewerError
	require.ErrorAs(t, err, &newer)
	require.Equal(t, tree.NewerError{Have: journalVersion + 1, Known: journalVersion}, *newer)
	r.closeRest()
}

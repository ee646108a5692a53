package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// A program that looks at a few bytes of a large file moves few: one request for the URL, then what it needs.
// MEGADISK_LONG=1 makes it 5 GiB.
func TestAFewBytesOfALargeFile(t *testing.T) {
	size := int64(48 << 20)
	if os.Getenv("MEGADISK_LONG") == "1" {
		size = 5 << 30
	}
	p, account := program.WithAccount(t)
	needs.FUSE(t)
	for _, name := range []string{"head", "tail", "middle"} {
		account.Put(megatest.PutSpec{Parent: account.Root(), Name: name, Size: size, Mtime: time.Now()})
	}
	p.Login()
	p.Mount()
	for name, off := range map[string]int64{"head": 0, "tail": size - 1, "middle": size/2 + 12345} {
		before := p.Server.Stats()
		f, err := os.Open(filepath.Join(p.Point, name))
		require.NoError(t, err)
		one, want := make([]byte, 1), make([]byte, 1)
		_, err = f.ReadAt(one, off)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		megatest.SyntheticAt(want, off)
		require.Equal(t, want, one, name)
		st := p.Server.Stats()
		require.Equal(t, before.Commands["g"]+1, st.Commands["g"], name)
		require.Less(t, st.BytesDown-before.BytesDown, int64(600<<10), name) // the kernel asks for 512 KiB as root
	}
}

// A folder of small files is recognised: their URLs come many at a time, and each file is fetched once.
func TestCopyOfAFolderOfSmallFiles(t *testing.T) {
	const files = 300
	p, account := program.WithAccount(t)
	needs.FUSE(t)
	dir := account.Mkdir(account.Root(), "dir")
	sum := sha256.New()
	for i := range files {
		content := noise(8<<10, uint64(i))
		_, _ = sum.Write(content)
		account.PutFile(dir, fmt.Sprintf("%03d", i), content, time.Now())
	}
	p.Login()
	p.Mount()
	p.Server.Faults().SetLatency(20 * time.Millisecond)
	before := p.Server.Stats()
	out := filepath.Join(t.TempDir(), "out")
	got := p.Shell("cp -r dir '" + out + "' && cat '" + out + "'/* | sha256sum")
	require.Equal(t, hex.EncodeToString(sum.Sum(nil)), strings.Fields(got)[0])
	st := p.Server.Stats()
	t.Logf("%d requests to the command server", st.Batches-before.Batches)
	require.Less(t, st.Batches-before.Batches, files/2)
	require.Less(t, st.BytesDown-before.BytesDown, int64(files*8<<10+files*8<<10/10))
}

// The first KiB of large files, by which file managers tell what they are, come ahead when a program goes through a
// folder: then not each file asks for an address of its own.
func TestKindsOfLargeFiles(t *testing.T) {
	const files = 80
	p, account := program.WithAccount(t)
	needs.FUSE(t)
	putSynthetic(account, files, 2<<20)
	p.Login()
	p.Mount()
	p.Server.Faults().SetLatency(20 * time.Millisecond)
	entries, err := os.ReadDir(p.Point)
	require.NoError(t, err)
	require.Len(t, entries, files)
	got, want := make([]byte, 4096), make([]byte, 4096)
	megatest.SyntheticAt(want, 0)
	before := p.Server.Stats()
	for _, e := range entries {
		f, err := os.Open(filepath.Join(p.Point, e.Name()))
		require.NoError(t, err)
		_, err = io.ReadFull(f, got)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, want, got, e.Name())
	}
	st := p.Server.Stats()
	t.Logf("%d requests to the command server, %d KiB", st.Batches-before.Batches, (st.BytesDown-before.BytesDown)>>10)
	require.Less(t, st.Batches-before.Batches, files*3/4)
}

// With -o metered nothing is fetched that nobody has asked for.
func TestMetered(t *testing.T) {
	p, account := impatient(t, "-o", "metered")
	account.PutFile(account.Root(), "film", noise(48<<20, 1), time.Now())
	f, err := os.Open(await(t, p, "film"))
	require.NoError(t, err)
	defer f.Close()
	_, err = io.ReadFull(f, make([]byte, 8<<20))
	require.NoError(t, err)
	require.Less(t, p.Server.Stats().BytesDown, int64(15<<20), "the kernel's own read-ahead is all")
}

// putSynthetic puts n files of a size, named by their numbers, into the drive; a quarter of them is spread over six URLs.
func putSynthetic(account *megatest.Account, n int, size int64) {
	for i := range n {
		account.Put(megatest.PutSpec{Parent: account.Root(), Name: fmt.Sprint(i), Size: size, Mtime: time.Now(), RAID: i%4 == 0})
	}
}

// Twenty programs read at once, within the memory that was promised.
func TestTwentyStreams(t *testing.T) {
	const streams, size = 20, 12 << 20
	p, account := program.WithAccount(t)
	needs.FUSE(t)
	putSynthetic(account, streams, size)
	p.Login()
	p.Mount()
	var group sync.WaitGroup
	for i := range streams {
		group.Go(func() {
			f, err := os.Open(filepath.Join(p.Point, fmt.Sprint(i)))
			if !requireNone(t, err) {
				return
			}
			defer f.Close()
			got, want := make([]byte, 1<<20), make([]byte, 1<<20)
			for off := int64(0); off < size; off += int64(len(got)) {
				_, err := io.ReadFull(f, got)
				megatest.SyntheticAt(want, off)
				if !requireNone(t, err) || string(got) != string(want) {
					t.Errorf("stream %d at %d is wrong", i, off)
					return
				}
			}
		})
	}
	group.Wait()
	require.Less(t, peakMemory(t, p.Statuses()[0].PID), int64(300<<20))
}

func requireNone(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

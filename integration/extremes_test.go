package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestAFileOf200GB: a file far larger than any disk here has its size, and its bytes at any offset, for many readers
// and through many handles at once.
func TestAFileOf200GB(t *testing.T) {
	needs.FUSE(t)
	const size, readers, handles = 200_000_000_000, 200, 1000
	p, account := program.WithAccount(t, megatest.Quota(1<<40))
	account.Put(megatest.PutSpec{Parent: account.Root(), Name: "huge", Size: size, Mtime: time.Now(), WrongMAC: true}) // nobody reads it whole
	p.Login()
	p.Mount()
	path := filepath.Join(p.Point, "huge")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, size, info.Size())

	var g errgroup.Group
	for i := range readers {
		g.Go(func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			got, want := make([]byte, 4096), make([]byte, 4096)
			off := int64(i+1)*(size/(readers+1)) + int64(i)
			if _, err := f.ReadAt(got, off); err != nil {
				return err
			}
			megatest.SyntheticAt(want, off)
			if string(got) != string(want) {
				return fmt.Errorf("wrong bytes at %d", off)
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())

	open := make([]*os.File, handles)
	for i := range open {
		open[i], err = os.Open(path)
		require.NoError(t, err)
		defer open[i].Close()
	}
	last := make([]byte, 10)
	_, err = open[handles-1].ReadAt(last, size-int64(len(last)))
	require.NoError(t, err)
	want := make([]byte, len(last))
	megatest.SyntheticAt(want, size-int64(len(last)))
	require.Equal(t, want, last)
}

// TestNamesOfEveryLength goes through a mount into the cloud, and the longest are refused.
func TestNamesOfEveryLength(t *testing.T) {
	p, account := mountedProgram(t)
	for n := 1; n <= 255; n++ {
		require.NoError(t, os.Mkdir(filepath.Join(p.Point, strings.Repeat("n", n)), 0o755), n)
	}
	for _, name := range []string{strings.Repeat("ä", 127), strings.Repeat("😀", 63), "e\u0301", "\u00e9", "世界", " ", "...", "a\nb"} {
		require.NoError(t, os.Mkdir(filepath.Join(p.Point, name), 0o755), name)
	}
	require.Error(t, os.Mkdir(filepath.Join(p.Point, strings.Repeat("n", 256)), 0o755))
	require.Error(t, os.Mkdir(filepath.Join(p.Point, strings.Repeat("ä", 128)), 0o755))
	p.Run("flush")
	tree := account.Tree()
	require.Len(t, tree, 255+8)
	for _, name := range []string{strings.Repeat("n", 255), strings.Repeat("😀", 63), "e\u0301", "\u00e9", "a\nb"} {
		require.Contains(t, tree, name)
	}
}

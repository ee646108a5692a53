package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestALargeTreeIsShownWhileItComes: a first mount of a large account is there before the fetch has ended. What has come
// is listed; what has not come yet is waited for.
func TestALargeTreeIsShownWhileItComes(t *testing.T) {
	needs.FUSE(t)
	const dirs, files = 100, 150
	p, account := program.WithAccount(t)
	account.Seed(func(seed *megatest.Seeder) {
		for d := range dirs {
			dir := seed.Mkdir(account.Root(), fmt.Sprint("dir", d))
			for f := range files {
				seed.File(dir, fmt.Sprint("file", f), 10, megatestTime)
			}
		}
	})
	p.Login()
	release := p.Server.Faults().HoldTree((dirs - 10) * files)
	defer release()
	p.Run("mount", p.Point)

	list, err := os.ReadDir(p.Point)
	require.NoError(t, err)
	require.NotEmpty(t, list)
	require.Less(t, len(list), dirs, "the rest is held")
	found, err := os.ReadDir(filepath.Join(p.Point, "dir0"))
	require.NoError(t, err)
	require.Len(t, found, files)
	last := make(chan error, 1)
	go func() {
		_, err := os.Lstat(filepath.Join(p.Point, fmt.Sprint("dir", dirs-1), "file0"))
		last <- err
	}()
	release()
	require.NoError(t, <-last, "asked for before it came")
	list, err = os.ReadDir(p.Point)
	require.NoError(t, err)
	require.Len(t, list, dirs)
}

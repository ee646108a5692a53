package megatest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

func TestSeed(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	before := s.Stats()
	const files = 500
	a.Seed(func(seed *megatest.Seeder) {
		dir := seed.Mkdir(a.Root(), "seeded")
		for i := range files {
			seed.File(dir, fmt.Sprint("file", i), int64(i), zero)
		}
	})
	require.Equal(t, before.Commands, s.Stats().Commands)
	tree := a.Tree()
	require.Len(t, tree, files+1)
	require.EqualValues(t, files*(files-1)/2, a.Used())
	want := make([]byte, 77)
	megatest.SyntheticAt(want, 0)
	require.Equal(t, want, a.ReadFile(tree["seeded/file77"].Handle), "decrypted, and its MAC is right")
	a.Rename(tree["seeded/file77"].Handle, "renamed")
	a.Remove(tree["seeded/file78"].Handle)
	require.Contains(t, a.Tree(), "seeded/renamed")
	require.NotContains(t, a.Tree(), "seeded/file78")
}

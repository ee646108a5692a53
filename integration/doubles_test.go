package integration

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/harness"
)

// Of two files of one name the younger is shown with its handle, under a name that nobody else has: when that becomes
// free, the kernel hears of it, though it has listed and looked up all of them.
func TestDoublesThroughTheKernel(t *testing.T) {
	h := harness.New(t)
	root := h.Account.Root()
	h.Account.PutFile(root, "b", []byte("one"), megatestTime)
	h.Account.PutFile(root, "b", []byte("two"), megatestTime)
	list := func() (names []string) {
		entries, err := os.ReadDir(h.Dir)
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	require.Eventually(t, func() bool { return len(list()) == 2 }, bounded, 5*time.Millisecond)
	double := list()[1]
	taken := h.Account.PutFile(root, double, []byte("real"), megatestTime)
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(h.Path(double))
		return err == nil && string(content) == "real"
	}, bounded, 5*time.Millisecond)
	for range 3 { // from the third time on the kernel has the listing
		require.Len(t, list(), 3)
	}
	second := list()[slices.IndexFunc(list(), func(name string) bool { return name != "b" && name != double })]
	content, err := os.ReadFile(h.Path(second))
	require.NoError(t, err)

	h.Account.Remove(taken)
	require.Eventually(t, func() bool { return slices.Equal(list(), []string{"b", double}) }, bounded, 5*time.Millisecond)
	again, err := os.ReadFile(h.Path(double))
	require.NoError(t, err)
	require.Equal(t, content, again)
	_, err = os.Stat(h.Path(second))
	require.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, os.Rename(h.Path(double), h.Path("c"))) // it acts on that node
	require.NoError(t, os.WriteFile(h.Path("b"), []byte("new"), 0o600))
	h.Drain()
	require.Equal(t, string(content), string(h.Account.ReadFile(h.Account.Find("c"))))
	require.Equal(t, "new", string(h.Account.ReadFile(h.Account.Find("b"))))
}

package serve

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Copies that are made side by side leave the process its mask: without one, what is copied is everybody's to write.
func TestUmaskSideBySide(t *testing.T) {
	before := unix.Umask(0o27)
	defer unix.Umask(before)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10_000 {
				Umask()
			}
		})
	}
	all.Wait()
	left := unix.Umask(0o27)
	require.Equal(t, 0o27, left)
}

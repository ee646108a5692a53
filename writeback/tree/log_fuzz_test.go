package tree

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever stands in a log: what is to be kept and what is cut off are in it, and cutting it leaves nothing to be cut.
func FuzzLog(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) <= logHeader {
			return
		}
		end, rest := walkLog(raw)
		require.GreaterOrEqual(t, end, logHeader)
		require.LessOrEqual(t, end+rest, len(raw))
		_ = checkEnd(raw, make([]byte, 32))
		if rest > 0 {
			again, rest := walkLog(raw[:end])
			require.Equal(t, end, again)
			require.Zero(t, rest)
		}
	})
}

// Whatever stands in the file of keys, it is right or it isn't.
func FuzzRegistry(f *testing.F) {
	path := filepath.Join(f.TempDir(), "KEYREGISTRY")
	f.Fuzz(func(t *testing.T, raw []byte) {
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		if checkRegistry(path) == nil {
			require.GreaterOrEqual(t, len(raw), 28)
		}
	})
}

package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was written after the content was frozen that somebody has made too isn't what the cloud has.
func TestLaterContentIsNotAdopted(t *testing.T) {
	for name, closed := range map[string]bool{"closed": true, "being written": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, settleNever)
			r.write("a", "same")
			ino := r.ino("a")
			r.account.PutFile(r.account.Root(), "a", []byte("same"), time.Time{})
			r.caughtUp()
			g, err := r.engine.frozen(r.ctx, ino)
			require.NoError(t, err)
			require.NotNil(t, g)

			f, err := r.engine.Open(r.ctx, ino, true, false)
			require.NoError(t, err)
			_, err = f.WriteAt(r.ctx, []byte("next"), 0)
			require.NoError(t, err)
			if closed {
				require.NoError(t, f.Flush(r.ctx))
			}
			adopted, err := r.engine.adoptSame(r.ctx, ino)
			require.NoError(t, err)
			require.False(t, adopted)
			f.Release()

			r.flush()
			r.caughtUp()
			contents := map[string]int{}
			for _, content := range r.cloud() {
				contents[content]++
			}
			require.Equal(t, 1, contents["next"])
			require.Contains(t, contents, "same")
		})
	}
}

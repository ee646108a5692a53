package writeback

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A folder is removed while what is in it is on its way up, with a kernel that has forgotten nothing yet. Whatever
// rows that leaves behind, the next start opens the state.
func TestReopenAfterRemovingWhatIsBeingUploaded(t *testing.T) {
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			r := newRig(t, nil)
			r.engine.Attach("a kernel that forgets nothing")
			for range 3 {
				r.mkdir("d")
				for i := range 10 {
					r.mkdir(fmt.Sprintf("d/e%d", i))
					for j := range 10 {
						r.write(fmt.Sprintf("d/e%d/f%d", i, j), "x")
					}
				}
				before := r.sent("p")
				r.eventually(func() bool { return r.sent("p") > before+2*round }) // some are under way, some are there
				for i := range 10 {
					for j := range 10 {
						r.unlink(fmt.Sprintf("d/e%d/f%d", i, j))
					}
					r.rmdir(fmt.Sprintf("d/e%d", i))
				}
				r.rmdir("d")
			}
			r.flush()
			r.caughtUp()
			require.Empty(t, r.cloud())
			r.stop()
			r.start()
			require.Empty(t, r.names(""))
		})
	}
}

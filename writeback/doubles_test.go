package writeback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Of two files of one name the one that gets a new version has it later than the other from then on, and so may be shown
// under another name. Nothing is sent for that: in the cloud both are called as before.
func TestNewVersionOfOneOfTwo(t *testing.T) {
	r := newRig(t, settleNever)
	r.account.PutFile(r.account.Root(), "b", []byte("first"), time.Time{})
	r.account.PutFile(r.account.Root(), "b", []byte("second"), time.Time{})
	r.caughtUp()
	for range 6 { // which one is shown as what is drawn with the handles
		for _, name := range r.names("") {
			r.write(name, "new in "+name)
		}
		r.flush()
		r.caughtUp()
	}
	for _, e := range r.account.TreeBelow(r.account.Root()) {
		require.Equal(t, "b", r.account.Name(e.Handle), r.dump())
	}
	require.Len(t, r.names(""), 2)
	require.Zero(t, r.sent("a"))
}

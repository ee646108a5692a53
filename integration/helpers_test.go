package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// megatestTime is the mtime of what "another client" puts, where a test doesn't care.
var megatestTime = time.Unix(1700000000, 0)

func cloudEntry(e megatest.Entry) string {
	if e.Dir {
		return "dir"
	}
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("%x", e.Hash)
}

// serveHTTP runs a handler that is no MEGA server and returns its address.
func serveHTTP(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// requireEventuallyFile waits for what another client did to reach a mount in another process. That process's
// events can't be seen from here, so this looks again and again.
func requireEventuallyFile(t *testing.T, path, want string) {
	t.Helper()
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(path)
		return err == nil && string(data) == want
	}, bounded, 10*time.Millisecond, "%s does not come", path)
}

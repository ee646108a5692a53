package megaclient

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Long nodes are decrypted a few at a time: many jobs are in memory at once.
func TestFetchJobsAreBounded(t *testing.T) {
	c, err := newClient(Config{}, Session{})
	require.NoError(t, err)
	defer c.Close()
	long := fmt.Sprintf(`{"h":"FILEAAAA","t":0,"a":"%s"}`, strings.Repeat("A", 300_000))
	f := newFetch(c)
	f.work, f.order = make(chan *fetchJob, fetchJobSize), make(chan *fetchJob, fetchJobSize)
	nodes := 0
	for range fetchJobSize {
		require.NoError(t, f.add(t.Context(), []byte(long), false))
	}
	require.NoError(t, f.flush(t.Context()))
	close(f.work)
	for job := range f.work {
		require.LessOrEqual(t, len(job.raw), fetchJobBytes+len(long))
		nodes += len(job.ends)
	}
	require.Equal(t, fetchJobSize, nodes)
}

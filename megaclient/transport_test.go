package megaclient_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
)

// slowLine takes a request's body a little at a time, and then answers [7].
type slowLine struct{ pause time.Duration }

func (l slowLine) RoundTrip(r *http.Request) (*http.Response, error) {
	part := make([]byte, 100)
	for {
		select {
		case <-time.After(l.pause):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		if _, err := r.Body.Read(part); err != nil {
			break
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("[7]"))}, nil
}

// A long request over a slow line is given up when nothing of it gets through any more, however long all of it takes.
func TestSlowSendingIsNoSilence(t *testing.T) {
	for pause, sound := range map[time.Duration]bool{time.Minute: true, 3 * time.Minute: false} {
		synctest.Test(t, func(t *testing.T) {
			c, err := megaclient.NewBare(megaclient.Config{HTTP: &http.Client{Transport: slowLine{pause}}})
			require.NoError(t, err)
			defer c.Close()
			megaclient.SetIdle(c, 2*time.Minute)
			err = c.Ask(t.Context(), map[string]string{"a": "x", "long": strings.Repeat("x", 2000)}, new(int))
			if sound {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, megaclient.ErrUnreachable)
		})
	}
}

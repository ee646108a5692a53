package megatest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bigTree is large enough to show anything that costs more than it should: quadratic work takes minutes.
const bigTree = 30_000

func TestBigAccount(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	var dir string
	start := time.Now()
	for i := range bigTree {
		if i%1000 == 0 {
			dir = a.Mkdir(a.Root(), fmt.Sprint("dir", i))
		}
		a.PutFile(dir, fmt.Sprint("file", i), []byte("x"), zero)
	}
	t.Log("made in", time.Since(start))

	start = time.Now()
	req, err := http.NewRequest("POST", s.URL()+"/cs?id=1"+c.query(), strings.NewReader(`[{"a":"f","c":1,"r":1}]`))
	require.NoError(t, err)
	resp, err := c.http.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.True(t, resp.Uncompressed, "sent compressed")
	var answer []struct{ F []struct{ H, P string } }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	t.Log("fetched in", time.Since(start))
	known := map[string]bool{"": true}
	for _, n := range answer[0].F {
		require.True(t, known[n.P], "parents come first")
		known[n.H] = true
	}
	require.Len(t, answer[0].F, bigTree+bigTree/1000+3)

	start = time.Now()
	for range 2000 { // in a folder of a thousand, in an account of thirty thousand
		h := a.PutFile(dir, "x", []byte("y"), zero)
		a.Rename(h, "y")
		a.Move(h, a.Rubbish())
		a.Remove(h)
	}
	t.Log("8,000 commands in", time.Since(start))
}

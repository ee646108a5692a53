package integration

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// The life of TestDiesAtEachChangeOfItsState, in which one request is lost on its way, or its answer: nobody notices, and all is in
// the cloud once. Which requests are tried is chosen in the same way.

func TestEachRequestIsLost(t *testing.T) { eachRequest(t, true) }

func TestEachAnswerIsLost(t *testing.T) { eachRequest(t, false) }

func eachRequest(t *testing.T, itself bool) {
	needs.FUSE(t)
	eachOf(t, []int{2, 7, 12, 19, 27, 36}, func(t *testing.T, n int) bool { return withoutRequest(t, itself, n) })
}

// withoutRequest is one such life; false: there are fewer requests.
func withoutRequest(t *testing.T, itself bool, n int) bool {
	p, account := program.WithAccount(t)
	putOldFiles(account)
	server, lost := losing(t, p.Server, itself, n)
	p.Env = append(p.Env, "MEGADISK_API_URL="+server)
	life := lifeOfAMount()
	for _, d := range life {
		require.NoError(t, d.do(p), "%s", lost.Load())
	}
	what := lost.Load()
	if what == nil {
		return false
	}
	t.Log(*what)
	p.Mount()
	sameInCloud(t, p, account, ".")
	require.Equal(t, life[len(life)-1].holds, contents(t, p))
	p.Run("unmount", p.Point)
	require.ElementsMatch(t, []string{"anew\n", "first\n", "last\n", "old", "saved"}, smallOnes(keptContents(account)), "everything once")
	return true
}

// smallOnes leaves out the large file, whose versions can be one or two by when it was sent.
func smallOnes(contents []string) (small []string) {
	for _, c := range contents {
		if len(c) < 100 {
			small = append(small, c)
		}
	}
	return small
}

// losing stands before the server and loses the nth request, or the answer to it. What that was is told.
func losing(t *testing.T, server *megatest.Server, itself bool, n int) (address string, lost *atomic.Pointer[string]) {
	t.Helper()
	to, err := url.Parse(server.URL())
	require.NoError(t, err)
	through := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // of this address are the URLs in answers too
	}}
	lost = &atomic.Pointer[string]{}
	var requests atomic.Int64
	through.ErrorLog = log.New(io.Discard, "", 0)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) != int64(n) {
			through.ServeHTTP(w, r)
			return
		}
		what := r.Method + " " + r.URL.Path
		lost.Store(&what)
		if !itself {
			through.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(front.Close)
	return front.URL, lost
}

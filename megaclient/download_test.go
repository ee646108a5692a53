package megaclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

const downloadSize = 3_000_000

func newDownload(t *testing.T) (*rig, *megaclient.Node, []byte) {
	t.Helper()
	r := newRig(t)
	want := content(downloadSize)
	return r, r.put("file", want), want
}

func TestReadGoesOnAfterCuts(t *testing.T) {
	r, n, want := newDownload(t)
	r.server.Faults().CutDownloads(100_000, 5)
	r.equal(want, r.plainRange(n, 0, downloadSize))
	st := r.server.Stats()
	require.Equal(t, 6, st.Downloads)
	require.Less(t, st.BytesDown, int64(downloadSize+5<<20/2), "what had arrived is not fetched again")
	require.Equal(t, 1, st.Commands["g"])
}

func TestReadGoesOnAfterAStall(t *testing.T) {
	r, n, want := newDownload(t)
	megaclient.SetStall(r.client, 200*time.Millisecond)
	r.server.Faults().StallDownloads(1000, 2)
	r.equal(want, r.plainRange(n, 0, downloadSize))
	down, up := megaclient.Connections(r.client)
	require.Less(t, down, 8, "a stall lowers the connections")
	require.Equal(t, 8, up)
}

func TestReadGivesUpWithoutProgress(t *testing.T) {
	r, n, _ := newDownload(t)
	megaclient.SetStall(r.client, 20*time.Millisecond)
	megaclient.SetGiveUp(r.client, 200*time.Millisecond)
	r.server.Faults().StallDownloads(0, megatest.Always)
	err := r.client.ReadContent(t.Context(), n.Handle, 0, 100, io.Discard)
	require.ErrorIs(t, err, megaclient.ErrUnreachable)
}

// A URL's server that is gone fails one read; the next one asks for another URL, in place of this one for the hour for which it
// would be good.
func TestAServerThatIsGoneFailsOneRead(t *testing.T) {
	r, n, want := newDownload(t)
	megaclient.SetStall(r.client, 20*time.Millisecond)
	megaclient.SetGiveUp(r.client, 100*time.Millisecond)
	r.server.Faults().StallDownloads(0, megatest.Always)
	require.ErrorIs(t, r.client.ReadContent(t.Context(), n.Handle, 0, 100, io.Discard), megaclient.ErrUnreachable)
	require.Equal(t, 1, r.commands("g"))
	r.server.Faults().Clear()
	megaclient.SetStall(r.client, time.Minute)
	megaclient.SetGiveUp(r.client, time.Minute)
	r.equal(want, r.plainRange(n, 0, downloadSize))
	require.Equal(t, 2, r.commands("g"))
}

func TestExpiredURLsAreRenewed(t *testing.T) {
	r, n, want := newDownload(t)
	r.equal(want[:10], r.plainRange(n, 0, 10))
	r.equal(want[5:20], r.plainRange(n, 5, 15))
	require.Equal(t, 1, r.commands("g"), "the URL is used again")
	r.server.Faults().ExpireURLs()
	r.equal(want, r.plainRange(n, 0, downloadSize))
	require.Equal(t, 2, r.commands("g"))
	r.server.Faults().FailHTTP(megatest.Downloads, http.StatusNotFound, 1)
	r.equal(want, r.plainRange(n, 0, downloadSize))
	require.Equal(t, 3, r.commands("g"))
	megaclient.SetURLLife(r.client, 0)
	r.equal(want[:10], r.plainRange(n, 0, 10))
	require.Equal(t, 4, r.commands("g"))
}

func TestURLsThatNeverWork(t *testing.T) {
	r, n, _ := newDownload(t)
	r.server.Faults().FailHTTP(megatest.Downloads, http.StatusForbidden, megatest.Always)
	err := r.client.ReadContent(t.Context(), n.Handle, 0, 100, io.Discard)
	var status *megaclient.StatusError
	require.ErrorAs(t, err, &status)
	require.Equal(t, http.StatusForbidden, status.Status)
	require.LessOrEqual(t, r.commands("g"), 5)
}

func TestParallelReadsShareOneURL(t *testing.T) {
	r, n, want := newDownload(t)
	release := r.server.Faults().Hold("g")
	var group sync.WaitGroup
	for i := range int64(20) {
		group.Go(func() { r.equal(want[i*1000:i*1000+500], r.plainRange(n, i*1000, 500)) })
	}
	require.NoError(t, r.server.Await(t.Context(), func(st megatest.Stats) bool { return st.Held == 1 }))
	release()
	group.Wait()
	require.Equal(t, 1, r.commands("g"))
}

// Whoever was the first to ask for a URL may go away without taking the others along.
func TestAskingForAURLIsNotTiedToTheFirst(t *testing.T) {
	r, n, want := newDownload(t)
	release := r.server.Faults().Hold("g")
	defer release()
	first, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- r.client.ReadContent(first, n.Handle, 0, 10, io.Discard) }()
	require.NoError(t, r.server.Await(t.Context(), func(st megatest.Stats) bool { return st.Held == 1 }))
	second := make(chan []byte, 1)
	go func() { second <- r.plainRange(n, 0, 10) }()
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	release()
	r.equal(want[:10], <-second)
}

func TestTransferQuota(t *testing.T) {
	r, n, want := newDownload(t)
	const left = 90 * time.Second
	var begun time.Time
	check := func(err error) {
		t.Helper()
		var quota *megaclient.OverQuotaError
		require.ErrorAs(t, err, &quota)
		require.ErrorIs(t, err, megaclient.EOVERQUOTA)
		require.LessOrEqual(t, quota.Left, left)
		require.GreaterOrEqual(t, quota.Left, left-time.Since(begun))
	}
	r.equal(want[:10], r.plainRange(n, 0, 10))
	begun = time.Now()
	r.server.Faults().UseUpTransferQuota(left)
	check(r.client.ReadContent(t.Context(), n.Handle, 0, 100, io.Discard)) // status 509
	asked := r.commands("g")
	check(r.client.ReadContent(t.Context(), n.Handle, 0, 100, io.Discard)) // -17 from g
	require.Equal(t, asked+1, r.commands("g"), "the URL is not used again")
	r.server.Faults().UseUpTransferQuota(0)
	r.equal(want, r.plainRange(n, 0, downloadSize))
}

func TestServersThatFailForAWhile(t *testing.T) {
	r, n, want := newDownload(t)
	for status, times := range map[int]int{500: 2, 502: 2, 503: 2, 429: 1} {
		r.server.Faults().FailHTTP(megatest.Downloads, status, times)
		r.equal(want, r.plainRange(n, 0, downloadSize))
	}
	down, _ := megaclient.Connections(r.client)
	require.Equal(t, 4, down, "429 lowers the connections")
	r.server.Faults().FailCommand("g", -18, 2)
	r.server.Faults().ExpireURLs()
	r.equal(want[:10], r.plainRange(n, 0, 10))
}

func TestReadRefusals(t *testing.T) {
	r, n, _ := newDownload(t)
	ctx := t.Context()
	read := r.client.ReadContent
	require.ErrorIs(t, read(ctx, handleOf(5), 0, 1, io.Discard), megaclient.ENOENT)
	require.ErrorIs(t, read(ctx, n.Handle, 0, downloadSize+1, io.Discard), megaclient.ErrOutOfRange)
	require.ErrorIs(t, read(ctx, n.Handle, -1, 1, io.Discard), megaclient.ErrOutOfRange)
	require.ErrorIs(t, read(ctx, n.Handle, 1, -1, io.Discard), megaclient.ErrOutOfRange)
	require.NoError(t, read(ctx, n.Handle, downloadSize, 0, io.Discard))
	boom := errors.New("boom")
	require.ErrorIs(t, read(ctx, n.Handle, 0, 1, failingWriter{boom}), boom)
	r.server.Faults().ExpireURLs()
	r.server.Faults().FailCommand("g", -16, 1)
	err := read(ctx, n.Handle, 0, 1, io.Discard)
	require.ErrorIs(t, err, megaclient.EBLOCKED)
	var account *megaclient.BlockedError
	require.False(t, errors.As(err, &account), "the file is blocked, not the account")
	r.client.Close()
	require.ErrorIs(t, read(ctx, n.Handle, 0, 1, io.Discard), megaclient.ErrClosed)
}

// cancelAfter ends a context when so many bytes have come.
type cancelAfter struct {
	left   int
	cancel func()
}

func (w *cancelAfter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left <= 0 {
		w.cancel()
	}
	return len(p), nil
}

func TestReadEndsWithItsContext(t *testing.T) {
	r, n, _ := newDownload(t)
	r.server.Faults().StallDownloads(200_000, megatest.Always)
	ctx, cancel := context.WithCancel(t.Context())
	err := r.client.ReadContent(ctx, n.Handle, 0, downloadSize, &cancelAfter{200_000, cancel})
	require.ErrorIs(t, err, context.Canceled)
	down, _ := megaclient.Connections(r.client)
	require.Equal(t, 8, down)
}

// Storage servers that lie about what they send.
func TestBodiesThatAreNotTheContent(t *testing.T) {
	const size = 1000
	good := strings.Repeat("x", size)
	for name, bad := range map[string]func(w http.ResponseWriter){
		"longer":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, good+"y") },
		"shorter": func(w http.ResponseWriter) { _, _ = io.WriteString(w, good[:size-1]) },
		"web page": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html; charset=x")
			_, _ = io.WriteString(w, good)
		},
		"redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://example.org/")
			w.WriteHeader(http.StatusFound)
		},
		"partial": func(w http.ResponseWriter) { w.WriteHeader(http.StatusPartialContent); _, _ = io.WriteString(w, good) },
		"cut, unsized": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, good[:10])
			_ = http.NewResponseController(w).Flush()
		},
		"no such range": func(w http.ResponseWriter) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) },
	} {
		t.Run(name, func(t *testing.T) {
			var requests, urls atomic.Int32
			var s *stub
			s = newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
				if r.URL.Path == "/cs" {
					_, _ = fmt.Fprintf(w, `[{"s":%d,"at":"","g":"%s/dl/%d"}]`, size, s.URL, urls.Add(1))
					return
				}
				w.Header().Set("Content-Type", "application/octet-stream")
				if requests.Add(1) == 1 {
					bad(w)
					return
				}
				first, last := 0, 0
				_, _ = fmt.Sscanf(r.URL.Path[strings.LastIndex(r.URL.Path, "/"):], "/%d-%d", &first, &last)
				_, _ = io.WriteString(w, good[first:last+1])
			})
			var b bytes.Buffer
			require.NoError(t, s.resume(t).ReadContent(t.Context(), handleOf(1), 0, size, &b))
			require.Equal(t, good, b.String())
		})
	}
	t.Run("more than asked, unsized", func(t *testing.T) {
		var s *stub
		s = newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
			if r.URL.Path == "/cs" {
				_, _ = fmt.Fprintf(w, `[{"s":%d,"at":"","g":"%s/dl"}]`, size, s.URL)
				return
			}
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, good+good)
		})
		var b bytes.Buffer
		require.NoError(t, s.resume(t).ReadContent(t.Context(), handleOf(1), 0, size, &b))
		require.Equal(t, good, b.String())
	})
}

func TestAnswersOfGThatMakeNoSense(t *testing.T) {
	for answer, want := range map[string]error{
		`[{"g":"http://127.0.0.1/x"}]`:          megaclient.ErrBadAnswer,
		`[{"s":-1,"g":"http://127.0.0.1/x"}]`:   megaclient.ErrBadAnswer,
		`[{"s":10,"g":"ftp://127.0.0.1/x"}]`:    megaclient.ErrBadAnswer,
		`[{"s":10}]`:                            megaclient.ErrBadAnswer,
		`[{"s":10,"d":1}]`:                      megaclient.EBLOCKED,
		`[{"s":10,"e":-9}]`:                     megaclient.ENOENT,
		`[-17]`:                                 megaclient.EOVERQUOTA,
		`[{"s":10,"e":-17,"tl":-5,"g":"http"}]`: megaclient.EOVERQUOTA,
	} {
		err := saying(t, answer).resume(t).ReadContent(t.Context(), handleOf(1), 0, 1, io.Discard)
		require.ErrorIs(t, err, want, answer)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	const size = 1000
	var mu sync.Mutex
	var open, most int
	release := make(chan struct{})
	full := make(chan struct{})
	var s *stub
	s = newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		if r.URL.Path == "/cs" {
			_, _ = fmt.Fprintf(w, `[{"s":%d,"at":"","g":"%s/dl"}]`, size, s.URL)
			return
		}
		mu.Lock()
		open++
		if most < 3 && open == 3 {
			close(full)
		}
		most = max(most, open)
		mu.Unlock()
		<-release
		mu.Lock()
		open--
		mu.Unlock()
		_, _ = w.Write(make([]byte, 1))
	})
	c, err := megaclient.Resume(megaclient.Config{APIURL: s.URL, MaxConnections: 3}, stubSession())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	var group sync.WaitGroup
	for i := range int64(10) {
		group.Go(func() { _ = c.ReadContent(t.Context(), handleOf(1), i, 1, io.Discard) })
	}
	<-full
	close(release)
	group.Wait()
	require.Equal(t, 3, most)
}

// With one connection, a file of which much is asked for doesn't keep another from its first bytes, and what nobody waits
// for comes last.
func TestFewConnectionsAreShared(t *testing.T) {
	const size = 1000
	served, release := make(chan string, 100), make(chan struct{})
	var s *stub
	s = newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		if r.URL.Path == "/cs" {
			h := regexp.MustCompile(`"n":"([^"]*)"`).FindSubmatch(body)[1]
			_, _ = fmt.Fprintf(w, `[{"s":%d,"at":"","g":"%s/%s"}]`, size, s.URL, h)
			return
		}
		served <- strings.Split(r.URL.Path, "/")[1]
		<-release
		_, _ = w.Write(make([]byte, 1))
	})
	c, err := megaclient.Resume(megaclient.Config{APIURL: s.URL, MaxConnections: 1}, stubSession())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	film, other, ahead := handleOf(1), handleOf(2), handleOf(3)
	var group sync.WaitGroup
	read := func(ctx context.Context, h megaclient.Handle, off int64) {
		group.Go(func() { _ = c.ReadContent(ctx, h, off, 1, io.Discard) })
	}
	read(t.Context(), film, 0)
	order := []string{<-served}
	read(megaclient.Yielding(t.Context(), make(chan struct{})), ahead, 0)
	for i := range int64(8) {
		read(t.Context(), film, i)
	}
	require.Eventually(t, func() bool { return megaclient.Waiting(c) == 9 }, time.Minute, time.Millisecond)
	read(t.Context(), other, 0)
	require.Eventually(t, func() bool { return megaclient.Waiting(c) == 10 }, time.Minute, time.Millisecond)
	close(release)
	group.Wait()
	for len(served) > 0 {
		order = append(order, <-served)
	}
	require.Len(t, order, 11)
	require.Equal(t, string(other), order[2])
	require.Equal(t, string(ahead), order[10])
}

// Content that came over a URL and is wrong is asked for over another one, once for all who found that out.
func TestURLsAreRenewedForWrongContent(t *testing.T) {
	r, n, want := newDownload(t)
	r.equal(want[:10], r.plainRange(n, 0, 10))
	r.client.RenewURL(t.Context(), n.Handle, time.Now().Add(-time.Hour))
	r.equal(want[:10], r.plainRange(n, 0, 10))
	require.Equal(t, 1, r.commands("g"), "the URL is newer than what was wrong")
	wrong := time.Now()
	for range 3 {
		r.client.RenewURL(t.Context(), n.Handle, wrong)
		r.equal(want[:10], r.plainRange(n, 0, 10))
	}
	require.Equal(t, 2, r.commands("g"))
	r.client.RenewURL(t.Context(), handleOf(77), wrong)
}

func TestURLsOfManyFilesComeInOneRequest(t *testing.T) {
	r := newRig(t)
	var handles []megaclient.Handle
	var nodes []*megaclient.Node
	for i := range 20 {
		n := r.put(fmt.Sprint("file", i), content(int64(1000+i)))
		handles, nodes = append(handles, n.Handle), append(nodes, n)
	}
	before := r.server.Stats().Batches
	require.NoError(t, r.client.PrepareURLs(t.Context(), append(handles, handleOf(77))))
	require.NoError(t, r.client.PrepareURLs(t.Context(), handles))
	require.NoError(t, r.client.PrepareURLs(t.Context(), nil))
	require.Equal(t, before+1, r.server.Stats().Batches)
	for i, n := range nodes {
		r.equal(content(int64(1000+i)), r.plainRange(n, 0, int64(1000+i)))
	}
	require.Equal(t, before+1, r.server.Stats().Batches, "none was asked for again")

	r.server.Faults().ExpireURLs()
	r.equal(content(1000), r.plainRange(nodes[0], 0, 1000))
	r.server.Faults().UseUpTransferQuota(time.Minute)
	megaclient.SetURLLife(r.client, 0)
	require.NoError(t, r.client.PrepareURLs(t.Context(), handles), "each file's own refusal is for its reader")
	r.client.Close()
	require.ErrorIs(t, r.client.PrepareURLs(t.Context(), handles), megaclient.ErrClosed)
}

// dribble serves the content of one file, one byte at a time with a pause before each, to its first requests.
func dribble(t *testing.T, content string, slow int32, pause time.Duration) (s *stub, requests *atomic.Int32) {
	requests = new(atomic.Int32)
	s = newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		if r.URL.Path == "/cs" {
			_, _ = fmt.Fprintf(w, `[{"s":%d,"at":"","g":"%s/dl"}]`, len(content), s.URL)
			return
		}
		first, last := 0, 0
		_, _ = fmt.Sscanf(r.URL.Path[strings.LastIndex(r.URL.Path, "/"):], "/%d-%d", &first, &last)
		w.Header().Set("Content-Length", fmt.Sprint(last+1-first))
		if slow != megatest.Always && requests.Add(1) > slow {
			_, _ = io.WriteString(w, content[first:last+1])
			return
		}
		for i := first; i <= last && r.Context().Err() == nil; i++ {
			_, _ = io.WriteString(w, content[i:i+1])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	})
	return s, requests
}

func TestServersThatSendAlmostNothing(t *testing.T) {
	content := strings.Repeat("0123456789", 2000)
	t.Run("are left for another connection", func(t *testing.T) {
		s, requests := dribble(t, content, 1, 10*time.Millisecond)
		c := s.resume(t)
		megaclient.SetStall(c, time.Second)
		var b bytes.Buffer
		require.NoError(t, c.ReadContent(t.Context(), handleOf(1), 0, int64(len(content)), &b))
		require.Equal(t, content, b.String())
		require.GreaterOrEqual(t, requests.Load(), int32(2), "a busy machine can make the second look slow as well")
	})
	t.Run("and are no progress", func(t *testing.T) {
		s, _ := dribble(t, content, megatest.Always, 10*time.Millisecond)
		c, err := megaclient.Resume(megaclient.Config{APIURL: s.URL, Timeout: 400 * time.Millisecond}, stubSession())
		require.NoError(t, err)
		t.Cleanup(c.Close)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // all of it would take 200 s
		defer cancel()
		require.ErrorIs(t, c.ReadContent(ctx, handleOf(1), 0, int64(len(content)), io.Discard), megaclient.ErrUnreachable)
	})
}

func TestDownloadsKeepToTheirLimit(t *testing.T) {
	r := newRig(t)
	want := content(1 << 20)
	n := r.put("file", want)
	c, err := megaclient.Resume(megaclient.Config{APIURL: r.server.URL(), MaxDownload: 1 << 20}, r.client.Session())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	start := time.Now()
	require.NoError(t, c.ReadContent(t.Context(), n.Handle, 0, 1<<20, io.Discard))
	require.Greater(t, time.Since(start), 500*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, c.ReadContent(ctx, n.Handle, 0, 1<<20, &cancelAfter{1000, cancel}), context.Canceled)
}

package megatest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

func TestBatchFaults(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	f := s.Faults()
	ug, uq := object{"a": "ug"}, object{"a": "uq"}

	f.FailBatch("uq", -3, 2)
	require.IsType(t, object{}, c.cmd(ug), "another command is not hit")
	require.Equal(t, -3.0, c.batch("1", ug, uq))
	require.Equal(t, -3.0, c.cmd(uq))
	require.IsType(t, object{}, c.cmd(uq), "the count is used up")

	f.FailCommand("uq", -18, 1)
	got := c.batch("2", ug, uq).([]any)
	require.IsType(t, object{}, got[0])
	require.Equal(t, -18.0, got[1])

	f.FailBatch("", -4, megatest.Always)
	for range 3 {
		require.Equal(t, -4.0, c.cmd(ug))
	}
	f.Clear()
	require.IsType(t, object{}, c.cmd(ug))

	f.FailHTTP(megatest.API, 503, 1)
	status, _ := c.post("/cs?id=3"+c.query(), `[{"a":"ug"}]`)
	require.Equal(t, 503, status)

	answer, _ := c.fetch()
	f.FailPoll(-6, 1)
	require.Equal(t, -6.0, c.poll(answer["sn"].(string)))
	f.FailHTTP(megatest.Events, 500, 1)
	status, _ = c.post("/sc?sn="+answer["sn"].(string)+c.query(), "")
	require.Equal(t, 500, status)
	url := c.poll(answer["sn"].(string)).(object)["w"].(string)
	f.FailHTTP(megatest.Waits, 502, 1)
	status, _ = c.post(url, "")
	require.Equal(t, 502, status)
	require.Equal(t, 10, s.Stats().Faults)
}

func TestDroppedConnections(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	body, _ := json.Marshal([]any{object{"a": "p", "t": a.Root(), "n": []any{c.folder("x")}}})
	send := func(id string) error {
		_, _, err := c.tryPost("/cs?id="+id+c.query(), string(body))
		return err
	}
	s.Faults().DropBefore("p", 1)
	require.Error(t, send("1"))
	require.Empty(t, a.Tree())
	s.Faults().DropAfter("p", 1)
	require.Error(t, send("1"))
	require.Len(t, a.Tree(), 1)
	require.NoError(t, send("1"), "the answer that got lost is repeated")
	require.Len(t, a.Tree(), 1)
}

func TestHashcash(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	s.Faults().DemandHashcash(255, 1)
	send := func(proof string) *http.Response {
		req, err := http.NewRequest("POST", s.URL()+"/cs?id=hash"+c.query(), strings.NewReader(`[{"a":"ug"}]`))
		require.NoError(t, err)
		req.Header.Set("X-Hashcash", proof)
		resp, err := c.http.Do(req)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		require.NoError(t, resp.Body.Close())
		return resp
	}
	resp := send("")
	require.Equal(t, 402, resp.StatusCode)
	require.Zero(t, resp.ContentLength)
	challenge, err := megacrypto.ParseHashcash(resp.Header.Get("X-Hashcash"))
	require.NoError(t, err)
	require.Equal(t, 402, send("1:wrong:AAAAAA").StatusCode)
	proof, err := challenge.Solve(soon(t))
	require.NoError(t, err)
	require.Equal(t, 200, send(proof).StatusCode)
	require.IsType(t, object{}, c.cmd(object{"a": "ug"}), "one solution was asked for")
	require.Equal(t, 1, s.Stats().Hashcash)
}

func TestDownloadFaults(t *testing.T) {
	now := time.Now()
	s := newServer(t, megatest.WithClock(func() time.Time { return now })) // which stands still
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	f := s.Faults()
	h := a.PutFile(a.Root(), "f", make([]byte, 100_000), zero)
	url := c.downloadURL(h) + "/0-99999"
	_, good := c.get(url)
	require.Len(t, good, 100_000)

	f.CorruptDownloads(1)
	_, bad := c.get(url)
	require.Len(t, bad, 100_000)
	require.NotEqual(t, good, bad)
	_, again := c.get(url)
	require.Equal(t, good, again, "the stored content is intact")

	f.CutDownloads(1000, 1)
	resp, err := c.http.Get(url)
	require.NoError(t, err)
	part, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	require.Error(t, err)
	require.Equal(t, good[:1000], part)

	f.FailHTTP(megatest.Downloads, 503, 1)
	status, _ := c.get(url)
	require.Equal(t, 503, status)

	f.UseUpTransferQuota(time.Hour)
	resp, err = c.http.Get(url)
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, 509, resp.StatusCode)
	require.Equal(t, "3600", resp.Header.Get("X-MEGA-Time-Left"))
	g := c.cmd(object{"a": "g", "g": 1, "n": h}).(object)
	require.EqualValues(t, -17, g["e"])
	require.EqualValues(t, 3600, g["tl"])
	f.UseUpTransferQuota(0)

	f.ExpireURLs()
	status, _ = c.get(url)
	require.Equal(t, 403, status)
}

func TestStalledDownload(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	h := a.PutFile(a.Root(), "f", make([]byte, 100_000), zero)
	s.Faults().StallDownloads(500, 1)
	ctx, cancel := context.WithCancel(soon(t))
	req, err := http.NewRequestWithContext(ctx, "GET", c.downloadURL(h)+"/0-99999", nil)
	require.NoError(t, err)
	resp, err := c.http.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	part := make([]byte, 500)
	_, err = io.ReadFull(resp.Body, part)
	require.NoError(t, err)
	cancel()
	_, err = resp.Body.Read(part)
	require.ErrorIs(t, err, context.Canceled)
}

func TestUploadFaults(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	f := s.Faults()
	url := c.uploadURL(1, 2)
	f.FailUpload(-4, 1)
	_, reply := c.post(url+"/0", "x")
	require.Equal(t, "-4", string(reply))
	f.LoseUploadAnswers(1)
	_, _, err := c.tryPost(url+"/0", "x")
	require.Error(t, err)
	_, token := c.post(url+"/0", "x")
	require.Len(t, token, 36, "the piece had arrived")
	f.FailHTTP(megatest.Uploads, 509, 1)
	status, _ := c.post(url+"/0", "x")
	require.Equal(t, 509, status)

	up := c.upload("lost", []byte("1"))
	f.LoseUploads()
	require.Equal(t, -9, c.code(object{"a": "p", "t": a.Root(), "n": []any{up}}))
	status, _ = c.post(url+"/0", "x")
	require.Equal(t, 404, status)
	url = c.uploadURL(1, 2)
	f.ExpireURLs()
	_, reply = c.post(url+"/0", "x")
	require.Equal(t, "-8", string(reply))
}

func TestHold(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	var seen []string
	s.OnCommand(func(name string, body json.RawMessage) { seen = append(seen, name+string(body)) })
	release := s.Faults().Hold("m")
	dir := a.Mkdir(a.Root(), "dir")
	done := make(chan any, 1)
	go func() { done <- c.cmd(object{"a": "m", "n": dir, "t": a.Rubbish()}) }()
	require.NoError(t, s.Await(soon(t), func(n megatest.Stats) bool { return n.Held == 1 }))
	require.Equal(t, 1, s.Stats().Commands["m"])
	require.Zero(t, s.Stats().Done["m"])
	require.False(t, a.InRubbish(dir))
	a.Rename(dir, "meanwhile") // other commands go on
	release()
	require.Equal(t, 0.0, <-done)
	require.True(t, a.InRubbish(dir))
	require.Equal(t, 1, s.Stats().Done["m"])
	require.Len(t, seen, 1)
	require.Contains(t, seen[0], dir)
	release() // twice is fine

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.Await(ctx, func(megatest.Stats) bool { return false }), context.Canceled)
}

func TestLatency(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	c := login(t, s, a)
	s.Faults().SetLatency(50 * time.Millisecond)
	start := time.Now()
	c.cmd(object{"a": "ug"})
	require.GreaterOrEqual(t, time.Since(start), 50*time.Millisecond)
	s.Faults().Clear()
	require.IsType(t, object{}, c.cmd(object{"a": "ug"}))
}

func TestBandwidth(t *testing.T) {
	s := newServer(t)
	a := s.AddAccount("user@example.com", password)
	h := a.Put(megatest.PutSpec{Parent: a.Root(), Name: "f", Size: 400 << 10})
	c := login(t, s, a)
	url := c.downloadURL(h) + "/0-409599"
	fetch := func(parallel int) time.Duration {
		start := time.Now()
		done := make(chan int, parallel)
		for range parallel {
			go func() {
				_, body := c.get(url)
				done <- len(body)
			}()
		}
		for range parallel {
			require.Equal(t, 409600, <-done)
		}
		return time.Since(start)
	}
	s.Faults().SetBandwidth(2<<20, 0) // 0.2 s each
	require.GreaterOrEqual(t, fetch(1), 150*time.Millisecond)
	s.Faults().SetBandwidth(0, 4<<20) // 0.1 s each, one after the other
	require.GreaterOrEqual(t, fetch(3), 240*time.Millisecond)
	s.Faults().SetBandwidth(1<<20, 0)
	start := time.Now()
	c.upload("up", make([]byte, 128<<10)) // 0.125 s
	require.GreaterOrEqual(t, time.Since(start), 90*time.Millisecond)
}

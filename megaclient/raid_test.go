package megaclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const raidParts = 6

// putSpread makes a file that is served over six URLs.
func (r *rig) putSpread(data []byte) *megaclient.Node {
	r.Helper()
	key := megacrypto.NewFileKey()
	return r.putSpreadKey(data, key)
}

func (r *rig) putSpreadKey(data []byte, key megacrypto.FileKey) *megaclient.Node {
	r.Helper()
	h := r.account.Put(megatest.PutSpec{Parent: r.account.Root(), Name: "f", Content: data, Key: &key, RAID: true})
	return &megaclient.Node{
		Handle: megaclient.Handle(h), Type: megaclient.FileNode, Size: int64(len(data)), Key: r.account.Key(h),
	}
}

// fresh is the rig with a client that knows of nothing that went before.
func (r *rig) fresh() *rig {
	other := *r
	other.client = r.again()
	return &other
}

// Every vector: what MEGA's SDK took apart is put together, without any one part and with all.
func TestRAIDVectors(t *testing.T) {
	text, err := os.ReadFile("megatest/testdata/raid.json")
	require.NoError(t, err)
	var file struct {
		Vectors []struct {
			Size      int64   `json:"size"`
			Digest    string  `json:"file_sha256"`
			PartSizes []int64 `json:"part_sizes"`
		}
	}
	require.NoError(t, json.Unmarshal(text, &file))
	require.Len(t, file.Vectors, 17)
	r := newRig(t)
	for _, v := range file.Vectors {
		for part, want := range v.PartSizes {
			require.Equal(t, want, megaclient.RAIDPartSize(v.Size, part), "part %d of %d bytes", part, v.Size)
		}
		key := megacrypto.NewFileKey()
		plain := make([]byte, v.Size)
		for i := range plain {
			plain[i] = byte(i*7 + 3)
		}
		megacrypto.NewCipher(key).XORKeyStreamAt(plain, plain, 0)
		n := r.putSpreadKey(plain, key)
		for lost := -1; lost < raidParts; lost++ {
			if lost >= 0 {
				r.server.Faults().Part(lost).Fail(http.StatusNotFound, megatest.Always)
			}
			digest := sha256.New()
			require.NoError(t, r.again().ReadContent(t.Context(), n.Handle, 0, v.Size, digest))
			require.Equal(t, v.Digest, hex.EncodeToString(digest.Sum(nil)), "%d bytes without part %d", v.Size, lost)
			r.server.Faults().Clear()
		}
	}
}

// partLoss is each way to lose a part.
var partLoss = map[string]func(p megatest.PartFaults){
	"403":              func(p megatest.PartFaults) { p.Fail(http.StatusForbidden, megatest.Always) },
	"404":              func(p megatest.PartFaults) { p.Fail(http.StatusNotFound, megatest.Always) },
	"429":              func(p megatest.PartFaults) { p.Fail(http.StatusTooManyRequests, megatest.Always) },
	"500":              func(p megatest.PartFaults) { p.Fail(http.StatusInternalServerError, megatest.Always) },
	"503":              func(p megatest.PartFaults) { p.Fail(http.StatusServiceUnavailable, megatest.Always) },
	"509":              func(p megatest.PartFaults) { p.Fail(509, megatest.Always) },
	"cut at once":      func(p megatest.PartFaults) { p.Cut(0, megatest.Always) },
	"cut in between":   func(p megatest.PartFaults) { p.Cut(100_001, megatest.Always) },
	"cut once":         func(p megatest.PartFaults) { p.Cut(7, 1) },
	"stalls at once":   func(p megatest.PartFaults) { p.Stall(0, megatest.Always) },
	"stalls later":     func(p megatest.PartFaults) { p.Stall(100_001, megatest.Always) },
	"a byte at a time": func(p megatest.PartFaults) { p.Answer(megatest.Always, trickle) },
	"truncated": func(p megatest.PartFaults) {
		p.Answer(megatest.Always, func(w http.ResponseWriter, _ *http.Request, c []byte) { _, _ = w.Write(c[:len(c)/2]) })
	},
	"too long": func(p megatest.PartFaults) {
		p.Answer(megatest.Always, func(w http.ResponseWriter, _ *http.Request, c []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(c)+1))
			_, _ = w.Write(append(c, 'x'))
		})
	},
	"a web page": func(p megatest.PartFaults) {
		p.Answer(megatest.Always, func(w http.ResponseWriter, _ *http.Request, c []byte) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write(c)
		})
	},
}

// trickle sends a byte, and the next when somebody has waited for long.
func trickle(w http.ResponseWriter, r *http.Request, content []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	for i := range content {
		if _, err := w.Write(content[i : i+1]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// Any one part may be lost, in any way, and nobody notices.
func TestRAIDSurvivesTheLossOfAPart(t *testing.T) {
	r := newRig(t)
	want := content(1_500_001)
	n := r.putSpread(want)
	for name, lose := range partLoss {
		t.Run(name, func(t *testing.T) {
			for part := range raidParts {
				lose(r.server.Faults().Part(part))
				before := r.commands("g")
				f := r.fresh()
				f.T = t
				megaclient.SetLag(f.client, 20*time.Millisecond)
				f.equal(want[1_034_567:1_234_567], f.plainRange(n, 1_034_567, 200_000))
				f.equal(want, f.get(n))
				require.Equal(t, before+1, r.commands("g"), "no other URLs were needed")
				r.server.Faults().Clear()
			}
		})
	}
}

// While all is well, parity isn't asked for, nothing is fetched twice, and connections are used again.
func TestRAIDReadsTheDataParts(t *testing.T) {
	r := newRig(t)
	const size = 9_000_001
	want := content(size)
	n := r.putSpread(want)
	megaclient.SetLag(r.client, time.Hour)
	r.equal(want, r.get(n))
	st := r.server.Stats()
	require.Equal(t, 1, st.Commands["g"])
	require.Less(t, st.BytesDown, int64(size+size/100))
	require.Zero(t, st.Parts[0])
}

func TestRAIDReadsAnyRange(t *testing.T) {
	r := newRig(t)
	const size = 3_000_007
	want := content(size)
	n := r.putSpread(want)
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.Int64Range(0, size-1).Draw(t, "off")
		length := min(rapid.OneOf(rapid.Int64Range(1, 300), rapid.Int64Range(1, size)).Draw(t, "length"), size-off)
		if got := r.plainRange(n, off, length); !bytes.Equal(got, want[off:off+length]) {
			t.Fatalf("%d bytes at %d are wrong", length, off)
		}
	})
	err := r.client.ReadContent(t.Context(), n.Handle, size-1, 2, io.Discard)
	require.ErrorIs(t, err, megaclient.ErrOutOfRange)
}

// A part that keeps the others waiting is left out from then on.
func TestRAIDDropsTheSlowest(t *testing.T) {
	r := newRig(t)
	const size = 9_000_000
	want := content(size)
	n := r.putSpread(want)
	r.server.Faults().Part(2).Answer(megatest.Always, trickle)
	megaclient.SetLag(r.client, 400*time.Millisecond) // a busy machine must not look like a slow server
	for range 4 {
		r.equal(want, r.plainRange(n, 0, size))
	}
	require.Less(t, r.server.Stats().Faults, 10, "of 20 windows")
}

// Two lost parts are one too many: the URLs are renewed, the server's time is waited out, or it is said why.
func TestRAIDWithoutTwoParts(t *testing.T) {
	r := newRig(t)
	want := content(3_000_000)
	n := r.putSpread(want)
	lose := func(status, times int) {
		r.server.Faults().Part(1).Fail(status, times)
		r.server.Faults().Part(4).Fail(status, times)
	}
	for _, status := range []int{403, 404, 429, 500, 503} {
		lose(status, 1)
		r.equal(want, r.fresh().plainRange(n, 0, n.Size))
		r.server.Faults().Clear()
	}
	r.server.Faults().Part(1).Cut(1000, 3)
	r.server.Faults().Part(5).Cut(2000, 3)
	r.equal(want, r.fresh().plainRange(n, 0, n.Size))

	lose(404, megatest.Always)
	var status *megaclient.StatusError
	require.ErrorAs(t, r.again().ReadContent(t.Context(), n.Handle, 0, 100, io.Discard), &status)
	require.Equal(t, 404, status.Status)
	r.server.Faults().Clear()

	c := r.again()
	megaclient.SetStall(c, 20*time.Millisecond)
	megaclient.SetGiveUp(c, 200*time.Millisecond)
	r.server.Faults().Part(0).Stall(0, megatest.Always)
	r.server.Faults().Part(5).Stall(0, megatest.Always)
	require.ErrorIs(t, c.ReadContent(t.Context(), n.Handle, 0, 100_000, io.Discard), megaclient.ErrUnreachable)
	r.server.Faults().Clear()

	r.equal(want[:100], r.plainRange(n, 0, 100))
	const left = 90 * time.Second
	begun := time.Now()
	r.server.Faults().UseUpTransferQuota(left)
	var quota *megaclient.OverQuotaError
	require.ErrorAs(t, r.client.ReadContent(t.Context(), n.Handle, 0, 100, io.Discard), &quota)
	require.LessOrEqual(t, quota.Left, left)
	require.GreaterOrEqual(t, quota.Left, left-time.Since(begun))
	r.server.Faults().UseUpTransferQuota(0)
	r.equal(want, r.plainRange(n, 0, n.Size))
	r.server.Faults().ExpireURLs()
	r.equal(want, r.plainRange(n, 0, n.Size))
}

// One part is wrong for ever: sooner or later it is the one that is left out.
func TestRAIDGoesAroundAWrongPart(t *testing.T) {
	r := newRig(t)
	want := content(1_000_000)
	n := r.putSpread(want)
	for part := range raidParts {
		r.server.Faults().Part(part).Corrupt(megatest.Always)
		f := r.fresh()
		megaclient.SetLag(f.client, time.Hour)
		err := f.client.Get(t.Context(), n, io.Discard)
		tries := 1
		for ; err != nil && tries < raidParts; tries++ {
			require.ErrorIs(t, err, megacrypto.ErrMAC)
			err = f.client.Get(t.Context(), n, io.Discard)
		}
		require.NoError(t, err)
		require.Equal(t, part+1, tries)
		f.equal(want, f.get(n))
		r.server.Faults().Clear()
	}
}

// Few connections are enough, and many readers at once need no more.
func TestRAIDKeepsToTheConnections(t *testing.T) {
	r := newRig(t)
	want := content(5_000_000)
	n := r.putSpread(want)
	for _, most := range []int{1, 3, 16} {
		c, err := megaclient.Resume(megaclient.Config{APIURL: r.server.URL(), MaxConnections: most}, r.client.Session())
		require.NoError(t, err)
		f := *r
		f.client = c
		var group sync.WaitGroup
		for range 20 {
			off := rand.Int64N(n.Size - 500_000)
			group.Go(func() { f.equal(want[off:off+500_000], f.plainRange(n, off, 500_000)) })
		}
		group.Wait()
		c.Close()
	}
}

func TestRAIDReadsEndWithTheirContext(t *testing.T) {
	r := newRig(t)
	n := r.putSpread(content(3_000_000))
	for part := range raidParts {
		r.server.Faults().Part(part).Stall(50_000, megatest.Always)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := r.client.ReadContent(ctx, n.Handle, 0, n.Size, &cancelAfter{100_000, cancel})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, r.client.ReadContent(t.Context(), n.Handle, 0, 100, failingWriter{io.ErrClosedPipe}), io.ErrClosedPipe)
}

func TestURLsOfSpreadFilesComeInOneRequest(t *testing.T) {
	r := newRig(t)
	want := content(100_000)
	var handles []megaclient.Handle
	var nodes []*megaclient.Node
	for range 10 {
		n := r.putSpread(want)
		nodes, handles = append(nodes, n), append(handles, n.Handle)
	}
	before := r.server.Stats().Batches
	require.NoError(t, r.client.PrepareURLs(t.Context(), handles))
	for _, n := range nodes {
		r.equal(want, r.get(n))
	}
	require.Equal(t, before+1, r.server.Stats().Batches)
}

func TestAnswersWithSeveralURLs(t *testing.T) {
	for _, answer := range []string{
		`[]`,
		`["http://127.0.0.1/x","http://127.0.0.1/x"]`,
		`["http://127.0.0.1/x","http://127.0.0.1/x",1,2,3,4]`,
		`["http://h/1","http://h/2","http://h/3","http://h/4","http://h/5","ftp://h"]`,
		`{"0":"http://127.0.0.1/x"}`,
	} {
		err := saying(t, `[{"s":10,"g":`+answer+`}]`).resume(t).ReadContent(t.Context(), handleOf(1), 0, 1, io.Discard)
		require.ErrorIs(t, err, megaclient.ErrBadAnswer, answer)
	}
	var s *stub
	s = newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		if r.URL.Path == "/cs" {
			_, _ = fmt.Fprintf(w, `[{"s":1,"g":["%s/dl"]}]`, s.URL)
			return
		}
		_, _ = io.WriteString(w, "x")
	})
	var b bytes.Buffer
	require.NoError(t, s.resume(t).ReadContent(t.Context(), handleOf(1), 0, 1, &b), "a list of one is one URL")
	require.Equal(t, "x", b.String())
}

// Windows that nobody waits for may hold their places for long, since others come before them to each connection. What
// somebody waits for finds a place all the same.
func TestWindowsThatNobodyWaitsForLeavePlaces(t *testing.T) {
	const ahead, parts = 6, 5
	release := make(chan struct{})
	var s *stub
	s = newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		if r.URL.Path != "/cs" {
			<-release
			return
		}
		urls, _ := json.Marshal(slices.Repeat([]string{s.URL + "/dl"}, raidParts))
		_, _ = fmt.Fprintf(w, `[{"s":1000000,"at":"","g":%s}]`, urls)
	})
	c, err := megaclient.Resume(megaclient.Config{APIURL: s.URL, MaxConnections: 1}, stubSession())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	defer close(release)
	read := func(ctx context.Context, h megaclient.Handle) {
		group.Go(func() { _ = c.ReadContent(ctx, h, 0, 1000, io.Discard) })
	}
	waiting := func(windows int) {
		t.Helper() // one part has the only connection
		require.Eventually(t, func() bool { return megaclient.Waiting(c) == windows*parts-1 }, time.Minute, time.Millisecond)
	}
	for i := range 10 {
		read(megaclient.Yielding(ctx, make(chan struct{})), handleOf(i+1))
	}
	waiting(ahead)
	read(ctx, handleOf(20))
	waiting(ahead + 1)
}

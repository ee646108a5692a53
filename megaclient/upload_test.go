package megaclient_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

const uploadSize = 7_000_001

func newState(size int64) *megaclient.UploadState {
	return &megaclient.UploadState{Size: size, Key: megacrypto.NewFileKey()}
}

// finish makes the node of a finished upload and compares its content.
func (r *rig) finish(st *megaclient.UploadState, want []byte) {
	r.Helper()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", "uploaded")
	b, err := r.client.Prepare(megaclient.PutNodes{Parent: r.root, Nodes: []megaclient.NewNode{{
		Token: st.Token, Type: megaclient.FileNode, Key: st.Key.Pack(), Attrs: attrs,
	}}})
	require.NoError(r, err)
	results, err := r.client.Execute(r.Context(), b)
	require.NoError(r, err)
	require.NoError(r, results[0].Err)
	r.equal(want, r.account.ReadFile(string(results[0].Nodes[0].Handle)))
}

func (r *rig) upload(st *megaclient.UploadState, data []byte, hooks megaclient.UploadHooks) error {
	return r.client.Upload(r.Context(), r.root, st, bytes.NewReader(data), hooks)
}

func TestUploadFaults(t *testing.T) {
	r := newRig(t)
	f := r.server.Faults()
	for name, c := range map[string]struct {
		fault func()
		urls  int // that the upload needs
	}{
		"none":                 {func() {}, 1},
		"checksum":             {func() { f.FailUpload(-14, 3) }, 1},
		"busy":                 {func() { f.FailUpload(-3, 3) }, 1},
		"unavailable":          {func() { f.FailUpload(-18, 2) }, 1},
		"too many connections": {func() { f.FailUpload(-19, 2) }, 1},
		"lost":                 {func() { f.FailUpload(-4, 1) }, 2},
		"failed":               {func() { f.FailUpload(-5, 1) }, 2},
		"too many addresses":   {func() { f.FailUpload(-6, 1) }, 2},
		"expired":              {func() { f.FailUpload(-8, 1) }, 2},
		"gone":                 {func() { f.FailHTTP(megatest.Uploads, http.StatusNotFound, 1) }, 2},
		"forbidden":            {func() { f.FailHTTP(megatest.Uploads, http.StatusForbidden, 1) }, 2},
		"server error":         {func() { f.FailHTTP(megatest.Uploads, http.StatusInternalServerError, 3) }, 1},
		"unavailable server":   {func() { f.FailHTTP(megatest.Uploads, http.StatusServiceUnavailable, 3) }, 1},
		"too many requests":    {func() { f.FailHTTP(megatest.Uploads, http.StatusTooManyRequests, 1) }, 1},
		"answers lost":         {func() { f.LoseUploadAnswers(3) }, 1},
		"no URL at first":      {func() { f.FailCommand("u", -9, 2) }, 3},
		"no storage at first":  {func() { f.FailCommand("u", -18, 2) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := *r
			r.T = t
			want := content(1_500_000)
			asked := r.commands("u")
			c.fault()
			st := newState(int64(len(want)))
			require.NoError(t, r.upload(st, want, megaclient.UploadHooks{}))
			require.Equal(t, c.urls, r.commands("u")-asked)
			r.finish(st, want)
		})
	}
	_, up := megaclient.Connections(r.client)
	require.Less(t, up, 8, "trouble lowers the connections")
}

func TestUploadsThatCannotSucceed(t *testing.T) {
	r := newRig(t)
	megaclient.SetGiveUp(r.client, 200*time.Millisecond)
	f := r.server.Faults()
	want := content(100_000)
	for name, c := range map[string]struct {
		fault func()
		want  error
	}{
		"damaged on the way":   {func() { f.FailUpload(-14, megatest.Always) }, megaclient.EKEY},
		"lost again and again": {func() { f.FailUpload(-4, megatest.Always) }, megaclient.ERATELIMIT},
		"always down":          {func() { f.FailHTTP(megatest.Uploads, 500, megatest.Always) }, megaclient.ErrUnreachable},
		"refused":              {func() { f.FailUpload(-11, 1) }, megaclient.EACCESS},
		"full meanwhile":       {func() { f.FailUpload(-17, 1) }, megaclient.ErrStorageQuota},
		"no target":            {func() { f.FailCommand("u", -9, megatest.Always) }, megaclient.ENOENT},
		"read only":            {func() { f.FailCommand("u", -11, 1) }, megaclient.EACCESS},
		"paywall":              {func() { f.FailCommand("u", -29, 1) }, megaclient.ErrStorageQuota},
	} {
		c.fault()
		require.ErrorIs(t, r.upload(newState(100_000), want, megaclient.UploadHooks{}), c.want, name)
		f.Clear()
	}
	st := newState(100_000)
	require.ErrorIs(t, r.upload(st, want[:99_999], megaclient.UploadHooks{}), io.ErrUnexpectedEOF)
	require.NoError(t, r.upload(st, want, megaclient.UploadHooks{}))
	r.finish(st, want)
}

func TestStorageQuota(t *testing.T) {
	r := newRig(t, megatest.Quota(1_000_000))
	err := r.upload(newState(1_000_001), content(1_000_001), megaclient.UploadHooks{})
	require.ErrorIs(t, err, megaclient.ErrStorageQuota)
	require.ErrorIs(t, err, megaclient.EGOINGOVERQUOTA)
	r.put("file", content(1_000_000))
	err = r.upload(newState(1), content(1), megaclient.UploadHooks{})
	require.ErrorIs(t, err, megaclient.ErrStorageQuota)
	require.ErrorIs(t, err, megaclient.EOVERQUOTA)
	var transfer *megaclient.OverQuotaError
	require.False(t, errors.As(err, &transfer))
}

// stored takes a state through the store, as a restart would.
func stored(t *testing.T, st *megaclient.UploadState) *megaclient.UploadState {
	t.Helper()
	b, err := json.Marshal(st)
	require.NoError(t, err)
	back := new(megaclient.UploadState)
	require.NoError(t, json.Unmarshal(b, back))
	return back
}

// thinClient has one connection, so that pieces are sent one after the other.
func (r *rig) thinClient() *megaclient.Client {
	r.Helper()
	c, err := megaclient.Resume(megaclient.Config{APIURL: r.server.URL(), MaxConnections: 1}, r.client.Session())
	require.NoError(r, err)
	r.Cleanup(c.Close)
	return c
}

// interrupted uploads until so many bytes have arrived and gives the state that was saved last.
func (r *rig) interrupted(want []byte, after int64) *megaclient.UploadState {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	st := newState(int64(len(want)))
	var saved *megaclient.UploadState
	err := r.thinClient().Upload(ctx, r.root, st, bytes.NewReader(want), megaclient.UploadHooks{
		Save: func(st *megaclient.UploadState) error { saved = stored(r.T, st); return nil },
		Progress: func(done int64) {
			if done >= after {
				cancel()
			}
		},
	})
	require.ErrorIs(r, err, context.Canceled)
	require.NotNil(r, saved)
	return saved
}

func bytesOf(st *megaclient.UploadState) (n int64) {
	for _, c := range st.Chunks {
		start, end := megacrypto.ChunkBounds(c.Index, st.Size)
		n += end - start
	}
	return n
}

func TestUploadIsResumed(t *testing.T) {
	r := newRig(t)
	want := content(uploadSize)
	st := r.interrupted(want, uploadSize/2)
	arrived := bytesOf(st)
	require.GreaterOrEqual(t, arrived, int64(uploadSize/2))
	have := map[int]bool{}
	for _, c := range st.Chunks {
		have[c.Index] = true
	}
	asked := r.commands("u")

	r.client = r.again()
	progress := []int64{}
	require.NoError(t, r.upload(st, want, megaclient.UploadHooks{
		Sent: func(off int64, ciphertext []byte) {
			for i := megacrypto.ChunkIndex(off); i <= megacrypto.ChunkIndex(off+int64(len(ciphertext))-1); i++ {
				require.False(t, have[i], "what had arrived is not sent again")
			}
		},
		Progress: func(done int64) { progress = append(progress, done) },
	}))
	require.Equal(t, asked, r.commands("u"))
	require.IsNonDecreasing(t, progress)
	require.Greater(t, progress[0], arrived)
	require.EqualValues(t, uploadSize, progress[len(progress)-1])
	r.finish(st, want)
	require.NoError(t, r.upload(stored(t, st), want, megaclient.UploadHooks{
		Sent: func(int64, []byte) { t.Error("a finished state stays finished") },
	}))
}

func TestResumingWhenTheURLIsDead(t *testing.T) {
	r := newRig(t)
	want := content(uploadSize)
	for name, kill := range map[string]func(*megaclient.UploadState){
		"expired": func(*megaclient.UploadState) { r.server.Faults().ExpireURLs() },
		"lost":    func(*megaclient.UploadState) { r.server.Faults().LoseUploads() },
		"old":     func(st *megaclient.UploadState) { st.URLTime -= 172_600 },
		"future":  func(st *megaclient.UploadState) { st.URLTime += 10_000 },
	} {
		st := r.interrupted(want, uploadSize/2)
		kill(st)
		require.NoError(t, r.upload(st, want, megaclient.UploadHooks{}), name)
		r.finish(st, want)
	}
}

// A storage server that is gone for good, while the API answers, doesn't keep an upload for the two days for which its URL
// would be good. While the API is gone, too, it is the network, and what has arrived stays.
func TestUploadLeavesAServerThatIsGone(t *testing.T) {
	r := newRig(t)
	want := content(uploadSize)
	st := r.interrupted(want, uploadSize/2)
	gone := nobody + "/gone"
	st.URL = gone
	arrived := bytesOf(st)
	megaclient.SetGiveUp(r.client, 100*time.Millisecond)
	megaclient.SetUnreachable(r.client, 100*time.Millisecond)
	r.server.Faults().FailHTTP(megatest.API, http.StatusServiceUnavailable, megatest.Always)
	require.ErrorIs(t, r.upload(st, want, megaclient.UploadHooks{}), megaclient.ErrUnreachable)
	require.Equal(t, gone, st.URL)
	require.Equal(t, arrived, bytesOf(st))

	r.server.Faults().Clear()
	megaclient.SetUnreachable(r.client, time.Minute)
	require.ErrorIs(t, r.upload(st, want, megaclient.UploadHooks{}), megaclient.ErrUnreachable, "so that it is told of")
	megaclient.SetGiveUp(r.client, time.Minute)
	require.NoError(t, r.upload(st, want, megaclient.UploadHooks{}))
	r.finish(st, want)
}

// One key must never encrypt two contents.
func TestResumingWithOtherContentIsRefused(t *testing.T) {
	r := newRig(t)
	want := content(uploadSize)
	st := r.interrupted(want, uploadSize/2)
	r.server.Faults().ExpireURLs() // so that everything is sent again
	other := bytes.Clone(want)
	start, _ := megacrypto.ChunkBounds(st.Chunks[0].Index, st.Size)
	other[start+5] ^= 1
	require.ErrorIs(t, r.upload(st, other, megaclient.UploadHooks{}), megaclient.ErrContentChanged)
}

// All bytes can be at the server without our knowing: the first piece sent again brings the token.
func TestTokenComesOnAnyPiece(t *testing.T) {
	r := newRig(t)
	want := content(uploadSize)
	st := newState(uploadSize)
	var saved *megaclient.UploadState
	hooks := megaclient.UploadHooks{Save: func(st *megaclient.UploadState) error {
		if saved == nil && len(st.Chunks) > 3 {
			saved = stored(t, st)
		}
		return nil
	}}
	require.NoError(t, r.thinClient().Upload(t.Context(), r.root, st, bytes.NewReader(want), hooks))
	require.Empty(t, saved.Token)
	require.NoError(t, r.upload(saved, want, megaclient.UploadHooks{}))
	require.Equal(t, st.Token, saved.Token)
	require.True(t, st.Key.MAC == saved.Key.MAC, "all chunks are in the MAC")
	r.finish(saved, want)
}

func TestTokenOfACompleteState(t *testing.T) {
	r := newRig(t)
	want := content(1_000_000)
	st := newState(1_000_000)
	require.NoError(t, r.upload(st, want, megaclient.UploadHooks{}))
	token, pieces := st.Token, r.server.Stats().Pieces
	st.Token = ""
	require.NoError(t, r.upload(st, want, megaclient.UploadHooks{}))
	require.Equal(t, token, st.Token)
	require.Equal(t, pieces+1, r.server.Stats().Pieces)
}

func TestUploadHooks(t *testing.T) {
	r := newRig(t)
	want := content(uploadSize)
	st := newState(uploadSize)
	got := make([]byte, uploadSize)
	var mu sync.Mutex // never contended: hooks don't run at the same time
	var saves int
	hook := func() func() {
		require.True(t, mu.TryLock(), "two hooks at a time")
		return mu.Unlock
	}
	release := r.server.Faults().HoldUploads(4 << 20) // the token doesn't come before two states were worth saving
	defer release()
	require.NoError(t, r.upload(st, want, megaclient.UploadHooks{
		Sent: func(off int64, ciphertext []byte) { defer hook()(); copy(got[off:], ciphertext) },
		Progress: func(done int64) {
			defer hook()()
			if done >= 3<<20 {
				release()
			}
		},
		Save: func(*megaclient.UploadState) error { defer hook()(); saves++; return nil },
	}))
	megacrypto.NewCipher(st.Key).XORKeyStreamAt(got, got, 0)
	r.equal(want, got)
	require.GreaterOrEqual(t, saves, 3, "twice on the way, and at the end")

	full := errors.New("disk full")
	err := r.upload(newState(uploadSize), want, megaclient.UploadHooks{Save: func(*megaclient.UploadState) error { return full }})
	require.ErrorIs(t, err, full)
}

func TestSmallUploadsAreSavedOnce(t *testing.T) {
	r := newRig(t)
	for _, size := range []int64{0, 1000} {
		saves := 0
		st := newState(size)
		require.NoError(t, r.upload(st, content(size), megaclient.UploadHooks{
			Save: func(*megaclient.UploadState) error { saves++; return nil },
		}))
		require.Equal(t, 1, saves)
		r.finish(st, content(size))
	}
}

func TestDamagedStatesAreRefused(t *testing.T) {
	r := newRig(t)
	for name, damage := range map[string]func(*megaclient.UploadState){
		"no key":        func(st *megaclient.UploadState) { st.Key = megacrypto.FileKey{} },
		"negative size": func(st *megaclient.UploadState) { st.Size = -1 },
		"strange chunk": func(st *megaclient.UploadState) { st.Chunks = []megaclient.UploadedChunk{{Index: 1}} },
		"double chunk":  func(st *megaclient.UploadState) { st.Chunks = []megaclient.UploadedChunk{{}, {}} },
		"strange URL":   func(st *megaclient.UploadState) { st.URL, st.URLTime = "file:///etc/passwd", time.Now().Unix() },
	} {
		st := newState(100)
		damage(st)
		require.ErrorIs(t, r.upload(st, content(100), megaclient.UploadHooks{}), megaclient.ErrUploadState, name)
	}
}

func TestUploadGoesOnAfterAStall(t *testing.T) {
	r := newRig(t)
	release := r.server.Faults().HoldUploads(0)
	megaclient.SetGiveUp(r.client, 300*time.Millisecond)
	megaclient.SetStall(r.client, 100*time.Millisecond)
	st := newState(1000)
	err := r.upload(st, content(1000), megaclient.UploadHooks{})
	require.ErrorIs(t, err, megaclient.ErrUnreachable)
	release()
	megaclient.SetGiveUp(r.client, time.Minute)
	megaclient.SetStall(r.client, time.Minute)
	require.NoError(t, r.upload(st, content(1000), megaclient.UploadHooks{}))
	r.finish(st, content(1000))
}

func TestUploadURLsInOneRequest(t *testing.T) {
	r := newRig(t)
	before := r.server.Stats()
	wanted := []megaclient.UploadRequest{{Size: 5}, {Size: 0}, {Target: r.root, Size: 7}}
	r.server.Faults().FailCommand("u", -17, 1)
	urls, err := r.client.UploadURLs(r.Context(), wanted)
	require.NoError(t, err)
	require.Equal(t, 1, r.server.Stats().Batches-before.Batches)
	require.ErrorIs(t, urls[0].Err, megaclient.ErrStorageQuota)
	for i, u := range urls[1:] {
		st := newState(wanted[i+1].Size)
		require.NoError(t, u.Err)
		u.Give(st)
		data := bytes.Repeat([]byte{byte(i)}, int(st.Size))
		require.NoError(t, r.upload(st, data, megaclient.UploadHooks{}))
		r.finish(st, data)
	}
	require.Equal(t, 3, r.server.Stats().Commands["u"]-before.Commands["u"], "no further URL was needed")
	none, err := r.client.UploadURLs(r.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

// An upload takes at least as long as the limit says, over however many
// connections.
func TestMaxUpload(t *testing.T) {
	r := newRig(t)
	client, err := megaclient.Resume(megaclient.Config{APIURL: r.server.URL(), MaxUpload: 2 << 20}, r.client.Session())
	require.NoError(t, err)
	defer client.Close()
	want := content(2 << 20)
	st := newState(int64(len(want)))
	begun := time.Now()
	require.NoError(t, client.Upload(r.Context(), r.root, st, bytes.NewReader(want), megaclient.UploadHooks{}))
	require.GreaterOrEqual(t, time.Since(begun), 800*time.Millisecond) // an eighth of a second's worth may go at once
	r.finish(st, want)
}

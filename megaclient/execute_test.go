package megaclient_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
)

func mkdirOp(name string, shares ...megaclient.Handle) megaclient.PutNodes {
	key := megacrypto.NewKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", name)
	return megaclient.PutNodes{Parent: "ROOTAAAA", Shares: shares, Nodes: []megaclient.NewNode{
		{Type: megaclient.FolderNode, Key: key[:], Attrs: attrs},
	}}
}

func prepare(t *testing.T, c *megaclient.Client, ops ...megaclient.Op) *megaclient.Batch {
	t.Helper()
	b, err := c.Prepare(ops...)
	require.NoError(t, err)
	require.Len(t, b.Tags, len(ops))
	require.True(t, b.FirstSent.IsZero())
	return b
}

// sequence makes a stub that plays its steps, the last one for ever.
func sequence(t *testing.T, steps ...func(w http.ResponseWriter)) *stub {
	var n atomic.Int32
	return newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		steps[min(int(n.Add(1)), len(steps))-1](w)
	})
}

func says(answer string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = io.WriteString(w, answer) }
}

func cuts(http.ResponseWriter) { cut() }

var removal = megaclient.RemoveNode{Node: "FILEAAAA"}

func TestLostAnswerIsAskedForAgain(t *testing.T) {
	s := sequence(t, cuts, says("[0]"))
	c := s.resume(t)
	b := prepare(t, c, removal)
	results, err := c.Execute(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, []megaclient.Result{{}}, results)
	seen := s.seen()
	require.Len(t, seen, 2)
	require.Equal(t, seen[0], seen[1])
	require.Equal(t, b.ID, seen[0].id)
	require.Equal(t, string(b.Body), seen[0].body)
}

// TestNonsenseIsNoSuccess: what says neither that a change was made nor that it was refused leaves that open.
func TestNonsenseIsNoSuccess(t *testing.T) {
	for _, answer := range []string{"null", "true", "false", "[]", `[0,"x"]`, "-99999999999999999999", "-9.5", "-9e0", "1e400", "99999999999999999999"} {
		c := saying(t, "["+answer+"]").resume(t)
		results, err := c.Execute(t.Context(), prepare(t, c, removal))
		require.NoError(t, err, answer)
		require.Len(t, results, 1, answer)
		require.ErrorIs(t, results[0].Err, megaclient.ErrUncertain, answer)
	}
}

func TestNothingIsSentAgainAfterAMinute(t *testing.T) {
	s := sequence(t, cuts)
	c := s.resume(t)
	b := prepare(t, c, removal)
	megaclient.SetResend(c, 30*time.Millisecond)
	_, err := c.Execute(t.Context(), b)
	require.ErrorIs(t, err, megaclient.ErrUncertain)
	n := len(s.seen())
	require.NotZero(t, n)

	megaclient.SetResend(c, time.Minute)
	b.Age(2 * time.Minute)
	_, err = c.Execute(t.Context(), b)
	require.ErrorIs(t, err, megaclient.ErrUncertain)
	require.Len(t, s.seen(), n, "not one request more")
}

func TestABatchOfAnotherRunIsNeverSent(t *testing.T) {
	s := sequence(t, says("[0]"))
	c := s.resume(t)
	stored, err := json.Marshal(prepare(t, c, removal))
	require.NoError(t, err)
	var b megaclient.Batch
	require.NoError(t, json.Unmarshal(stored, &b))
	b.Run = "an earlier one"
	_, err = c.Execute(t.Context(), &b)
	require.ErrorIs(t, err, megaclient.ErrUncertain)
	require.Empty(t, s.seen())
}

func TestWhatWasOnlyRefusedIsNotUncertain(t *testing.T) {
	challenge := func(w http.ResponseWriter) {
		w.Header().Set("X-Hashcash", "1:255:1700000000:"+strings.Repeat("A", 64))
		w.WriteHeader(http.StatusPaymentRequired)
	}
	c := sequence(t, challenge, says("-3"), says("-4"), says("-3"), says("-15")).resume(t)
	megaclient.SetResend(c, 20*time.Millisecond) // long over when the last answer comes: the puzzle alone takes longer
	b := prepare(t, c, removal)
	_, err := c.Execute(t.Context(), b)
	require.ErrorIs(t, err, megaclient.ESID)
	require.NotErrorIs(t, err, megaclient.ErrUncertain)
	require.True(t, b.FirstSent.IsZero(), "as if never sent")
}

func TestOneLostAnswerMakesAllLaterEndsUncertain(t *testing.T) {
	for name, last := range map[string]string{"busy": "-3", "session": "-15", "blocked": "-16", "other": "-9", "wrong count": "[0,0]", "junk": "<html>"} {
		t.Run(name, func(t *testing.T) {
			c := sequence(t, cuts, says(last)).resume(t)
			if name == "busy" || name == "junk" || name == "wrong count" { // that is asked again, until it is too late
				megaclient.SetResend(c, 50*time.Millisecond)
			}
			_, err := c.Execute(t.Context(), prepare(t, c, removal))
			require.ErrorIs(t, err, megaclient.ErrUncertain)
			require.Equal(t, name == "session", isCode(err, megaclient.ESID))
			require.Equal(t, name == "blocked", isCode(err, megaclient.EBLOCKED))
		})
	}
}

func isCode(err error, code megaclient.ErrorCode) bool {
	var refusal *megaclient.Error
	var blocked *megaclient.BlockedError
	switch {
	case asError(err, &refusal):
		return refusal.Code == code
	case asError(err, &blocked):
		return code == megaclient.EBLOCKED
	}
	return false
}

func TestCancelledInFlightIsUncertain(t *testing.T) {
	reached := make(chan struct{})
	s := newStub(t, func(_ http.ResponseWriter, r *http.Request, _ []byte) { close(reached); <-r.Context().Done() })
	c := s.resume(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	_, err := c.Execute(ctx, prepare(t, c, removal))
	require.ErrorIs(t, err, megaclient.ErrUncertain)
	require.ErrorIs(t, err, context.Canceled)
}

func TestUnreachableIsNotUncertain(t *testing.T) {
	s := sequence(t, says("[0]"))
	s.URL = nobody
	c := s.resume(t)
	megaclient.SetResend(c, 50*time.Millisecond)
	b := prepare(t, c, removal)
	_, err := c.Execute(t.Context(), b)
	require.ErrorIs(t, err, megaclient.ErrUnreachable)
	require.NotErrorIs(t, err, megaclient.ErrUncertain)
	require.True(t, b.FirstSent.IsZero())
}

func TestRefusalOfTheWholeBatchIsEachOperations(t *testing.T) {
	c := sequence(t, says("-2")).resume(t)
	results, err := c.Execute(t.Context(), prepare(t, c, removal, removal))
	require.NoError(t, err)
	require.Len(t, results, 2)
	require.ErrorIs(t, results[1].Err, megaclient.EARGS)
}

func TestResultsOfAllShapes(t *testing.T) {
	c := saying(t, "0").resume(t)
	folder := wireFolder("NEWAAAAA", "ROOTAAAA", "new", `,"i":0`)
	answer := `[0,-9,{"err":-11,"u":1},"PUBLICAA",{"ph":"PUBLICBB","w":"x"},{"r":[0]},{"r":[-9]},{"f":[` + folder + `]},{"f":[` + folder + `],"e":{"1":-9}},{"e":[-9,-9]},null]`
	r, err := c.JudgeAnswer([]byte(answer), 11)
	require.NoError(t, err)
	require.Equal(t, megaclient.Result{}, r[0])
	require.ErrorIs(t, r[1].Err, megaclient.ENOENT)
	require.ErrorIs(t, r[2].Err, megaclient.EACCESS)
	require.Equal(t, megaclient.Handle("PUBLICAA"), r[3].Link)
	require.Equal(t, megaclient.Handle("PUBLICBB"), r[4].Link)
	require.NoError(t, r[5].Err)
	require.ErrorIs(t, r[6].Err, megaclient.ENOENT)
	require.Equal(t, "new", nameOf(t, r[7].Nodes[0]))
	require.Zero(t, r[7].Nodes[0].Index)
	require.NoError(t, r[8].Err)
	require.ErrorIs(t, r[8].NodeErrs[1], megaclient.ENOENT)
	require.ErrorIs(t, r[9].Err, megaclient.ENOENT)
	require.ErrorIs(t, r[10].Err, megaclient.ErrUncertain, "null says nothing")
}

func TestCommandsAreWhatTheProtocolSays(t *testing.T) {
	c := saying(t, "0").resume(t)
	share := megacrypto.NewKey()
	c.AddShareKeys(map[megaclient.Handle]megaclient.ShareKey{"SHAREAAA": {Key: share, Proven: true}})
	file := megacrypto.NewFileKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", "a<b>&c")
	put := megaclient.PutNodes{Parent: "DIRAAAAA", Shares: []megaclient.Handle{"SHAREAAA", "UNKNOWNA"}, Nodes: []megaclient.NewNode{
		{Token: "TOKEN", Key: file.Pack(), Attrs: attrs, Replaces: "OLDAAAAA", FileAttrs: "0*X"},
	}}
	b := prepare(t, c, put, megaclient.MoveNode{Node: "FILEAAAA", Parent: "DIRAAAAA"},
		megaclient.SetAttrs{Node: "FILEAAAA", Key: file.Pack(), Attrs: attrs}, megaclient.RemoveNode{Node: "FILEAAAA", KeepVersions: true},
		megaclient.ExportNode{Node: "FILEAAAA"}, megaclient.PutKeys{Shares: []megaclient.Handle{"SHAREAAA"}, Nodes: []megaclient.KeyedNode{{Handle: "FILEAAAA", Key: file.Pack()}, {Handle: "NOKEYAAA"}}})
	var cmds []map[string]any
	require.NoError(t, json.Unmarshal(b.Body, &cmds))
	for i, cmd := range cmds {
		require.Equal(t, b.Tags[i], cmd["i"])
		delete(cmd, "i")
	}
	sealed := func(kek megacrypto.Key) string {
		k, err := megacrypto.EncryptKey(kek, file.Pack())
		require.NoError(t, err)
		return megacrypto.EncodeBase64(k)
	}
	at, err := megacrypto.EncryptAttributes(file.Key, attrs)
	require.NoError(t, err)
	want := []map[string]any{
		{
			"a": "p", "t": "DIRAAAAA", "vb": 1.0,
			"n":  []any{map[string]any{"h": "TOKEN", "t": 0.0, "a": at, "k": sealed(stubSession().MasterKey), "ov": "OLDAAAAA", "fa": "0*X"}},
			"cr": []any{[]any{"SHAREAAA"}, []any{}, []any{0.0, 0.0, sealed(share)}},
		},
		{"a": "m", "n": "FILEAAAA", "t": "DIRAAAAA"},
		{"a": "a", "n": "FILEAAAA", "at": at},
		{"a": "d", "n": "FILEAAAA", "v": 1.0},
		{"a": "l", "n": "FILEAAAA"},
		{"a": "k", "cr": []any{[]any{"SHAREAAA"}, []any{"FILEAAAA"}, []any{0.0, 0.0, sealed(share)}}},
	}
	require.Equal(t, want, cmds)
	require.True(t, strings.HasPrefix(string(b.Body), `[{"a":"p","i":"`), "the command's name comes first")
}

func TestPrepareRefusesNonsense(t *testing.T) {
	c := saying(t, "0").resume(t)
	huge := megacrypto.Attributes{}
	huge.SetString("n", strings.Repeat("x", 70<<10))
	key := megacrypto.NewKey()
	for name, op := range map[string]megaclient.Op{
		"no nodes":        megaclient.PutNodes{Parent: "ROOTAAAA"},
		"too many":        megaclient.PutNodes{Parent: "ROOTAAAA", Nodes: make([]megaclient.NewNode, 1001)},
		"no key":          megaclient.PutNodes{Parent: "ROOTAAAA", Nodes: []megaclient.NewNode{{Type: megaclient.FolderNode}}},
		"folder key":      megaclient.PutNodes{Parent: "ROOTAAAA", Nodes: []megaclient.NewNode{{Key: key[:], Token: "x"}}},
		"no token":        megaclient.PutNodes{Parent: "ROOTAAAA", Nodes: []megaclient.NewNode{{Key: make([]byte, 32)}}},
		"long attributes": megaclient.SetAttrs{Node: "DIRAAAAA", Type: megaclient.FolderNode, Key: key[:], Attrs: huge},
		"unknown share":   megaclient.PutKeys{Shares: []megaclient.Handle{"UNKNOWNA"}},
	} {
		_, err := c.Prepare(op)
		require.Error(t, err, name)
	}
	_, err := c.Prepare()
	require.Error(t, err)
}

// TestOneBatchAtATime holds a batch back and looks that another waits, while a read goes through.
func TestOneBatchAtATime(t *testing.T) {
	release, reached := make(chan struct{}), make(chan struct{}, 2)
	var now, most atomic.Int32
	s := newStub(t, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		if !strings.Contains(string(body), `"d"`) {
			_, _ = io.WriteString(w, "[0]")
			return
		}
		most.Store(max(most.Load(), now.Add(1)))
		reached <- struct{}{}
		<-release
		now.Add(-1)
		_, _ = io.WriteString(w, "[0]")
	})
	c := s.resume(t)
	done := make(chan error, 2)
	for range 2 {
		b := prepare(t, c, removal)
		go func() { _, err := c.Execute(t.Context(), b); done <- err }()
	}
	<-reached
	require.NoError(t, c.Ask(t.Context(), question, nil), "another lane")
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.EqualValues(t, 1, most.Load())
}

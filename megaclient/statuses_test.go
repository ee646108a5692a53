package megaclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megatest"

	"github.com/stretchr/testify/require"
)

// everyStatus are all statuses of HTTP that are final and aren't success as it should be, MEGA's own, and a few that nobody knows.
func everyStatus() []int {
	all := []int{299, 399, 499, 509, 599}
	for status := http.StatusCreated; status < 600; status++ {
		if http.StatusText(status) != "" {
			all = append(all, status)
		}
	}
	return all
}

// isTyped tells whether an error is one that its receiver knows how to go on with.
func isTyped(err error) bool {
	var status *megaclient.StatusError
	var quota *megaclient.OverQuotaError
	var refusal *megaclient.Error
	return errors.As(err, &status) || errors.As(err, &quota) || errors.As(err, &refusal) || errors.Is(err, megaclient.ErrUnreachable)
}

// Whatever status a transfer is answered with, once: its bytes are right, or it fails with an error that says why, and
// the next one is right.
func TestEveryStatusOfTransfers(t *testing.T) {
	r := newRig(t)
	want := content(100_000)
	n := r.put("file", want)
	read := func() ([]byte, error) {
		var b bytes.Buffer
		err := r.client.ReadContent(t.Context(), n.Handle, 0, int64(len(want)), &b)
		return b.Bytes(), err
	}
	stored, err := read()
	require.NoError(t, err)
	for _, status := range everyStatus() {
		r.server.Faults().FailHTTP(megatest.Downloads, status, 1)
		if got, err := read(); err != nil {
			require.True(t, isTyped(err), "a download answered %d: %v", status, err)
		} else {
			r.equal(stored, got)
		}
		r.server.Faults().FailHTTP(megatest.Uploads, status, 1)
		st := newState(int64(len(want)))
		if err := r.upload(st, want, megaclient.UploadHooks{}); err != nil {
			require.True(t, isTyped(err), "an upload answered %d: %v", status, err)
		} else {
			r.finish(st, want)
		}
		r.server.Faults().Clear()
		got, err := read()
		require.NoError(t, err, "after a download answered %d", status)
		r.equal(stored, got)
	}
}

// The same for as long as it lasts: never wrong bytes, never for ever.
func TestEveryStatusOfTransfersForGood(t *testing.T) {
	r := newRig(t)
	megaclient.SetGiveUp(r.client, 10*time.Millisecond)
	want := content(100_000)
	n := r.put("file", want)
	for _, status := range everyStatus() {
		r.server.Faults().FailHTTP(megatest.Downloads, status, megatest.Always)
		r.server.Faults().FailHTTP(megatest.Uploads, status, megatest.Always)
		err := r.client.ReadContent(t.Context(), n.Handle, 0, int64(len(want)), &bytes.Buffer{})
		require.True(t, isTyped(err), "a download always answered %d: %v", status, err)
		err = r.upload(newState(int64(len(want))), want, megaclient.UploadHooks{})
		require.True(t, isTyped(err), "an upload always answered %d: %v", status, err)
		r.server.Faults().Clear()
	}
	r.equal(want, r.get(n))
}

// A command that is answered with any status, or any number but those that end the session, is asked again or fails
// with an error that says why; the next one is answered.
func TestEveryAnswerToAQuestion(t *testing.T) {
	r := newRig(t)
	n := r.put("file", content(10))
	questions := map[string]func() error{
		"uq":  func() error { _, err := r.client.Quota(t.Context()); return err },
		"usl": func() error { _, err := r.client.Sessions(t.Context()); return err },
		"f": func() error {
			_, err := r.client.FetchNodes(t.Context(), false, func(*megaclient.Node) error { return nil })
			return err
		},
		"g": func() error {
			r.server.Faults().ExpireURLs()
			return r.client.ReadContent(t.Context(), n.Handle, 0, 10, &bytes.Buffer{})
		},
	}
	for name, ask := range questions {
		ask := func(fault string) {
			if err := ask(); err != nil {
				require.True(t, isTyped(err), "%s, %s: %v", name, fault, err)
			}
			r.server.Faults().Clear()
			require.NoError(t, ask(), "%s after %s", name, fault)
		}
		for code := -1; code >= int(megaclient.ESUBUSERKEYMISSING)-1; code-- {
			switch megaclient.ErrorCode(code) {
			case megaclient.ESID, megaclient.EBLOCKED: // TestEndedSession, TestBlockedWhileLoggedIn
				continue
			case megaclient.ERATELIMIT: // slows all that follows: TestRateLimitSlows
				continue
			}
			r.server.Faults().FailCommand(name, code, 1)
			ask(fmt.Sprint("refused with ", code))
			r.server.Faults().FailBatch(name, code, 1)
			ask(fmt.Sprint("a request refused with ", code))
		}
		for _, status := range everyStatus() {
			if status != http.StatusTooManyRequests { // asks for a second's rest
				r.server.Faults().FailHTTP(megatest.API, status, 1)
				ask(fmt.Sprint("answered ", status))
			}
		}
	}
}

// Nobody is sent elsewhere: not with a command, whose address holds the session, nor for content.
func TestRedirectsAreNotFollowed(t *testing.T) {
	r := newRig(t)
	n := r.put("file", content(10))
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	r.server.Faults().AnswerDownloads(1, func(w http.ResponseWriter, req *http.Request, _ []byte) {
		http.Redirect(w, req, elsewhere.URL, http.StatusFound)
	})
	r.equal(content(10), r.get(n))

	api := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(api.Close)
	c, err := megaclient.NewBare(megaclient.Config{APIURL: api.URL})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	megaclient.SetUnreachable(c, time.Millisecond)
	require.ErrorIs(t, c.Ask(t.Context(), map[string]string{"a": "uq"}, nil), megaclient.ErrUnreachable)
	require.Zero(t, asked.Load())
}

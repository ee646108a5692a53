package megaclient_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
)

var question = map[string]string{"a": "ug"}

// cut ends the connection without an answer.
func cut() { panic(http.ErrAbortHandler) }

func TestTroubleIsRetriedWithTheSameRequest(t *testing.T) {
	trouble := map[string]func(w http.ResponseWriter){
		"busy":         func(w http.ResponseWriter) { _, _ = io.WriteString(w, "-3") },
		"rate":         func(w http.ResponseWriter) { _, _ = io.WriteString(w, "-4") },
		"busy command": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "[-3]") },
		"busy in form": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"err":-3}`) },
		"500":          func(w http.ResponseWriter) { w.WriteHeader(500) },
		"503":          func(w http.ResponseWriter) { w.WriteHeader(503) },
		"redirect":     func(w http.ResponseWriter) { w.Header().Set("Location", "/elsewhere"); w.WriteHeader(302) },
		"cut":          func(http.ResponseWriter) { cut() },
		"half an answer": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "50")
			_, _ = io.WriteString(w, `[{"u":`)
		},
		"a web page":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, `<html>`) },
		"broken JSON": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `[{"u":]`) },
	}
	for name, fn := range trouble {
		t.Run(name, func(t *testing.T) {
			n := 0
			s := newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
				if n++; n <= 2 {
					fn(w)
					return
				}
				_, _ = io.WriteString(w, `[{"u":"UUUUUUUUUUU","email":"a@b.c","name":"N"}]`)
			})
			account, err := s.resume(t).Account(t.Context())
			require.NoError(t, err)
			require.Equal(t, megaclient.Account{User: stubUser, Email: "a@b.c", Name: "N"}, account)
			seen := s.seen()
			require.Len(t, seen, 3)
			require.Equal(t, seen[0], seen[1])
			require.Equal(t, seen[0], seen[2])
			require.Len(t, seen[0].id, 10)
		})
	}
}

func TestIdsDiffer(t *testing.T) {
	s := saying(t, "[0]")
	c := s.resume(t)
	ids := make(map[string]bool)
	for range 50 {
		require.NoError(t, c.Ask(t.Context(), question, nil))
	}
	for _, r := range s.seen() {
		ids[r.id] = true
	}
	require.Len(t, ids, 50)
}

func TestRefusalsAreTyped(t *testing.T) {
	for answer, want := range map[string]megaclient.ErrorCode{
		"[-9]": megaclient.ENOENT, "-9": megaclient.ENOENT, `[{"err":-11}]`: megaclient.EACCESS,
		`{"err":-6,"u":7,"l":2}`: megaclient.ETOOMANY, "[-12345]": megaclient.ErrorCode(-12345),
	} {
		err := saying(t, answer).resume(t).Ask(t.Context(), question, nil)
		require.ErrorIs(t, err, want, answer)
		var refusal *megaclient.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "ug", refusal.Command)
		require.NotErrorIs(t, err, megaclient.ESID)
	}
	var refusal *megaclient.Error
	require.ErrorAs(t, saying(t, `{"err":-6,"u":7,"l":2}`).resume(t).Ask(t.Context(), question, nil), &refusal)
	require.Equal(t, megaclient.Error{Code: -6, Command: "ug", User: 7, Link: 2}, *refusal)
}

// demanding makes a stub that wants a puzzle solved before it gives its answer.
func demanding(t *testing.T, answer string) *stub {
	header := "1:255:1700000000:" + base64.RawURLEncoding.EncodeToString(make([]byte, 48))
	challenge, err := megacrypto.ParseHashcash(header)
	require.NoError(t, err)
	return newStub(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		if proof := r.Header.Get("X-Hashcash"); proof == "" || !challenge.Verify(proof) {
			w.Header().Set("X-Hashcash", header)
			w.WriteHeader(http.StatusPaymentRequired)
			return
		}
		_, _ = io.WriteString(w, answer)
	})
}

func TestHashcashIsSolvedForTheSameRequest(t *testing.T) {
	s := demanding(t, "[0]")
	require.NoError(t, s.resume(t).Ask(t.Context(), question, nil))
	seen := s.seen()
	require.Len(t, seen, 2)
	require.Equal(t, seen[0].id, seen[1].id)
	require.Equal(t, seen[0].body, seen[1].body)
}

// As long as it isn't known whether the server is done, nothing more is sent: that question, too, may cost a puzzle.
func TestHashcashBeforeTheServerSaysWhetherItIsBusy(t *testing.T) {
	c := demanding(t, "1").resume(t)
	megaclient.SetUnreachable(c, time.Millisecond)
	busy, err := c.Busy(t.Context())
	require.NoError(t, err)
	require.False(t, busy)
}

func TestHashcashCanBeCancelled(t *testing.T) {
	asked := make(chan struct{}, 10)
	s := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("X-Hashcash", "1:0:1700000000:"+strings.Repeat("A", 64)) // takes hours
		w.WriteHeader(http.StatusPaymentRequired)
		asked <- struct{}{}
	})
	c := s.resume(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	require.ErrorIs(t, c.Ask(ctx, question, nil), context.Canceled)
	require.Len(t, s.seen(), 1)
}

func TestRateLimitSlows(t *testing.T) {
	c := saying(t, "-4", "-4", "-4", "[0]").resume(t)
	before := megaclient.RequestRate(c)
	require.NoError(t, c.Ask(t.Context(), question, nil))
	require.InDelta(t, before/8, megaclient.RequestRate(c), 1)
}

func TestBusyServerIsWaitedForUntilTheContextEnds(t *testing.T) {
	c := saying(t, "-3").resume(t)
	megaclient.SetUnreachable(c, 100*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // longer than that
	defer cancel()
	require.ErrorIs(t, c.Ask(ctx, question, nil), context.DeadlineExceeded)
}

func TestUnreachableServer(t *testing.T) {
	s := saying(t, "0")
	s.URL = nobody
	defer megaclient.SetHurried(300 * time.Millisecond)()
	c := s.resume(t)
	c.Hurry()
	err := c.Ask(t.Context(), question, nil)
	require.ErrorIs(t, err, megaclient.ErrUnreachable)
	require.NotContains(t, err.Error(), stubSession().SID)
	require.Error(t, c.Connection().Err)
	_, err = megaclient.Login(t.Context(), megaclient.Config{APIURL: s.URL}, "a@b.c", "p", "")
	require.ErrorIs(t, err, megaclient.ErrUnreachable)
}

func TestSilentServerIsGivenUp(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() }
	c := newStub(t, silent).resume(t)
	megaclient.SetIdle(c, 20*time.Millisecond)
	megaclient.SetUnreachable(c, 300*time.Millisecond)
	require.ErrorIs(t, c.Ask(t.Context(), question, nil), megaclient.ErrUnreachable)

	s := newStub(t, silent) // which sees nothing of what the other gave up
	patient := s.resume(t)
	megaclient.SetIdle(patient, 400*time.Millisecond)
	megaclient.SetUnreachable(patient, 300*time.Millisecond) // less than that
	require.ErrorIs(t, patient.Ask(t.Context(), question, nil), megaclient.ErrUnreachable)
	require.Len(t, s.seen(), 1, "the silence counts from the first request on")
}

func TestEndedSession(t *testing.T) {
	s := saying(t, "-15", "[0]")
	c := s.resume(t)
	err := c.Ask(t.Context(), question, nil)
	require.ErrorIs(t, err, megaclient.ESID)
	require.Contains(t, err.Error(), "log in again")
	require.ErrorIs(t, c.Ask(t.Context(), question, nil), megaclient.ESID)
	require.Len(t, s.seen(), 1, "an ended session is not asked again")
}

func TestBlockedAccount(t *testing.T) {
	s := newStub(t, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		if strings.Contains(string(body), "whyamiblocked") {
			_, _ = io.WriteString(w, "[700]")
			return
		}
		_, _ = io.WriteString(w, "-16")
	})
	err := s.resume(t).Ask(t.Context(), question, nil)
	var blocked *megaclient.BlockedError
	require.ErrorAs(t, err, &blocked)
	require.Equal(t, 700, blocked.Reason)
	require.ErrorIs(t, err, megaclient.EBLOCKED)
	require.Contains(t, err.Error(), "e-mail")
}

func TestABlockedFileIsNoBlockedAccount(t *testing.T) {
	s := saying(t, "[-16]")
	err := s.resume(t).Ask(t.Context(), map[string]string{"a": "g"}, nil)
	require.ErrorIs(t, err, megaclient.EBLOCKED)
	var blocked *megaclient.BlockedError
	require.False(t, errors.As(err, &blocked))
	require.Len(t, s.seen(), 1)
}

func TestClosedClient(t *testing.T) {
	reached := make(chan struct{})
	s := newStub(t, func(_ http.ResponseWriter, r *http.Request, _ []byte) { close(reached); <-r.Context().Done() })
	c := s.resume(t)
	go func() { <-reached; c.Close() }()
	require.ErrorIs(t, c.Ask(t.Context(), question, nil), megaclient.ErrClosed)
	require.ErrorIs(t, c.Ask(t.Context(), question, nil), megaclient.ErrClosed)
}

func TestDecompressionBomb(t *testing.T) {
	s := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `[`)
		for range 32 {
			_, _ = z.Write(make([]byte, 1<<20))
		}
		_ = z.Close()
	})
	c := s.resume(t)
	megaclient.SetUnreachable(c, 300*time.Millisecond)
	require.ErrorIs(t, c.Ask(t.Context(), question, nil), megaclient.ErrBadAnswer)
}

func TestDeepAnswer(t *testing.T) {
	c := saying(t, "["+strings.Repeat(`{"a":`, 100)+"0"+strings.Repeat("}", 100)+"]").resume(t)
	megaclient.SetUnreachable(c, 300*time.Millisecond)
	require.ErrorIs(t, c.Ask(t.Context(), question, nil), megaclient.ErrBadAnswer)
}

func TestAddressesAreForcedToHTTPS(t *testing.T) {
	secret, err := megaclient.Resume(megaclient.Config{}, stubSession())
	require.NoError(t, err)
	defer secret.Close()
	plain, err := megaclient.Resume(megaclient.Config{APIURL: "http://127.0.0.1:1/"}, stubSession())
	require.NoError(t, err)
	defer plain.Close()
	for raw, want := range map[string][2]string{
		"https://a.b/c": {"https://a.b/c", "https://a.b/c"},
		"http://a.b/c":  {"https://a.b/c", "http://a.b/c"},
		"https://a.b/" + strings.Repeat("c", 1<<20): {},
		"file:///etc/passwd":                        {}, "ftp://a.b/": {}, "": {}, "https://": {}, "https://u:p@a.b/": {}, "/x": {}, ":": {},
	} {
		for i, c := range []*megaclient.Client{secret, plain} {
			got, err := c.SecureURL(raw)
			if want[i] == "" {
				require.Error(t, err, raw)
			}
			require.Equal(t, want[i], got)
		}
	}
	for _, bad := range []string{"ftp://x", "mega.nz", "http://", "https://x?y", "https://u@x", "::"} {
		_, err := megaclient.Resume(megaclient.Config{APIURL: bad}, stubSession())
		require.Error(t, err, bad)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	require.EqualValues(t, tls.VersionTLS12, megaclient.MinTLS())
}

func TestResumeChecksTheSession(t *testing.T) {
	good := stubSession()
	for name, spoil := range map[string]func(*megaclient.Session){
		"no sid":    func(s *megaclient.Session) { s.SID = "" },
		"short sid": func(s *megaclient.Session) { s.SID = "AAAA" },
		"no user":   func(s *megaclient.Session) { s.User = "x" },
	} {
		s := good
		spoil(&s)
		_, err := megaclient.Resume(megaclient.Config{}, s)
		require.ErrorContains(t, err, "log in again", name)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s := stubSession()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", "secret name")
	key := []byte("secret key bytes")
	for _, v := range []any{
		s, &s, megaclient.Node{Key: key, Attrs: attrs, RawKey: s.SID}, &megaclient.Node{Key: key, Attrs: attrs},
		megaclient.NewNode{Key: key, Attrs: attrs}, megaclient.KeyedNode{Key: key}, megaclient.SetAttrs{Key: key, Attrs: attrs},
		megaclient.PutNodes{Nodes: []megaclient.NewNode{{Key: key, Attrs: attrs}}},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			text := fmt.Sprintf(verb, v)
			require.NotContains(t, text, "secret")
			require.NotContains(t, text, s.SID)
			require.NotContains(t, text, fmt.Sprintf("%x", key))
		}
	}
}

func TestErrorTexts(t *testing.T) {
	require.Equal(t, "MEGA command p: over quota (-17)", (&megaclient.Error{Code: -17, Command: "p"}).Error())
	require.Equal(t, "MEGA: MEGA error -99", (&megaclient.Error{Code: -99}).Error())
	quota := &megaclient.OverQuotaError{Left: 90 * time.Second}
	require.True(t, errors.Is(quota, megaclient.EOVERQUOTA))
	require.Contains(t, quota.Error(), "1m30s")
}

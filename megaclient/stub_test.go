package megaclient_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"

	"github.com/stretchr/testify/require"
)

// never is longer than any test runs.
const never = 24 * time.Hour

const stubUser megaclient.UserHandle = "UUUUUUUUUUU"

// seen is a request that a stub got.
type seen struct {
	id, proof, body string
}

// stub is a command server that says what a test wants, for what no honest server would say.
type stub struct {
	*httptest.Server

	mu       sync.Mutex
	requests []seen
}

// newStub makes a stub whose answers come from fn.
func newStub(t testing.TB, fn func(w http.ResponseWriter, r *http.Request, body []byte)) *stub {
	s := &stub{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, seen{r.URL.Query().Get("id"), r.Header.Get("X-Hashcash"), string(body)})
		s.mu.Unlock()
		fn(w, r, body)
	}))
	t.Cleanup(s.Server.Close)
	return s
}

// saying makes a stub that gives these answers, the last one for ever.
func saying(t testing.TB, answers ...string) *stub {
	var mu sync.Mutex
	return newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.WriteString(w, answers[0])
		if len(answers) > 1 {
			answers = answers[1:]
		}
	})
}

func (s *stub) seen() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.requests...)
}

// nobody is an address where nothing listens. That of a server which was closed somebody else may get.
const nobody = "http://127.0.0.1:1"

func stubSession() megaclient.Session {
	return megaclient.Session{SID: megacrypto.EncodeBase64(make([]byte, 43)), MasterKey: megacrypto.Key{1, 2, 3}, User: stubUser}
}

// resume makes a client of the stub with a session.
func (s *stub) resume(t testing.TB) *megaclient.Client {
	c, err := megaclient.Resume(megaclient.Config{APIURL: s.URL}, stubSession())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// handleOf makes a handle of a number.
func handleOf(n int) megaclient.Handle {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return megaclient.Handle(megacrypto.EncodeBase64(b[2:]))
}

// wireFile makes the JSON of a file whose key is encrypted with kek under the name owner.
func wireFile(h, parent megaclient.Handle, owner string, kek megacrypto.Key, name string) string {
	k := megacrypto.NewFileKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", name)
	a, err := megacrypto.EncryptAttributes(k.Key, attrs)
	if err != nil {
		panic(err)
	}
	key, err := megacrypto.EncryptKey(kek, k.Pack())
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"h":"%s","p":"%s","u":"%s","t":0,"a":"%s","k":"%s:%s","s":%d,"ts":1700000000}`,
		h, parent, stubUser, a, owner, megacrypto.EncodeBase64(key), 1000)
}

// wireFolder makes the JSON of a folder; more goes into it as it is.
func wireFolder(h, parent megaclient.Handle, name, more string) string {
	key := megacrypto.NewKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", name)
	a, err := megacrypto.EncryptAttributes(key, attrs)
	if err != nil {
		panic(err)
	}
	sealed, err := megacrypto.EncryptKey(stubSession().MasterKey, key[:])
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"h":"%s","p":"%s","u":"%s","t":1,"a":"%s","k":"%s:%s","ts":1700000000%s}`,
		h, parent, stubUser, a, stubUser, megacrypto.EncodeBase64(sealed), more)
}

// tree makes the answer of a full fetch.
func tree(nodes []string, more string) string {
	return `[{"f":[` + strings.Join(nodes, ",") + `]` + more + `,"sn":"AAAAAAAAAAA"}]`
}

// asError is errors.As for conditions.
func asError[T error](err error, target *T) bool { return errors.As(err, target) }

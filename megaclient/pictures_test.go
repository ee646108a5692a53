package megaclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// pictures is an account with a file that has a picture, which can be stored anew and fetched.
type pictures struct {
	*testing.T
	server  *megatest.Server
	account *megatest.Account
	client  *megaclient.Client
	hurried *megaclient.Client // doesn't wait for long
	file    string
	key     megacrypto.FileKey
}

// onePicture is longer than what comes in one piece.
var onePicture = bytes.Repeat([]byte("thumbnail "), 20_000)

func newPictures(t *testing.T) *pictures {
	server, a := newWorld(t, megatest.V1())
	p := &pictures{T: t, server: server, account: a, client: login(t, server, a), hurried: login(t, server, a)}
	megaclient.SetIdle(p.hurried, time.Second)
	megaclient.SetStall(p.hurried, time.Second)
	p.file = a.PutFile(a.Root(), "picture", []byte("content"), time.Unix(1e9, 0))
	var err error
	p.key, err = megacrypto.UnpackFileKey(a.Key(p.file))
	require.NoError(t, err)
	require.NoError(t, p.store(p.client))
	return p
}

func (p *pictures) store(c *megaclient.Client) error {
	return c.AttachFileAttrs(p.Context(), megaclient.Handle(p.file), p.key, map[megaclient.FileAttrType][]byte{megaclient.Thumbnail: onePicture})
}

// fetch fails also where the picture is another one.
func (p *pictures) fetch(c *megaclient.Client) error {
	fa, ok := megaclient.ParseFileAttr(p.account.FileAttrs(p.file), megaclient.Thumbnail)
	require.True(p, ok)
	var got []byte
	err := c.FetchFileAttrs(p.Context(), []megaclient.FileAttr{fa}, func(_ megaclient.FileAttr, data []byte) {
		plain, err := megaclient.OpenFileAttr(p.key, data)
		require.NoError(p, err)
		got = plain
	})
	if err == nil && !bytes.HasPrefix(got, onePicture) {
		return errAnother
	}
	return err
}

var errAnother = errors.New("it is another picture, or none")

// eachWay has something go wrong with a picture on its way up and on its way down: the error says what, and the next time
// it is right.
func (p *pictures) eachWay(what string, wrong func()) {
	p.Helper()
	for way, do := range map[string]func(*megaclient.Client) error{"up": p.store, "down": p.fetch} {
		wrong()
		gaveUp := false // who is in a hurry may be gone before it happens, and find all well when he comes again
		for hit := p.server.Stats().Faults; p.server.Stats().Faults == hit; {
			err := do(p.hurried)
			if err == nil && gaveUp {
				break
			}
			require.True(p, isTyped(err) || errors.Is(err, megaclient.ErrBadAnswer) || errors.Is(err, errAnother), "%s, %s: %v", way, what, err)
			gaveUp = true
		}
		p.server.Faults().Clear()
		require.NoError(p, p.fetch(p.client), "%s, after %s", way, what)
		require.NoError(p, p.store(p.client), "%s, after %s", way, what)
	}
}

func TestEveryStatusOfPictures(t *testing.T) {
	p := newPictures(t)
	for _, status := range everyStatus() {
		p.eachWay(fmt.Sprint("answered ", status), func() { p.server.Faults().FailHTTP(megatest.Pictures, status, 1) })
	}
}

func TestBadAnswersForPictures(t *testing.T) {
	p := newPictures(t)
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
	for what, answer := range map[string]func(w http.ResponseWriter, r *http.Request, content []byte){
		"a cut before the answer": func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) },
		"a cut in its middle": func(w http.ResponseWriter, _ *http.Request, content []byte) {
			_, _ = w.Write(content[:len(content)/2])
			flush(w)
			panic(http.ErrAbortHandler)
		},
		"a length that is too large": func(w http.ResponseWriter, _ *http.Request, content []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)+1))
			_, _ = w.Write(content)
		},
		"a length that is too small": func(w http.ResponseWriter, _ *http.Request, content []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)/2))
			_, _ = w.Write(content[:len(content)/2])
		},
		"silence": func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() },
		"silence in its middle": func(w http.ResponseWriter, r *http.Request, content []byte) {
			_, _ = w.Write(content[:len(content)/2])
			flush(w)
			<-r.Context().Done()
		},
		"a byte now and then": func(w http.ResponseWriter, r *http.Request, content []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(onePicture)))
			for r.Context().Err() == nil {
				_, _ = w.Write(content[:1])
				flush(w)
				time.Sleep(10 * time.Millisecond)
			}
		},
		"a web page": func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			_, _ = w.Write(bytes.Repeat([]byte("<html>a hotel's network</html>"), 100))
		},
		"nothing": func(http.ResponseWriter, *http.Request, []byte) {},
		"a picture that has no end": func(w http.ResponseWriter, r *http.Request, content []byte) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		},
		"a picture of another length": func(w http.ResponseWriter, _ *http.Request, content []byte) {
			_, _ = w.Write(append(content[:len(content)/2:len(content)/2], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
		},
	} {
		p.eachWay(what, func() { p.server.Faults().AnswerPictures(1, answer) })
	}
}

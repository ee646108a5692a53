package integration

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// liar stands between the program and an honest server and changes what that answers.
type liar struct {
	url string

	mu   sync.Mutex
	lie  func(path, asked, answer string) string // GUARDED_BY(mu); nil for the truth
	told int                                     // GUARDED_BY(mu); answers that were changed
}

func newLiar(t *testing.T, honest string) *liar {
	t.Helper()
	target, err := url.Parse(honest)
	require.NoError(t, err)
	l := &liar{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(resp *http.Response) error {
		asked, _ := resp.Request.Context().Value(askedKey{}).(string)
		l.mu.Lock()
		lie := l.lie
		l.mu.Unlock()
		if lie == nil || !strings.HasPrefix(resp.Request.URL.Path, "/cs") && !strings.HasPrefix(resp.Request.URL.Path, "/sc") {
			return nil
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if resp.Header.Get("Content-Encoding") == "gzip" {
			r, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				return err
			}
			if body, err = io.ReadAll(r); err != nil {
				return err
			}
			resp.Header.Del("Content-Encoding")
		}
		honest := body
		if body = []byte(lie(resp.Request.URL.Path, asked, string(body))); !bytes.Equal(body, honest) {
			l.mu.Lock()
			l.told++
			l.mu.Unlock()
		}
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return nil
	}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/cs") {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			r = r.WithContext(context.WithValue(r.Context(), askedKey{}, string(body)))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	l.url = s.URL
	return l
}

type askedKey struct{}

func (l *liar) tell(lie func(path, asked, answer string) string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
}

func (l *liar) hasLied() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told > 0
}

func replacing(command, pattern, with string) func(path, asked, answer string) string {
	re := regexp.MustCompile(pattern)
	return func(path, asked, answer string) string {
		if command == "sc" && strings.HasPrefix(path, "/sc") || strings.Contains(asked, `"a":"`+command+`"`) {
			return re.ReplaceAllString(answer, with)
		}
		return answer
	}
}

// lies are what no honest server says. The mount may refuse, wait or show less; it may not die, hang for ever, or lose
// what was written.
var lies = map[string]func(path, asked, answer string) string{
	"g: negative size":             replacing("g", `"s":\d+`, `"s":-1`),
	"g: huge size":                 replacing("g", `"s":\d+`, `"s":9223372036854775807`),
	"g: smaller size":              replacing("g", `"s":\d+`, `"s":1`),
	"g: larger size":               replacing("g", `"s":(\d+)`, `"s":${1}0`),
	"g: no URL":                    replacing("g", `"g":"[^"]*"`, `"g":7`),
	"g: six URLs":                  replacing("g", `"g":("[^"]*")`, `"g":[$1,$1,$1,$1,$1,$1]`),
	"g: another scheme":            replacing("g", `"g":"http:`, `"g":"file:`),
	"g: null":                      replacing("g", `^\[\{.*`, `[null]`),
	"g: time left":                 replacing("g", `"tl":0`, `"tl":-9223372036854775808,"e":-17`),
	"f: huge size":                 replacing("f", `"s":\d+`, `"s":99999999999999999999`),
	"f: negative size":             replacing("f", `"s":\d+`, `"s":-5`),
	"f: size as text":              replacing("f", `"s":\d+`, `"s":"12"`),
	"f: larger size":               replacing("f", `"s":(\d+)`, `"s":${1}0`),
	"f: own parent":                replacing("f", `"h":"([^"]*)","p":"[^"]*"`, `"h":"$1","p":"$1"`),
	"f: no parents":                replacing("f", `"p":"[^"]*"`, `"p":"ZZZZZZZZ"`),
	"f: all folders":               replacing("f", `"t":0`, `"t":1`),
	"f: all files":                 replacing("f", `"t":1`, `"t":0`),
	"f: five roots":                replacing("f", `"t":[34]`, `"t":2`),
	"f: times":                     replacing("f", `"ts":\d+`, `"ts":-9223372036854775808`),
	"f: far times":                 replacing("f", `"ts":\d+`, `"ts":9223372036854775807`),
	"f: objects everywhere":        replacing("f", `"(a|k|fa|u)":"[^"]*"`, `"$1":{"x":[1]}`),
	"f: no sn":                     replacing("f", `"sn":"[^"]*"`, `"sn":5`),
	"f: deep":                      replacing("f", `"sn":`, `"deep":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`,"sn":`),
	"p: no nodes":                  replacing("p", `^\[\{.*`, `[{"f":[]}]`),
	"p: zero":                      replacing("p", `^\[\{.*`, `[0]`),
	"p: another's key":             replacing("p", `"k":"[^"]*"`, `"k":"AAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`),
	"p: no handles":                replacing("p", `"h":"[^"]*"`, `"h":""`),
	"p: twice as many answers":     replacing("p", `^\[(.*)\]$`, `[$1,$1]`),
	"u: another scheme":            replacing("u", `"p":"http:`, `"p":"gopher:`),
	"u: no URL":                    replacing("u", `"p":"[^"]*"`, `"p":null`),
	"uq: nonsense":                 replacing("uq", `"(mstrg|cstrg)":\d+`, `"$1":-1e300`),
	"uq: full":                     replacing("uq", `"mstrg":\d+`, `"mstrg":0`),
	"sc: own parent":               replacing("sc", `"h":"([^"]*)","p":"[^"]*"`, `"h":"$1","p":"$1"`),
	"sc: packets of wrong types":   replacing("sc", `"(n|t|m)":`, `"$1":[{}],"x$1":`),
	"sc: packets without an sn":    replacing("sc", `"sn":"[^"]*"`, `"sn":0`),
	"sc: everything removed":       replacing("sc", `\{"a":"t"`, `{"a":"q"`),
	"sc: wait elsewhere":           replacing("sc", `"w":"[^"]*"`, `"w":"ftp://x/"`),
	"sc: refused for good":         replacing("sc", `^.*$`, `-1`),
	"sc: no permission":            replacing("sc", `^.*$`, `-11`),
	"sc: too many":                 replacing("sc", `^.*$`, `-6`),
	"all: web page":                func(_, _, _ string) string { return "<html><body>Log in to this hotel's network</body></html>" },
	"all: nothing":                 func(_, _, _ string) string { return "" },
	"all: numbers beyond all size": func(_, _, _ string) string { return "-99999999999999999999999" },
}

func TestHostileServer(t *testing.T) {
	needs.FUSE(t)
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, account := program.WithAccount(t)
			folder := account.Mkdir(account.Root(), "folder")
			content := bytes.Repeat([]byte("content "), 40_000)
			account.PutFile(folder, "there", content, megatestTime)
			account.PutFile(account.Root(), "empty", nil, megatestTime)
			l := newLiar(t, p.Server.URL())
			p.Env = append(p.Env, "MEGADISK_API_URL="+l.url)
			p.Login()
			inFetch := strings.HasPrefix(name, "f:")
			if inFetch {
				l.tell(lie) // also the first fetch
				mounted := make(chan struct{})
				go func() { _, _, _ = p.Try("", "mount", p.Point); close(mounted) }()
				select {
				case <-mounted:
				case <-time.After(2 * time.Second): // it may wait for a tree that makes sense
				}
				_ = exec.Command("timeout", "2", "ls", "-lR", p.Point).Run()
				_ = exec.Command("timeout", "2", "cat", filepath.Join(p.Point, "folder/there")).Run()
				require.Eventually(t, l.hasLied, bounded, 10*time.Millisecond, "there was a lie")
				l.tell(nil)
				<-mounted
				p.Server.Faults().ForgetPackets()
			} else {
				if strings.HasPrefix(name, "uq:") {
					l.tell(lie) // it is asked for at the start
				}
				p.Run("mount", p.Point)
			}
			l.tell(lie)
			before := p.Statuses()
			if !inFetch || len(before) == 1 {
				require.Len(t, before, 1)
				_ = exec.Command("timeout", "2", "cat", filepath.Join(p.Point, "folder/there")).Run()
				require.NoError(t, os.WriteFile(filepath.Join(p.Point, "written"), content, 0o644))
				account.PutFile(folder, "elsewhere", []byte("x"), megatestTime)
				cmd := p.Command("flush")
				require.NoError(t, cmd.Start())
				done := make(chan struct{})
				go func() { _ = cmd.Wait(); close(done) }()
				select {
				case <-done:
				case <-time.After(2 * time.Second):
					_ = cmd.Process.Kill()
					<-done
				}
				require.Equal(t, before[0].PID, p.Statuses()[0].PID, "it lives")
				_ = exec.Command("timeout", "2", "ls", "-lR", p.Point).Run()
			}
			require.Eventually(t, func() bool {
				if !l.hasLied() { // two seconds were not enough to ask for it
					_ = exec.Command("timeout", "2", "cat", filepath.Join(p.Point, "folder/there")).Run()
				}
				return l.hasLied()
			}, bounded, 10*time.Millisecond, "there was a lie")
			l.tell(nil)
			for _, log := range p.Logs() {
				text, err := os.ReadFile(log)
				require.NoError(t, err)
				require.NotContains(t, string(text), "goroutine ")
				require.NotContains(t, string(text), "panic")
			}
			if len(before) == 1 {
				got, err := os.ReadFile(filepath.Join(p.Point, "written"))
				require.NoError(t, err)
				require.Equal(t, content, got)
				if !inFetch {
					account.PutFile(account.Root(), "later", []byte("later"), megatestTime)
					if name != "sc: wait elsewhere" { // it waits a minute by itself then
						requireEventuallyFile(t, filepath.Join(p.Point, "later"), "later")
					}
					p.Run("flush")
					require.Equal(t, content, account.ReadFile(handleOf(t, account, "written")), "once the server is honest again all goes up")
				}
			}
		})
	}
}

// A link into a folder that its server says to lie below itself ends neither the command nor the process of a mount: what is
// in it is copied once.
func TestLinkToAFolderThatContainsItself(t *testing.T) {
	p, account := program.WithAccount(t)
	public := account.Mkdir(account.Root(), "public")
	outer := account.Mkdir(public, "outer")
	inner := account.Mkdir(outer, "inner")
	account.PutFile(inner, "f", []byte("text"), megatestTime)
	link := account.Export(public) + "/folder/" + outer
	l := newLiar(t, p.Server.URL())
	p.Env = append(p.Env, "MEGADISK_API_URL="+l.url)
	p.Login()
	p.Mount()
	before := p.Statuses()[0].PID
	lie := replacing("f", `"h":"`+outer+`","p":"[^"]*"`, `"h":"`+outer+`","p":"`+inner+`"`)
	l.tell(lie)
	p.Run("get", link, filepath.Join(p.Dir, "got"))
	p.Run("import", link, filepath.Join(p.Point, "got"))
	for _, dir := range []string{p.Dir, p.Point} {
		text, err := os.ReadFile(filepath.Join(dir, "got/inner/f"))
		require.NoError(t, err)
		require.Equal(t, "text", string(text))
		require.NoDirExists(t, filepath.Join(dir, "got/inner/outer"))
	}
	require.True(t, l.hasLied())
	require.Equal(t, before, p.Statuses()[0].PID, "it lives")
}

package megatest_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// example is one request that megajs or go-mega really sent, with an answer that satisfied it.
type example struct {
	Client, Method, URL, Note string
	Body                      json.RawMessage
	BodyHex                   *string `json:"body_hex"`
	Response                  any
	ResponseHex               *string `json:"response_hex"`
}

// wire replays recorded requests: what was particular to the recording server (handles, session,
// tokens, URLs) is replaced by what this one gave.
type wire struct {
	t                         *testing.T
	c                         *raw
	v1, v2                    *megatest.Account
	file, dir, made           string
	sid, sn, wait             string
	uploadURL, downloadURL    string
	fileAttrURL, token, thumb string
}

func TestRecordedRequests(t *testing.T) {
	data, err := os.ReadFile("testdata/wire_examples.json")
	require.NoError(t, err)
	var recording struct{ Vectors []example }
	require.NoError(t, json.Unmarshal(data, &recording))
	s := newServer(t, megatest.WithWaitTime(time.Millisecond))
	w := &wire{t: t, c: newRaw(t, s)}
	w.v1 = s.AddAccount("v1user@example.com", password, megatest.V1())
	w.v2 = s.AddAccount("user@example.com", password)
	w.dir = w.v2.Mkdir(w.v2.Root(), "dir")
	replayed := 0
	for i, e := range recording.Vectors {
		if e.Method == "" {
			continue // a note about what the client made of it
		}
		name := fmt.Sprintf("%d: %s %s %s", i, e.Client, e.URL, e.Body)
		w.replay(e, name)
		replayed++
	}
	require.Greater(t, replayed, 40)
}

func (w *wire) replay(e example, name string) {
	if !w.v2.Exists(w.file) {
		w.file = w.v2.PutFile(w.v2.Root(), "file", []byte("x"), zero)
	}
	path, _, _ := strings.Cut(e.URL, "?")
	switch {
	case path == "/cs":
		w.command(e, name)
	case path == "/sc":
		_, reply := w.c.post("/sc?sn="+w.sn+"&sid="+w.sid, "")
		w.sameShape(e.Response, decode(w.t, reply), name)
		w.wait = decode(w.t, reply).(object)["w"].(string)
	case path == "/wait":
		status, _ := w.send(e.Method, w.wait, "")
		require.Equal(w.t, 200, status, name)
	default:
		w.storage(e, path, name)
	}
}

func (w *wire) send(method, url, body string) (int, []byte) {
	if method == "GET" {
		return w.c.get(url)
	}
	return w.c.post(url, body)
}

// storage replays what goes to upload and download URLs; answers must have the recorded length.
func (w *wire) storage(e example, path, name string) {
	parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3) // ul/tok/0, dl/tok/0-0, ufa/0
	url := map[string]string{"ul": w.uploadURL, "dl": w.downloadURL, "ufa": w.fileAttrURL}[parts[0]]
	var body []byte
	if e.BodyHex != nil {
		body, _ = hex.DecodeString(*e.BodyHex)
	}
	status, reply := w.send(e.Method, url+"/"+parts[len(parts)-1], string(body))
	require.Equal(w.t, 200, status, name)
	require.Len(w.t, reply, len(*e.ResponseHex)/2, name)
	switch {
	case parts[0] == "ul" && len(reply) == 36:
		w.token = megacrypto.EncodeBase64(reply)
	case parts[0] == "ul":
		w.token = string(reply)
	case parts[0] == "ufa":
		w.thumb = megacrypto.EncodeBase64(reply)
	}
}

// command replays a batch and compares the shape of the answer.
func (w *wire) command(e example, name string) {
	var cmds []object
	require.NoError(w.t, json.Unmarshal(e.Body, &cmds))
	cmd := w.translate(cmds[0])
	body, err := json.Marshal([]any{cmd})
	require.NoError(w.t, err)
	w.c.id++
	path := fmt.Sprintf("/cs?id=%d", w.c.id)
	if strings.Contains(e.URL, "sid=") {
		path += "&sid=" + w.sid
	}
	_, reply := w.c.post(path, string(body))
	got := decode(w.t, reply)
	if cmd["a"] != "pfa" { // the recording server answered 0, a real one the whole string
		w.sameShape(e.Response, got, name)
	}
	w.learn(cmd, got.([]any)[0])
}

// translate puts this server's identifiers in the place of the recorded ones.
func (w *wire) translate(cmd object) object {
	b, _ := json.Marshal(cmd)
	text := strings.NewReplacer("FILEAAAA", w.file, "DIRAAAAA", w.dir, "ROOTAAAA", w.v2.Root(),
		"RUBBAAAA", w.v2.Rubbish(), "NEWAAAA1", w.made, "0*AQIDBAUGBwg", "0*"+w.thumb).Replace(string(b))
	var out object
	require.NoError(w.t, json.Unmarshal([]byte(text), &out))
	if out["a"] == "us" {
		out["uh"] = w.userHash(out["user"].(string))
	}
	if out["a"] == "p" {
		for _, n := range out["n"].([]any) {
			if n := n.(object); n["t"] == 0.0 {
				n["h"] = w.token
			}
		}
	}
	return out
}

func (w *wire) userHash(email string) string {
	if email == w.v1.Email {
		return megacrypto.UserHashV1(email, megacrypto.PasswordKeyV1(password))
	}
	pre := w.c.cmd(object{"a": "us0", "user": email}).(object)
	_, uh := megacrypto.DeriveV2(password, unb64(w.t, pre["s"]))
	return uh
}

// learn keeps what later requests refer to.
func (w *wire) learn(cmd object, result any) {
	switch cmd["a"] {
	case "us": // the session of the account that the tree belongs to
		c := newRaw(w.t, w.c.s)
		c.login(w.v2.Email, password, "")
		w.sid = c.sid
	case "f":
		w.sn = result.(object)["sn"].(string)
	case "u":
		w.uploadURL = result.(object)["p"].(string)
	case "g":
		w.downloadURL = result.(object)["g"].(string)
	case "ufa":
		w.fileAttrURL = result.(object)["p"].(string)
	case "p":
		if n := result.(object)["f"].([]any)[0].(object); n["t"] == 1.0 {
			w.made = n["h"].(string)
		}
	}
}

// sameShape checks that got has everything that want has, of the same kinds.
func (w *wire) sameShape(want, got any, name string) {
	w.t.Helper()
	require.IsType(w.t, want, got, name)
	switch want := want.(type) {
	case object:
		for key, v := range want {
			if key == "ts" || v == 0.0 && got.(object)[key] == nil {
				continue // the recording server said "x"
			}
			if key == "cstrgn" {
				require.Contains(w.t, got, key, name)
				continue // keyed by handle
			}
			require.Contains(w.t, got, key, name)
			w.sameShape(v, got.(object)[key], name+" ."+key)
		}
	case []any:
		list := got.([]any)
		if len(want) > 0 {
			require.NotEmpty(w.t, list, name)
			w.sameShape(want[0], list[0], name)
		}
	case float64:
		require.Equal(w.t, want < 0, got.(float64) < 0, name)
	}
}

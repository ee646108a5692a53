package megatest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// raw is the smallest possible client: it speaks the wire format by hand, so that what the tests check
// is the protocol and not our own client's idea of it.
type raw struct {
	t    *testing.T
	s    *megatest.Server
	http *http.Client
	sid  string
	link string
	id   int
	mk   megacrypto.Key
}

func newRaw(t *testing.T, s *megatest.Server) *raw {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &raw{t: t, s: s, http: &http.Client{Transport: tr}, id: rand.IntN(1 << 40)}
}

// newServer starts a server that ends with the test.
func newServer(t *testing.T, opts ...megatest.Option) *megatest.Server {
	s := megatest.NewServer(opts...)
	t.Cleanup(func() {
		require.NoError(t, s.CheckInvariants())
		s.Close()
	})
	return s
}

const password = "correct horse"

// login opens a session of an account made with the password above.
func login(t *testing.T, s *megatest.Server, a *megatest.Account) *raw {
	r := newRaw(t, s)
	r.login(a.Email, password, "")
	return r
}

type object = map[string]any

func (r *raw) login(email, password, mfa string) float64 {
	pre := r.cmd(object{"a": "us0", "user": email}).(object)
	var key megacrypto.Key
	var uh string
	if pre["v"] == 1.0 {
		key = megacrypto.PasswordKeyV1(password)
		uh = megacrypto.UserHashV1(email, key)
	} else {
		salt, err := megacrypto.DecodeBase64(pre["s"].(string))
		require.NoError(r.t, err)
		key, uh = megacrypto.DeriveV2(password, salt)
	}
	cmd := object{"a": "us", "user": email, "uh": uh}
	if mfa != "" {
		cmd["mfa"] = mfa
	}
	answer := r.cmd(cmd)
	if n, isNumber := answer.(float64); isNumber {
		return n
	}
	fields := answer.(object)
	mk, err := megacrypto.DecryptKey(key, unb64(r.t, fields["k"]))
	require.NoError(r.t, err)
	copy(r.mk[:], mk)
	plain, err := megacrypto.DecryptKey(r.mk, unb64(r.t, fields["privk"]))
	require.NoError(r.t, err)
	priv, err := megacrypto.ParsePrivateKey(plain)
	require.NoError(r.t, err)
	sid, err := priv.Decrypt(unb64(r.t, fields["csid"]), 43)
	require.NoError(r.t, err)
	r.sid = megacrypto.EncodeBase64(sid)
	return 0
}

func unb64(t *testing.T, v any) []byte {
	b, err := megacrypto.DecodeBase64(v.(string))
	require.NoError(t, err)
	return b
}

// cmd sends one command with a fresh id and returns its element of the answer, or a bare number.
func (r *raw) cmd(c object) any {
	r.t.Helper()
	r.id++
	answer := r.batch(fmt.Sprint(r.id), c)
	if list, isList := answer.([]any); isList {
		return list[0]
	}
	return answer
}

// code sends one command and expects a number.
func (r *raw) code(c object) int {
	r.t.Helper()
	n, isNumber := r.cmd(c).(float64)
	require.True(r.t, isNumber, "not a number for %v", c)
	return int(n)
}

// batch sends commands and returns the decoded answer.
func (r *raw) batch(id string, cmds ...object) any {
	r.t.Helper()
	body, err := json.Marshal(cmds)
	require.NoError(r.t, err)
	status, reply := r.post("/cs?id="+id+r.query(), string(body))
	require.Equal(r.t, 200, status)
	return decode(r.t, reply)
}

func (r *raw) query() string {
	q := ""
	if r.sid != "" {
		q += "&sid=" + r.sid
	}
	if r.link != "" {
		q += "&n=" + r.link
	}
	return q
}

func decode(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(b, &v), "%s", b)
	return v
}

// post sends a request to a path of the server, or to a whole URL.
func (r *raw) post(path, body string) (int, []byte) {
	r.t.Helper()
	status, reply, err := r.tryPost(path, body)
	require.NoError(r.t, err)
	return status, reply
}

func (r *raw) tryPost(path, body string) (int, []byte, error) {
	if strings.HasPrefix(path, "/") {
		path = r.s.URL() + path
	}
	resp, err := r.http.Post(path, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := io.ReadAll(resp.Body)
	return resp.StatusCode, reply, err
}

func (r *raw) get(url string) (int, []byte) {
	r.t.Helper()
	resp, err := r.http.Get(url)
	require.NoError(r.t, err)
	defer func() { _ = resp.Body.Close() }()
	reply, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return resp.StatusCode, reply
}

// fetch returns the f answer and its nodes by handle.
func (r *raw) fetch() (object, map[string]object) {
	r.t.Helper()
	answer, isObject := r.cmd(object{"a": "f", "c": 1, "r": 1}).(object)
	require.True(r.t, isObject)
	nodes := map[string]object{}
	for _, n := range answer["f"].([]any) {
		nodes[n.(object)["h"].(string)] = n.(object)
	}
	return answer, nodes
}

// poll asks sc once.
func (r *raw) poll(sn string) any {
	r.t.Helper()
	_, reply := r.post("/sc?sn="+sn+r.query(), "")
	return decode(r.t, reply)
}

// packets asks sc until nothing is new, and returns the packets and the new sn.
func (r *raw) packets(sn string) ([]object, string) {
	r.t.Helper()
	var all []object
	for {
		answer := r.poll(sn).(object)
		if answer["w"] != nil {
			return all, sn
		}
		for _, p := range answer["a"].([]any) {
			all = append(all, p.(object))
		}
		sn = answer["sn"].(string)
	}
}

// sealed encrypts a node's key and attributes for a p.
func (r *raw) folder(name string) object {
	key := megacrypto.NewKey()
	k, err := megacrypto.EncryptKey(r.mk, key[:])
	require.NoError(r.t, err)
	a := megacrypto.Attributes{}
	a.SetString("n", name)
	at, err := megacrypto.EncryptAttributes(key, a)
	require.NoError(r.t, err)
	return object{"h": "xxxxxxxx", "t": 1, "a": at, "k": megacrypto.EncodeBase64(k)}
}

// upload sends content in pieces of one chunk and returns the p entry of the file.
func (r *raw) upload(name string, content []byte) object {
	r.t.Helper()
	key := megacrypto.NewFileKey()
	c := megacrypto.NewCipher(key)
	size := int64(len(content))
	url := r.cmd(object{"a": "u", "s": size, "v": 2, "ssl": 2}).(object)["p"].(string)
	var macs []megacrypto.ChunkMAC
	var token []byte
	for i := range max(megacrypto.ChunkCount(size), 1) {
		start, end := int64(0), int64(0)
		if size > 0 {
			start, end = megacrypto.ChunkBounds(i, size)
		}
		piece := bytes.Clone(content[start:end])
		if size > 0 {
			macs = append(macs, c.ChunkMAC(piece))
		}
		c.XORKeyStreamAt(piece, piece, start)
		status, reply := r.post(fmt.Sprintf("%s/%d?d=%s", url, start, megacrypto.UploadChecksum(piece)), string(piece))
		require.Equal(r.t, 200, status)
		token = reply
	}
	require.Len(r.t, token, 36)
	key.MAC = c.MetaMAC(macs)
	k, err := megacrypto.EncryptKey(r.mk, key.Pack())
	require.NoError(r.t, err)
	a := megacrypto.Attributes{}
	a.SetString("n", name)
	at, err := megacrypto.EncryptAttributes(key.Key, a)
	require.NoError(r.t, err)
	return object{"h": megacrypto.EncodeBase64(token), "t": 0, "a": at, "k": megacrypto.EncodeBase64(k)}
}

// put sends a p and returns the handles of the new nodes.
func (r *raw) put(parent string, entries ...object) []string {
	r.t.Helper()
	answer, isObject := r.cmd(object{"a": "p", "t": parent, "n": entries}).(object)
	require.True(r.t, isObject, "%v", answer)
	var handles []string
	for _, n := range answer["f"].([]any) {
		handles = append(handles, n.(object)["h"].(string))
	}
	return handles
}

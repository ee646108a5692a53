package megatest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"megadisk/megaclient/megacrypto"
)

// faURL is an address for file attributes (thumbnails, previews): to store so many bytes, or to fetch.
type faURL struct {
	size  int64
	fetch bool
}

// maxFileAttr bounds one file attribute.
const maxFileAttr = 16 << 20

// cmdFileAttrURL is ufa (PROTOCOL 3.8).
func cmdFileAttrURL(c *call) (any, code) {
	var a struct {
		S   int64
		R   int
		FAH json.RawMessage
		H   string
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	fetch := a.R != 0 || len(a.FAH) > 0
	if !fetch && (a.S <= 0 || a.S > maxFileAttr) {
		return nil, eArgs
	}
	id := randomID(18)
	c.s.fileURLs[id] = faURL{a.S, fetch}
	return map[string]string{"p": c.base + "/fa/" + id}, ok
}

// serveFileAttr stores what is posted and answers its handle, or answers what the posted handles name.
func (s *Server) serveFileAttr(a *answer, r *http.Request, rest string) {
	if s.faults.httpFault(a, Pictures) {
		return
	}
	id, _, _ := strings.Cut(rest, "/")
	s.mu.Lock()
	u, known := s.fileURLs[id]
	s.mu.Unlock()
	if !known {
		a.status(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxFileAttr+1))
	if err != nil {
		a.cut()
	}
	a.w.Header().Set("Content-Type", "application/octet-stream")
	var content []byte
	switch {
	case u.fetch:
		content = s.fileAttrs(body)
	case int64(len(body)) != u.size:
		a.text(string(codeBody(eRange)))
		return
	default:
		content = s.storeFileAttr(body)
	}
	if hit, found := s.faults.takeKind(answerPicture); found {
		a.started = true
		hit.answer(a.w, r, content)
		return
	}
	a.begin(http.StatusOK)
	_, _ = a.Write(content)
}

// storeFileAttr keeps an attribute, and gives its handle.
func (s *Server) storeFileAttr(data []byte) (handle []byte) {
	handle = randomBytes(faHandleBytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fileAttr[b64.EncodeToString(handle)] = data
	return handle
}

// fileAttrs joins the attributes that handles name: handle, length (little-endian), data.
func (s *Server) fileAttrs(handles []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []byte
	for ; len(handles) >= faHandleBytes; handles = handles[faHandleBytes:] {
		h := handles[:faHandleBytes]
		data, known := s.fileAttr[b64.EncodeToString(h)]
		if !known {
			continue
		}
		out = append(out, h...)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(data)))
		out = append(out, data...)
	}
	return out
}

// cmdPutFileAttr is pfa: adds file attributes to a file, each replacing the one of its type.
func cmdPutFileAttr(c *call) (any, code) {
	var a struct{ N, FA string }
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	n, failure := c.node(a.N)
	switch {
	case failure != ok:
		return nil, failure
	case n.typ != fileNode || a.FA == "":
		return nil, eArgs
	case c.viewer.access(n) < readWrite:
		return nil, eAccess
	}
	fa, failure := c.s.addFileAttrs(n.fa, a.FA)
	if failure != ok {
		return nil, failure
	}
	n.fa = fa
	why := c.cause()
	for r := range audienceOf(n) {
		why.send(r.feed(), "fa", map[string]string{"n": n.handle, "fa": n.fa})
	}
	return n.fa, ok
}

// addFileAttrs adds what add lists (type*handle, joined by slashes) to a file attribute string, as far as
// it is known; the code tells of the first that isn't.
func (s *Server) addFileAttrs(fa, add string) (string, code) {
	failure := ok
	for _, entry := range strings.Split(add, "/") {
		if entry == "" {
			continue
		}
		typ, handle, found := strings.Cut(entry, "*")
		_, known := s.fileAttr[handle]
		switch {
		case found && known:
			fa = mergeFileAttr(fa, typ, handle)
		case failure == ok && found:
			failure = eNoEnt
		case failure == ok:
			failure = eArgs
		}
	}
	return fa, failure
}

// mergeFileAttr puts an attribute into a file attribute string; the storage cluster is always 1.
func mergeFileAttr(fa, typ, handle string) string {
	var parts []string
	for _, p := range strings.Split(fa, "/") {
		if p != "" && !strings.Contains(p, ":"+typ+"*") {
			parts = append(parts, p)
		}
	}
	return strings.Join(append(parts, "1:"+typ+"*"+handle), "/")
}

// FileAttrs returns a file's attribute string (thumbnails and the like).
func (a *Account) FileAttrs(handle string) string {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.s.nodes[handle].fa
}

// FileAttr returns the decrypted file attribute of a type, nil if there is none; zeros fill it up to a whole block.
func (a *Account) FileAttr(handle string, typ int) []byte {
	key := a.fileAttrKey(handle)
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	_, rest, found := strings.Cut("/"+a.s.nodes[handle].fa, ":"+strconv.Itoa(typ)+"*")
	name, _, _ := strings.Cut(rest, "/")
	data := bytes.Clone(a.s.fileAttr[name])
	if !found || len(data)%aes.BlockSize != 0 {
		return nil
	}
	cipher.NewCBCDecrypter(key, make([]byte, aes.BlockSize)).CryptBlocks(data, data)
	return data
}

// SetFileAttr does what a client does that attaches a thumbnail (0) or a preview (1) to a file.
func (a *Account) SetFileAttr(handle string, typ int, data []byte) {
	padded := append(bytes.Clone(data), make([]byte, (aes.BlockSize-len(data)%aes.BlockSize)%aes.BlockSize)...)
	cipher.NewCBCEncrypter(a.fileAttrKey(handle), make([]byte, aes.BlockSize)).CryptBlocks(padded, padded)
	name := b64.EncodeToString(randomBytes(faHandleBytes))
	a.s.mu.Lock()
	a.s.fileAttr[name] = padded
	a.s.mu.Unlock()
	a.must(map[string]any{"a": "pfa", "n": handle, "fa": strconv.Itoa(typ) + "*" + name}, nil)
}

func (a *Account) fileAttrKey(handle string) cipher.Block {
	key, err := megacrypto.UnpackFileKey(a.Key(handle))
	if err != nil {
		panic(fmt.Sprintf("megatest: key of %s: %v", handle, err))
	}
	block, _ := aes.NewCipher(key.Key[:]) // the length is right
	return block
}

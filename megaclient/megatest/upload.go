package megatest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"megadisk/megaclient/megacrypto"
)

// maxPieceBytes bounds one POST to an upload URL.
const maxPieceBytes = 128 << 20

// upload is one upload URL and what has come over it.
type upload struct {
	// constant data
	id     string
	size   int64
	binary bool // the token goes out as 36 raw bytes, not as text (PROTOCOL 5.1)
	expiry time.Time

	// mutable state
	mu      sync.Mutex
	data    content      // made with the first piece. GUARDED_BY(mu)
	have    map[int]bool // chunks that are complete. GUARDED_BY(mu)
	missing int          // GUARDED_BY(mu)
	token   string       // once complete. GUARDED_BY(mu)
	blob    *blob        // GUARDED_BY(Server.mu)
	used    bool         // by a p. GUARDED_BY(Server.mu)
}

// newUploadLocked registers an upload of size bytes.
func (s *Server) newUploadLocked(size int64, binary bool) *upload {
	s.pruneUploadsLocked()
	chunks := megacrypto.ChunkCount(size)
	u := &upload{
		id: randomID(18), size: size, binary: binary, expiry: s.opt.now().Add(s.opt.urlLifetime),
		missing: chunks, have: map[int]bool{},
	}
	s.uploads[u.id] = u
	return u
}

// pruneUploadsLocked forgets uploads that nobody finished, once there are many.
func (s *Server) pruneUploadsLocked() {
	if len(s.uploads) < 2*s.uploadsKept+1000 {
		return
	}
	now := s.opt.now()
	for id, u := range s.uploads {
		if now.After(u.expiry) {
			delete(s.uploads, id)
		}
	}
	s.uploadsKept = len(s.uploads)
}

// cmdUploadURL is u: an address for so many bytes.
func cmdUploadURL(c *call) (any, code) {
	var a struct {
		S *int64 `json:"s"`
		V int    `json:"v"`
		T []string
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	if a.S == nil || *a.S < 0 {
		return nil, eArgs
	}
	payer := c.viewer.user
	if c.viewer.link != nil {
		if !c.viewer.write {
			return nil, eAccess
		}
		payer = c.viewer.link.node.owner
	}
	if len(a.T) > 0 {
		n, failure := c.node(a.T[0])
		if failure != ok {
			return nil, failure
		}
		payer = n.owner
	}
	if failure := payer.room(*a.S); failure != ok {
		return nil, failure
	}
	u := c.s.newUploadLocked(*a.S, a.V >= 2)
	return map[string]string{"p": c.base + "/ul/" + u.id}, ok
}

// room tells whether size more bytes fit: -17 when the account is full, -24 when they would fill it.
func (u *user) room(size int64) code {
	used := u.used()
	switch {
	case used >= u.quota && size > 0:
		return eOverQuota
	case size > u.quota-used:
		return eGoingOverQuota
	}
	return ok
}

// serveUpload takes one piece: POST /ul/{id}/{offset}[?d=checksum] (PROTOCOL 5.2).
func (s *Server) serveUpload(a *answer, r *http.Request, rest string) {
	if s.faults.httpFault(a, Uploads) {
		return
	}
	id, pos, _ := strings.Cut(rest, "/")
	offset, err := strconv.ParseInt(pos, 10, 64)
	s.mu.Lock()
	u := s.uploads[id]
	s.mu.Unlock()
	switch {
	case r.Method != http.MethodPost:
		a.status(http.StatusMethodNotAllowed)
		return
	case u == nil || err != nil:
		a.status(http.StatusNotFound)
		return
	case s.opt.now().After(u.expiry):
		a.text(string(codeBody(eExpired)))
		return
	}
	if failure := s.faults.upload(); failure != ok {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxPieceBytes))
		a.text(string(codeBody(failure)))
		return
	}
	piece, failure := readPiece(r, u, offset)
	var token string
	if failure == ok {
		s.faults.awaitUpload(r, len(piece))
		s.stats.count(func(n *Stats) { n.Pieces++; n.BytesUp += int64(len(piece)) })
		token, failure = s.accept(u, offset, piece)
	}
	if s.faults.loseUploadAnswer() {
		a.cut()
	}
	answerPiece(a, r, u, token, failure)
}

// readPiece reads the body of a piece and checks its place and its checksum.
func readPiece(r *http.Request, u *upload, offset int64) ([]byte, code) {
	left := u.size - offset
	if offset < 0 || left < 0 || offset > 0 && left == 0 || !chunkStart(offset, u.size) {
		return nil, eRange
	}
	if r.ContentLength > left || r.ContentLength > maxPieceBytes {
		return nil, eRange
	}
	piece, err := readBody(r, min(left, maxPieceBytes)+1)
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away in the middle
	}
	end := offset + int64(len(piece))
	if end > u.size || len(piece) == 0 && u.size > 0 || end < u.size && !chunkStart(end, u.size) {
		return nil, eRange
	}
	sum := r.URL.Query().Get("d")
	if sum == "" {
		sum = r.URL.Query().Get("c")
	}
	if sum != "" && sum != megacrypto.UploadChecksum(piece) {
		return nil, eKey
	}
	return piece, ok
}

// readBody reads a body, at most so many bytes of it, into memory that has its size from the first.
func readBody(r *http.Request, most int64) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(io.LimitReader(r.Body, most))
	}
	body := make([]byte, min(r.ContentLength, most))
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// chunkStart tells whether a chunk of a file of that size begins at pos.
func chunkStart(pos, size int64) bool {
	if pos == 0 || pos == size {
		return true
	}
	start, _ := megacrypto.ChunkBounds(megacrypto.ChunkIndex(pos), size)
	return start == pos
}

// accept stores a piece. The piece that completes the file makes the token, and it and those that come again after it get it;
// not one beside it that came before, since a client makes a node of each token that it gets.
func (s *Server) accept(u *upload, offset int64, piece []byte) (token string, failure code) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.token != "" {
		return u.token, ok
	}
	if u.data == nil {
		data, err := s.store.create(u.size)
		if err != nil {
			return "", eFailed
		}
		u.data = data
	}
	if _, err := u.data.WriteAt(piece, offset); err != nil {
		return "", eFailed
	}
	if len(piece) > 0 {
		last := megacrypto.ChunkIndex(offset + int64(len(piece)) - 1)
		for i := megacrypto.ChunkIndex(offset); i <= last; i++ {
			if !u.have[i] {
				u.have[i] = true
				u.missing--
			}
		}
	}
	if u.missing == 0 {
		s.complete(u)
	}
	return u.token, ok
}

// complete draws the token of a complete upload; u.mu is held.
func (s *Server) complete(u *upload) {
	u.token = randomID(textTokenBytes)
	if u.binary {
		u.token = randomID(tokenBytes)
	}
	u.have = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	u.blob = &blob{size: u.size, refs: 1, data: u.data}
	s.tokens[u.token] = u
}

// answerPiece says how the upload stands: a code, the token, or that more is needed.
func answerPiece(a *answer, r *http.Request, u *upload, token string, failure code) {
	if failure != ok {
		a.text(string(codeBody(failure)))
		return
	}
	switch {
	case token != "" && u.binary:
		raw, _ := b64.DecodeString(token)
		a.text(string(raw))
	case token != "":
		a.text(token)
	case r.URL.Query().Has("d"):
		a.text("0")
	default:
		a.text("")
	}
}

// deposit stores whole content as an upload would, and returns its token.
func (s *Server) deposit(size int64, data content, spread bool) string {
	s.mu.Lock()
	u := s.newUploadLocked(size, true)
	s.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.data = data
	s.complete(u)
	u.blob.spread = spread
	return u.token
}

// put stores ciphertext.
func (s *Server) put(ciphertext []byte) (content, error) {
	data, err := s.store.create(int64(len(ciphertext)))
	if err != nil {
		return nil, err
	}
	if _, err := data.WriteAt(ciphertext, 0); err != nil {
		return nil, fmt.Errorf("storing content: %w", err)
	}
	return data, nil
}

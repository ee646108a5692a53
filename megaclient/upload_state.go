package megaclient

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"megadisk/megaclient/megacrypto"
)

// UploadState is how far an upload has come. It can be stored (as CBOR or JSON) and gone on with
// after a restart, as long as the content is bit for bit the same: the key of one content must never
// encrypt another. It holds the content's key.
type UploadState struct {
	Size    int64              `cbor:"1,keyasint" json:"size"`
	Key     megacrypto.FileKey `cbor:"2,keyasint" json:"key"` // Key and Nonce given by the caller; MAC is known at the end
	URL     string             `cbor:"3,keyasint,omitempty" json:"url,omitempty"`
	URLTime int64              `cbor:"4,keyasint,omitempty" json:"urlTime,omitempty"` // when the URL was given, Unix seconds
	Chunks  []UploadedChunk    `cbor:"5,keyasint,omitempty" json:"chunks,omitempty"`  // what has arrived over that URL, in no order
	Token   string             `cbor:"6,keyasint,omitempty" json:"token,omitempty"`   // base64, once all has arrived: what a NewNode needs
}

// UploadedChunk is a chunk (PROTOCOL 4.3) that the server has taken.
type UploadedChunk struct {
	Index int                 `cbor:"1,keyasint" json:"index"`
	MAC   megacrypto.ChunkMAC `cbor:"2,keyasint" json:"mac"`
}

// UploadHooks are called while an upload goes on, never two at the same time. Each may be nil.
type UploadHooks struct {
	// Save is called when the state has changed in a way worth keeping, and once more when the
	// upload ends early with chunks that weren't saved yet. Its error ends the upload.
	Save func(*UploadState) error
	// Sent is called with each piece's ciphertext and its place before the piece is sent. The slice
	// is used again after it returns. Pieces that arrived in an earlier run don't come again.
	Sent func(off int64, ciphertext []byte)
	// Progress is called with the number of bytes that have arrived.
	Progress func(done int64)
}

// Errors of Upload.
var (
	// ErrStorageQuota says that the account that the upload would count for is full. It comes with
	// the server's code: EOVERQUOTA, EGOINGOVERQUOTA or EPAYWALL.
	ErrStorageQuota = errors.New("the account's storage is full")
	// ErrContentChanged says that the content isn't what it was when the upload began: its key is
	// spent, and the upload must begin anew with another.
	ErrContentChanged = errors.New("the content changed during its upload")
	// ErrUploadState says that a stored state can't be true.
	ErrUploadState = errors.New("the state of the upload is damaged")
)

// check refuses a state that would upload nonsense.
func (st *UploadState) check() error {
	switch {
	case st.Size < 0:
		return fmt.Errorf("%w: a negative size", ErrUploadState)
	case st.Key.Key == megacrypto.Key{}:
		return fmt.Errorf("%w: no key", ErrUploadState)
	}
	count := megacrypto.ChunkCount(st.Size)
	seen := make(map[int]bool, len(st.Chunks))
	for _, c := range st.Chunks {
		if c.Index < 0 || c.Index >= count || seen[c.Index] {
			return fmt.Errorf("%w: an impossible chunk", ErrUploadState)
		}
		seen[c.Index] = true
	}
	return nil
}

// forget goes back to nothing having been sent.
func (st *UploadState) forget() { st.URL, st.URLTime, st.Chunks, st.Token = "", 0, nil, "" }

// aged tells whether the URL is too old to be worth a try.
func (st *UploadState) aged(life time.Duration) bool {
	age := time.Since(time.Unix(st.URLTime, 0))
	return age < -time.Hour || age >= life // a clock that went back says nothing good either
}

// piece is a run of chunks that is sent, or fetched, in one request.
type piece struct {
	first, last int // chunks, last included
	start, end  int64
}

// chunks cuts a piece's bytes into its chunks; size is that of the whole file.
func (p piece) chunks(data []byte, size int64) [][]byte {
	chunks := make([][]byte, 0, p.last-p.first+1)
	for i := p.first; i <= p.last; i++ {
		start, end := megacrypto.ChunkBounds(i, size)
		chunks = append(chunks, data[start-p.start:end-p.start])
	}
	return chunks
}

// Pieces are as large as they may without holding much memory, and small enough to keep all
// connections busy. They are sent in order, none further ahead of the first unfinished one than
// maxGap, since servers give up on large gaps (PROTOCOL 5.2).
const (
	maxPiece = 4 << 20
	maxGap   = 96 << 20
)

// cutPieces cuts the chunks that are missing into pieces for so many connections. A complete state
// without its token sends the last chunk again, whose answer has it.
func (st *UploadState) cutPieces(connections int) []piece {
	if st.Size == 0 {
		return []piece{{first: 0, last: -1}}
	}
	count := megacrypto.ChunkCount(st.Size)
	have := make([]bool, count)
	for _, c := range st.Chunks {
		have[c.Index] = true
	}
	if !slices.Contains(have, false) {
		have[count-1] = false
	}
	most := min(maxPiece, max(st.Size/int64(2*max(connections, 1)), 1))
	var pieces []piece
	for i := range count {
		if have[i] {
			continue
		}
		start, end := megacrypto.ChunkBounds(i, st.Size)
		if n := len(pieces) - 1; n >= 0 && pieces[n].last == i-1 && end-pieces[n].start <= most {
			pieces[n].last, pieces[n].end = i, end
			continue
		}
		pieces = append(pieces, piece{first: i, last: i, start: start, end: end})
	}
	return pieces
}

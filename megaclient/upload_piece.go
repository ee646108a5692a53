package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"megadisk/megaclient/megacrypto"
)

// tokenLength is that of an upload token in bytes.
const tokenLength = 36

// errStartOver says that what was sent over an upload's URL is lost; it wraps the server's reason.
var errStartOver = errors.New("the storage server lost the upload")

// pieceResult is the outcome of sending a piece.
type pieceResult struct {
	piece piece
	macs  []megacrypto.ChunkMAC
	token string // if this piece completed the upload
	err   error
}

// send encrypts a piece and sends it until the server has taken it.
func (u *uploading) send(ctx context.Context, p piece) pieceResult {
	buf := pieceBuffers.Get().(*[]byte)
	defer pieceBuffers.Put(buf)
	data := (*buf)[:p.end-p.start]
	macs, err := u.encrypt(p, data)
	if err != nil {
		return pieceResult{piece: p, err: err}
	}
	if u.hooks.Sent != nil && p.end > p.start {
		u.hookMu.Lock()
		u.hooks.Sent(p.start, data)
		u.hookMu.Unlock()
	}
	token, err := u.deliver(ctx, p, data)
	return pieceResult{piece: p, macs: macs, token: token, err: err}
}

// encrypt reads a piece's plaintext and leaves its ciphertext in data. A chunk that was seen before
// must be the same: its key has been used.
func (u *uploading) encrypt(p piece, data []byte) ([]megacrypto.ChunkMAC, error) {
	if err := readFullAt(u.src, data, p.start); err != nil {
		return nil, fmt.Errorf("reading the content to upload: %w", err)
	}
	macs := u.cipher.ChunkMACs(nil, p.chunks(data, u.st.Size))
	for i, mac := range macs {
		if !u.known.add(p.first+i, mac) {
			return nil, ErrContentChanged
		}
	}
	u.cipher.XORKeyStreamAt(data, data, p.start)
	return macs, nil
}

// readFullAt reads all of p; content that is shorter is an error.
func readFullAt(r io.ReaderAt, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// maxBadChecksum is how often a piece may arrive damaged before the upload fails.
const maxBadChecksum = 5

// deliver sends a piece's ciphertext until it is taken. The same bytes to the same place may be sent
// any number of times.
func (u *uploading) deliver(ctx context.Context, p piece, data []byte) (token string, err error) {
	address := u.st.URL + "/" + strconv.FormatInt(p.start, 10) + "?d=" + megacrypto.UploadChecksum(data)
	w := u.c.transfers.timing.waits()
	for damaged := 0; ; {
		token, err := u.c.postPiece(ctx, address, data, w)
		if err == nil || ctx.Err() != nil {
			return token, err
		}
		if errors.Is(err, EKEY) {
			if damaged++; damaged >= maxBadChecksum {
				return "", err
			}
			continue
		}
		if final := u.c.judgePiece(err); final != nil {
			return "", final
		}
		u.c.log.WithError(err).Debug("upload piece not taken, sending it again")
		if err := w.again(ctx, err, 0); err != nil {
			return "", err
		}
	}
}

// judgePiece gives the error that ends a piece, nil if it is worth sending again, and lowers the
// number of connections where they are too many.
func (c *Client) judgePiece(err error) error {
	var (
		status  *StatusError
		quota   *OverQuotaError
		refusal *Error
	)
	switch {
	case errors.As(err, &quota):
		return nil // what is sent costs no transfer quota: the server is in trouble, and not for as long as it says
	case errors.As(err, &status):
		if urlIsDead(status.Status) {
			return fmt.Errorf("%w: %w", errStartOver, err)
		}
		if status.Status == http.StatusTooManyRequests {
			c.transfers.up.trouble()
		}
		return nil
	case !errors.As(err, &refusal):
		if isStall(err) {
			c.transfers.up.trouble()
		}
		return nil
	}
	switch refusal.Code {
	case EAGAIN, ETEMPUNAVAIL:
		return nil
	case ETOOMANYCONNECTIONS:
		c.transfers.up.trouble()
		return nil
	case ERATELIMIT: // from a storage server: too much at once, and the upload is lost
		c.transfers.up.trouble()
		return fmt.Errorf("%w: %w", errStartOver, err)
	case EFAILED, ETOOMANY, ERANGE, EEXPIRED, ENOENT, EINTERNAL:
		return fmt.Errorf("%w: %w", errStartOver, err)
	}
	if isStorageQuota(err) {
		return fmt.Errorf("%w: %w", ErrStorageQuota, err)
	}
	return err
}

// postPiece sends a piece once. The error is an *Error, *StatusError, *OverQuotaError or of the
// transport.
func (c *Client) postPiece(ctx context.Context, address string, data []byte, w *waits) (token string, err error) {
	resp, err := c.storage(ctx, exchange{
		method: http.MethodPost, url: address, body: data, stall: c.transfers.timing.stallUp,
	})
	if err != nil {
		return "", err
	}
	defer drain(resp)
	if resp.StatusCode == statusOverQuota {
		return "", overQuota(resp.Header)
	}
	if resp.StatusCode != http.StatusOK {
		return "", &StatusError{Status: resp.StatusCode}
	}
	const most = 1 << 10
	answer, err := readAll(resp.Body, most)
	if err != nil {
		return "", err
	}
	token, err = readPieceAnswer(answer)
	if err == nil {
		w.progress()
		c.transfers.up.moved(len(data))
	}
	return token, err
}

// readPieceAnswer reads what a storage server says to a piece (PROTOCOL 5.2): nothing or 0 for taken,
// the token, or a negative number.
func readPieceAnswer(answer []byte) (token string, err error) {
	if len(answer) == tokenLength {
		return megacrypto.EncodeBase64(answer), nil
	}
	text := strings.TrimSpace(string(answer))
	if text == "" || text == "0" {
		return "", nil
	}
	if code, err := strconv.Atoi(text); err == nil && code < 0 {
		return "", &Error{Code: ErrorCode(code)}
	}
	return "", fmt.Errorf("%w: %d bytes in answer to a piece", ErrBadAnswer, len(answer))
}

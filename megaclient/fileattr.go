package megaclient

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"megadisk/megaclient/megacrypto"
)

// FileAttrType is a kind of file attribute (PROTOCOL 3.8).
type FileAttrType int

// The pictures that a file may carry: JPEG both.
const (
	Thumbnail FileAttrType = 0 // 120 pixels square, the middle of the picture
	Preview   FileAttrType = 1 // the whole picture, 1000 pixels at most on each side
)

// FileAttr names one file attribute of a node.
type FileAttr struct {
	cluster string
	handle  [fileAttrHandle]byte
}

const (
	fileAttrHandle = 8
	// maxFileAttrs is how many are fetched in one request.
	maxFileAttrs = 100
	// maxFileAttrBytes bounds one that is fetched, and what is read of an answer for each that was asked for.
	maxFileAttrBytes = 4 << 20
)

// ParseFileAttr finds the attribute of a type in a node's file attributes; false if it has none.
func ParseFileAttr(text string, t FileAttrType) (a FileAttr, ok bool) {
	for part := range strings.SplitSeq(text, "/") {
		cluster, rest, found := strings.Cut(part, ":")
		kind, handle, has := strings.Cut(rest, "*")
		if !found || !has || kind != strconv.Itoa(int(t)) {
			continue
		}
		raw, err := megacrypto.DecodeBase64(handle)
		if err == nil && len(raw) == fileAttrHandle {
			a.cluster = cluster
			copy(a.handle[:], raw)
			return a, true
		}
	}
	return a, false
}

// FetchFileAttrs fetches file attributes, as many as possible in one request, and hands each to fn as it was stored:
// see OpenFileAttr. What the storage doesn't have is left out.
func (c *Client) FetchFileAttrs(ctx context.Context, attrs []FileAttr, fn func(FileAttr, []byte)) error {
	byCluster := map[string][]FileAttr{}
	var order []string
	for _, a := range attrs {
		if len(byCluster[a.cluster]) == 0 {
			order = append(order, a.cluster)
		}
		byCluster[a.cluster] = append(byCluster[a.cluster], a)
	}
	for _, cluster := range order {
		for list := byCluster[cluster]; len(list) > 0; {
			n := min(len(list), maxFileAttrs)
			if err := c.fetchFileAttrs(ctx, list[:n], fn); err != nil {
				return fmt.Errorf("fetching thumbnails: %w", err)
			}
			list = list[n:]
		}
	}
	return nil
}

// fetchFileAttrs asks for those of one cluster.
func (c *Client) fetchFileAttrs(ctx context.Context, list []FileAttr, fn func(FileAttr, []byte)) error {
	var answer struct {
		URL string `json:"p"`
	}
	cmd := map[string]any{"a": "ufa", "fah": megacrypto.EncodeBase64(list[0].handle[:]), "ssl": 2, "r": 1}
	if err := c.command(ctx, laneURL, cmd, &answer); err != nil {
		return err
	}
	var handles []byte
	for _, a := range list {
		handles = append(handles, a.handle[:]...)
	}
	body, err := c.postFileAttr(ctx, answer.URL, handles, int64(len(list))*maxFileAttrBytes)
	if err != nil {
		return err
	}
	return eachFileAttr(list[0].cluster, body, fn)
}

// eachFileAttr takes an answer apart: of each attribute its handle, its length, and what it holds.
func eachFileAttr(cluster string, body []byte, fn func(FileAttr, []byte)) error {
	for len(body) >= fileAttrHandle+4 {
		a := FileAttr{cluster: cluster, handle: [fileAttrHandle]byte(body)}
		n := binary.LittleEndian.Uint32(body[fileAttrHandle:])
		body = body[fileAttrHandle+4:]
		if n > maxFileAttrBytes || int(n) > len(body) {
			return fmt.Errorf("%w: a file attribute of %d bytes", ErrBadAnswer, n)
		}
		fn(a, body[:n:n])
		body = body[n:]
	}
	return nil
}

// postFileAttr sends something to a storage server and reads what it answers. What fails on the way is ErrUnreachable.
func (c *Client) postFileAttr(ctx context.Context, raw string, body []byte, most int64) ([]byte, error) {
	address, err := c.secureURL(raw)
	if err != nil {
		return nil, err
	}
	resp, err := c.storage(ctx, exchange{method: http.MethodPost, url: address, body: body, stall: c.timing.idle})
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &StatusError{Status: resp.StatusCode}
	}
	answer, err := readAll(&pacedReader{resp.Body, crawl{limit: c.transfers.timing.stallDown}}, most)
	if err != nil && !errors.Is(err, ErrBadAnswer) {
		err = unreachable(ctx, err)
	}
	return answer, err
}

// unreachable is ErrUnreachable with its cause, unless it is the caller who gave up.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// pacedReader fails when what it reads almost stands still.
type pacedReader struct {
	io.Reader
	pace crawl
}

func (r *pacedReader) Read(p []byte) (int, error) {
	start := time.Now()
	n, err := r.Reader.Read(p)
	if r.pace.read(n, time.Since(start)) && err == nil {
		err = errIdle
	}
	return n, err
}

// OpenFileAttr decrypts a file attribute with the key of its file; what fills it up to a whole block stays.
func OpenFileAttr(key megacrypto.FileKey, data []byte) ([]byte, error) {
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: a file attribute of %d bytes", ErrBadAnswer, len(data))
	}
	out := make([]byte, len(data))
	cbc(key, cipher.NewCBCDecrypter).CryptBlocks(out, data)
	return out, nil
}

func cbc(key megacrypto.FileKey, mode func(cipher.Block, []byte) cipher.BlockMode) cipher.BlockMode {
	block, err := aes.NewCipher(key.Key[:])
	if err != nil {
		panic(err) // only for a key of the wrong length
	}
	return mode(block, make([]byte, aes.BlockSize))
}

// AttachFileAttrs stores file attributes for a file and attaches them, each in place of the one of its type.
func (c *Client) AttachFileAttrs(ctx context.Context, node Handle, key megacrypto.FileKey, attrs map[FileAttrType][]byte) error {
	var parts []string
	for _, t := range []FileAttrType{Thumbnail, Preview} {
		data, ok := attrs[t]
		if !ok {
			continue
		}
		handle, err := c.storeFileAttr(ctx, node, key, t, data)
		if err != nil {
			return fmt.Errorf("storing a thumbnail: %w", err)
		}
		parts = append(parts, strconv.Itoa(int(t))+"*"+megacrypto.EncodeBase64(handle))
	}
	if len(parts) == 0 {
		return nil
	}
	cmd := map[string]any{"a": "pfa", "i": newTag(), "n": node, "fa": strings.Join(parts, "/")}
	if err := c.command(ctx, laneCommand, cmd, nil); err != nil {
		return fmt.Errorf("attaching a thumbnail: %w", err)
	}
	return nil
}

func (c *Client) storeFileAttr(ctx context.Context, node Handle, key megacrypto.FileKey, t FileAttrType, data []byte) ([]byte, error) {
	sealed := bytes.Clone(data)
	if rest := len(sealed) % aes.BlockSize; rest != 0 {
		sealed = append(sealed, make([]byte, aes.BlockSize-rest)...)
	}
	cbc(key, cipher.NewCBCEncrypter).CryptBlocks(sealed, sealed)
	var answer struct {
		URL string `json:"p"`
	}
	if err := c.command(ctx, laneURL, map[string]any{"a": "ufa", "s": len(sealed), "h": node, "ssl": 2}, &answer); err != nil {
		return nil, err
	}
	body, err := c.postFileAttr(ctx, answer.URL+"/"+strconv.Itoa(int(t)), sealed, 64)
	if err != nil {
		return nil, err
	}
	if len(body) != fileAttrHandle {
		if refusal, ok := parseRefusal(bytes.TrimSpace(body)); ok {
			return nil, refusal
		}
		return nil, fmt.Errorf("%w: %d bytes for a file attribute's handle", ErrBadAnswer, len(body))
	}
	return body, nil
}

package megaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"megadisk/megaclient/megacrypto"
)

// PutFile says what Put makes of an upload.
type PutFile struct {
	Parent   Handle
	Name     string
	Size     int64
	Mtime    time.Time // whole seconds are kept
	Replaces Handle    // the file that this is a new version of; "" for a new file
	Shares   []Handle  // share roots that the parent lies in or is
	Hooks    UploadHooks
}

// maxLostTokens is how often an upload is done again because the server lost it before its node was
// made (PROTOCOL 9.3, trap 14).
const maxLostTokens = 2

// Put stores a file: it uploads src under a fresh key and makes the node, with name and mtime. src
// must not change meanwhile. The error of the last step may be ErrUncertain, as with Execute.
func (c *Client) Put(ctx context.Context, src io.ReaderAt, f PutFile) (*Node, error) {
	st := &UploadState{Size: f.Size, Key: megacrypto.NewFileKey()}
	fingerprint, err := megacrypto.NewFingerprint(src, f.Size, f.Mtime.Unix())
	if err != nil {
		return nil, fmt.Errorf("putting a file: %w", err)
	}
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", f.Name)
	attrs.SetString("c", fingerprint.String())
	for lost := 0; ; lost++ {
		if err := c.Upload(ctx, f.Parent, st, src, f.Hooks); err != nil {
			return nil, err
		}
		node, err := c.putNode(ctx, f, st, attrs)
		if !errors.Is(err, ENOENT) || errors.Is(err, ErrUncertain) || lost >= maxLostTokens {
			return node, err
		}
		st.forget() // the parent may be gone as well; the next round tells
	}
}

func (c *Client) putNode(ctx context.Context, f PutFile, st *UploadState, attrs megacrypto.Attributes) (*Node, error) {
	batch, err := c.Prepare(PutNodes{Parent: f.Parent, Shares: f.Shares, Nodes: []NewNode{{
		Token: st.Token, Type: FileNode, Key: st.Key.Pack(), Attrs: attrs, Replaces: f.Replaces,
	}}})
	if err != nil {
		return nil, fmt.Errorf("putting a file: %w", err)
	}
	results, err := c.Execute(ctx, batch)
	if err != nil {
		return nil, fmt.Errorf("putting a file: %w", err)
	}
	if err := results[0].Err; err != nil {
		if isStorageQuota(err) {
			err = fmt.Errorf("%w: %w", ErrStorageQuota, err)
		}
		return nil, fmt.Errorf("putting a file: %w", err)
	}
	key := string(st.Key.Pack())
	for _, n := range results[0].Nodes {
		if string(n.Key) == key {
			return n, nil
		}
	}
	return nil, fmt.Errorf("putting a file: %w: no node", ErrBadAnswer)
}

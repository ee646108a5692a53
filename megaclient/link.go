package megaclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"megadisk/megaclient/megacrypto"
)

// A client that speaks for a public link (PROTOCOL 2.9) instead of an account. What the link opens is a tree like an
// account's: its folder is the RootNode, or, of a link to a file, a folder made up here that holds that file alone.
// There is no session that could end, nothing can be changed, and there are neither quotas nor keys of other shares.

// Errors of a link, beside those of megacrypto.ParseLink.
var (
	// ErrLinkGone says that a link leads nowhere: it was taken back, or never was.
	ErrLinkGone = errors.New("the link leads nowhere (any more)")
	// ErrLinkWrongKey says that what a link leads to doesn't open with its key.
	ErrLinkWrongKey = errors.New("the link's key is not the right one")
)

// fileLinkRoot is the handle of the folder that a link to a file is shown in; the server never gives that one.
const fileLinkRoot Handle = "AAAAAAAA"

// fileLinkSN is the sequence number of a tree in which nothing ever happens.
const fileLinkSN = "AAAAAAAAAAA"

// OpenLink makes a client for a public link. It asks nobody: see CheckLink. Its Session has, in place of an account's,
// the link's handle, and the key by which the link's content opens.
func OpenLink(cfg Config, l megacrypto.Link) (*Client, error) {
	if !validHandle(Handle(l.Handle)) {
		return nil, fmt.Errorf("opening a link: %w", megacrypto.ErrLink)
	}
	s := Session{User: UserHandle(l.Handle)}
	if l.Kind == megacrypto.FolderLink {
		if len(l.Key) != len(s.MasterKey) {
			return nil, fmt.Errorf("opening a link: %w", megacrypto.ErrLinkKey)
		}
		s.MasterKey = megacrypto.Key(l.Key)
	} else {
		key, err := megacrypto.UnpackFileKey(l.Key)
		if err != nil {
			return nil, fmt.Errorf("opening a link: %w", megacrypto.ErrLinkKey)
		}
		s.MasterKey = key.Key
	}
	c, err := newClient(cfg, s)
	if err != nil {
		return nil, err
	}
	c.link = &l
	if l.Kind == megacrypto.FileLink {
		c.transfers.urls.links.Add(Handle(l.Handle), struct{}{})
	}
	return c, nil
}

// Link gives the link that the client speaks for; false if it speaks for an account.
func (c *Client) Link() (megacrypto.Link, bool) {
	if c.link == nil {
		return megacrypto.Link{}, false
	}
	return *c.link, true
}

// LinkGone tells whether the event stream has said that the link leads nowhere any more.
func (c *Client) LinkGone() bool { return c.linkGone.Load() }

// LinkName is the name of the folder that the link opens, "" until it was fetched, or of a link to a file.
func (c *Client) LinkName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.linkName
}

func (c *Client) isFileLink() bool { return c.link != nil && c.link.Kind == megacrypto.FileLink }

// CheckLink asks whether the link leads somewhere and its key opens that: ErrLinkGone or ErrLinkWrongKey if not.
func (c *Client) CheckLink(ctx context.Context) error {
	if c.isFileLink() {
		_, err := c.LinkNode(ctx, *c.link)
		return linkError(err)
	}
	var got struct {
		F []json.RawMessage `json:"f"`
	}
	if err := c.command(ctx, laneRead, map[string]any{"a": "f", "c": 1}, &got); err != nil { // not what lies below
		return linkError(err)
	}
	if len(got.F) == 0 {
		return ErrLinkGone
	}
	c.noteLinkRoot(got.F[0])
	if n, ok := c.decodeNode(got.F[0]); !ok || n.Type != RootNode {
		return ErrLinkWrongKey
	}
	return nil
}

// linkError gives refusals the meaning that they have for links.
func linkError(err error) error {
	switch {
	case errors.Is(err, ENOENT), errors.Is(err, EACCESS):
		return fmt.Errorf("%w: %w", ErrLinkGone, err)
	case errors.Is(err, megacrypto.ErrAttributes):
		return fmt.Errorf("%w: %w", ErrLinkWrongKey, err)
	}
	return err
}

// noteLinkRoot remembers which folder a link opens: the first node that a fetch brings.
func (c *Client) noteLinkRoot(raw json.RawMessage) {
	var w wireNode
	if tolerant(json.Unmarshal(raw, &w)) == nil && validHandle(w.H) {
		c.learnShare(w.H, c.masterKey(), fromOwner)
	}
}

// asRoot makes the folder that a link opens the top of the tree, if it could be opened.
func (c *Client) asRoot(n *Node) {
	if _, is := c.shareKey(n.Handle); !is || n.Type != FolderNode || n.Key == nil || n.Attrs == nil {
		return
	}
	c.mu.Lock()
	c.linkName, _ = n.Name()
	c.mu.Unlock()
	n.Type, n.Parent = RootNode, ""
	n.Key, n.Attrs, n.RawKey, n.RawAttrs = nil, nil, "", ""
}

// fetchFileLink is FetchNodes of a link to a file.
func (c *Client) fetchFileLink(ctx context.Context, fn func(*Node) error) (*FetchResult, error) {
	file, err := c.LinkNode(ctx, *c.link)
	if err != nil {
		return nil, linkError(err)
	}
	file.Parent = fileLinkRoot
	for _, n := range []*Node{{Handle: fileLinkRoot, Type: RootNode, Access: AccessOwner, Index: -1}, file} {
		if err := fn(n); err != nil {
			return nil, err
		}
	}
	return &FetchResult{SN: fileLinkSN, Links: map[Handle]Handle{}, Nodes: 2}, nil
}

// listenToNothing is Listen of a link to a file, whose content is bound to its key: nothing is ever new.
func listenToNothing(ctx context.Context, sn string, kick <-chan struct{}, handle func(*Answer) error) error {
	for {
		if err := handle(&Answer{SN: sn, Asked: time.Now()}); err != nil {
			return err
		}
		select {
		case <-kick:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

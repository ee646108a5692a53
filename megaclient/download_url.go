package megaclient

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"

	"megadisk/megaclient/megacrypto"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxURLs bounds the download URLs that are remembered; an older one is simply asked for again.
const maxURLs = 4096

// downloadURL is where a file's ciphertext can be fetched for a while.
type downloadURL struct {
	urls  []string // without the range: one, or those of the six parts
	size  int64
	asked time.Time
	spare atomic.Int32  // of six, the one that is left out
	used  atomic.Uint32 // a bit for each that content was made without
	wary  bool          // the content was wrong before: what is left out stays so unless another fails
}

// id tells it from others.
func (u *downloadURL) id() string { return u.urls[0] }

// urlCache remembers the download URL of each handle. Whoever needs one that isn't there asks for
// it; others who need the same meanwhile wait.
type urlCache struct {
	timing  *transferTiming
	entries *lru.Cache[Handle, *urlEntry]
	links   *lru.Cache[Handle, struct{}] // handles that are public ones
}

// urlEntry is the place of one handle. Its slot is held while its URL is looked at or asked for.
type urlEntry struct {
	slot  chan struct{}
	url   *downloadURL // GUARDED_BY(slot)
	wrong bool         // there was one that gave wrong content. GUARDED_BY(slot)
	tried uint32       // bits of the parts without which it was wrong. GUARDED_BY(slot)
}

// setLocked remembers a new URL. Of six, one is left out without which the content hasn't been wrong yet.
func (e *urlEntry) setLocked(u *downloadURL) {
	u.wary = e.wrong
	u.spare.Store(int32(bits.TrailingZeros32(^e.tried)))
	e.url = u
}

// distrustLocked forgets a URL that gave wrong content.
func (e *urlEntry) distrustLocked() {
	const all = 1<<raidParts - 1
	if used := e.url.used.Load(); bits.OnesCount32(used) == 1 { // else nobody can tell which it was
		if e.tried |= used; e.tried == all {
			e.tried = 0
		}
	}
	e.url, e.wrong = nil, true
}

func newURLCache(t *transferTiming) *urlCache {
	entries, err := lru.New[Handle, *urlEntry](maxURLs)
	links, err2 := lru.New[Handle, struct{}](maxURLs)
	if err := errors.Join(err, err2); err != nil {
		panic(err) // only for a size below one
	}
	return &urlCache{timing: t, entries: entries, links: links}
}

func (u *urlCache) entry(h Handle) *urlEntry {
	e := &urlEntry{slot: make(chan struct{}, 1)}
	if old, found, _ := u.entries.PeekOrAdd(h, e); found {
		u.entries.Get(h) // now most recently used
		return old
	}
	return e
}

// get gives the URL of h, the remembered one unless it is old or is refused, the one that the caller
// found to be dead.
func (u *urlCache) get(ctx context.Context, h Handle, refused string, ask func(context.Context) (*downloadURL, error)) (*downloadURL, error) {
	e := u.entry(h)
	select {
	case e.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-e.slot }()
	if e.url != nil && e.url.id() != refused && time.Since(e.url.asked) < u.timing.urlLife {
		return e.url, nil
	}
	e.url = nil
	fresh, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	e.setLocked(fresh)
	return fresh, nil
}

// drop lets a URL of h go that was of no use, for a reason; a newer one stays.
func (u *urlCache) drop(ctx context.Context, h Handle, useless *downloadURL, why error) {
	_, _ = u.get(ctx, h, useless.id(), func(context.Context) (*downloadURL, error) { return nil, why })
}

// forget drops the URL of h, which gave wrong content, if it was asked for before a moment. Whoever is asking now
// gets a newer one.
func (u *urlCache) forget(ctx context.Context, h Handle, before time.Time) {
	e, known := u.entries.Get(h)
	if !known {
		return
	}
	select {
	case e.slot <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-e.slot }()
	if e.url != nil && e.url.asked.Before(before) {
		e.distrustLocked()
	}
}

// RenewURL lets the next ReadContent of h ask for another download URL than one that was asked for before
// a moment: for content that came from there and turned out to be wrong. Another server may then answer; of a
// file that is spread over six, another five do.
func (c *Client) RenewURL(ctx context.Context, h Handle, before time.Time) {
	c.transfers.urls.forget(ctx, h, before)
}

// contentURL gives a URL of the content of h, another one than refused.
func (c *Client) contentURL(ctx context.Context, h Handle, refused string) (*downloadURL, error) {
	return c.transfers.urls.get(ctx, h, refused, func(ctx context.Context) (*downloadURL, error) {
		return c.askContentURL(ctx, h)
	})
}

// getCommand is the command g (PROTOCOL 6.1). "v":2 says that there may be six URLs.
type getCommand struct {
	A    string `json:"a"`
	URL  int    `json:"g,omitempty"`
	V    int    `json:"v,omitempty"`
	SSL  int    `json:"ssl"`
	Node Handle `json:"n,omitempty"`
	Link Handle `json:"p,omitempty"`
}

type getAnswer struct {
	Size     *int64      `json:"s"`
	Attrs    string      `json:"at"`
	FileAttr string      `json:"fa"`
	URLs     contentURLs `json:"g"`
	Err      int         `json:"e"`
	Down     int         `json:"d"`
	Left     int64       `json:"tl"`
}

// askContentURL sends g for a node, or for a public file link that LinkNode has opened.
func (c *Client) askContentURL(ctx context.Context, h Handle) (*downloadURL, error) {
	asked := time.Now()
	c.warmer.warm()
	a, err := c.get(ctx, c.urlCommand(h))
	if err != nil {
		return nil, err
	}
	return c.downloadURL(a, asked)
}

// downloadURL takes the URLs of a good answer.
func (c *Client) downloadURL(a *getAnswer, asked time.Time) (*downloadURL, error) {
	u := &downloadURL{size: *a.Size, asked: asked}
	for _, raw := range a.URLs {
		address, err := c.secureURL(raw)
		if err != nil {
			return nil, fmt.Errorf("command g: %w", err)
		}
		u.urls = append(u.urls, address)
	}
	if len(u.urls) == 0 {
		return nil, fmt.Errorf("command g: %w: no address", ErrBadAnswer)
	}
	c.warmer.named(u.urls)
	return u, nil
}

// urlCommand is the g for a node, or for a public file link that LinkNode has opened.
func (c *Client) urlCommand(h Handle) getCommand {
	if c.transfers.urls.links.Contains(h) {
		return getCommand{A: "g", URL: 1, V: 2, SSL: 2, Link: h}
	}
	return getCommand{A: "g", URL: 1, V: 2, SSL: 2, Node: h}
}

// get sends g and turns each of its ways to refuse into an error.
func (c *Client) get(ctx context.Context, cmd getCommand) (*getAnswer, error) {
	var a getAnswer
	if err := c.command(ctx, laneURL, cmd, &a); err != nil {
		return nil, getRefusal(err)
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	return &a, nil
}

// check gives the refusal that stands in an answer.
func (a *getAnswer) check() error {
	switch {
	case a.Down != 0:
		return &Error{Code: EBLOCKED, Command: "g"}
	case ErrorCode(a.Err) == EOVERQUOTA:
		return quotaError(a.Left)
	case a.Err != 0:
		return &Error{Code: ErrorCode(a.Err), Command: "g"}
	case a.Size == nil || *a.Size < 0:
		return fmt.Errorf("command g: %w: no size", ErrBadAnswer)
	}
	return nil
}

// getRefusal gives -17 and -16 the meaning that they have for g: they are about transfer quota, and
// about the file rather than the account if nothing is known against that.
func getRefusal(err error) error {
	var refusal *Error
	var blocked *BlockedError
	switch {
	case errors.As(err, &refusal) && refusal.Code == EOVERQUOTA:
		return quotaError(0)
	case errors.As(err, &blocked) && blocked.Reason == 0:
		return &Error{Code: EBLOCKED, Command: "g"}
	}
	return err
}

// ErrNotFileLink says that a link doesn't open a single file.
var ErrNotFileLink = errors.New("the link is not one of a file")

// LinkNode opens a public file link (PROTOCOL 2.9); no session is needed. The node that it gives has
// the link's public handle, by which ReadContent and Get of this client read it. A link that is dead
// is ENOENT, one that was taken down EBLOCKED, one with a wrong key megacrypto.ErrAttributes.
func (c *Client) LinkNode(ctx context.Context, l megacrypto.Link) (*Node, error) {
	if l.Kind != megacrypto.FileLink {
		return nil, ErrNotFileLink
	}
	if _, err := megacrypto.UnpackFileKey(l.Key); err != nil {
		return nil, fmt.Errorf("opening a link: %w", err)
	}
	h := Handle(l.Handle)
	if !validHandle(h) {
		return nil, fmt.Errorf("opening a link: %w", megacrypto.ErrLink)
	}
	a, err := c.get(ctx, getCommand{A: "g", SSL: 2, Link: h})
	if err != nil {
		return nil, fmt.Errorf("opening a link: %w", err)
	}
	attrs, err := DecryptAttrs(FileNode, l.Key, a.Attrs)
	if err != nil {
		return nil, fmt.Errorf("opening a link: %w", err)
	}
	c.transfers.urls.links.Add(h, struct{}{})
	return &Node{
		Handle: h, Type: FileNode, Size: *a.Size, Key: append([]byte(nil), l.Key...), Attrs: attrs,
		RawAttrs: a.Attrs, FileAttrs: a.FileAttr, Access: AccessRead, Index: -1,
	}, nil
}

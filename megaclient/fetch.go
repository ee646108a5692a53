package megaclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// What one worker decrypts at a time: so many nodes, or, where they are long, as many as have so many bytes.
const (
	fetchJobSize  = 256
	fetchJobBytes = 1 << 20
)

// FetchNodes fetches the whole tree (PROTOCOL 3.1) and calls fn for each node, in the order in which
// they come, older versions too. With cached the server may give a tree that is a little old, but fits
// its SN. Nothing but the nodes under way is in memory. A node whose key is not known yet, perhaps
// because it comes later in the same answer, has Key or Attrs nil: Unlock tries again.
//
// An error of fn ends the fetch and is returned. After any error the fetch is to be begun anew.
func (c *Client) FetchNodes(ctx context.Context, cached bool, fn func(*Node) error) (*FetchResult, error) {
	ctx, done := c.bind(ctx)
	defer done()
	if c.isFileLink() {
		return c.fetchFileLink(ctx, fn)
	}
	l := c.lanes[laneFetch]
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()

	cmd := map[string]any{"a": "f", "c": 1, "r": 1}
	if cached {
		cmd["ca"] = 1
	}
	body, _, err := marshalCommands(cmd)
	if err != nil {
		return nil, err
	}
	address := c.commandURL(l.nextID())
	t := c.persist(ctx, persistence{unreachable: c.timing.unreachable}, func(ctx context.Context, proof string) try {
		return c.post(ctx, address, body, proof, c.timing.idleFetch, true)
	})
	if t.err != nil {
		return nil, fmt.Errorf("fetching the tree: %w", named(t.err, "f"))
	}
	defer t.reply.Body.Close()
	f := newFetch(c)
	f.abort = done
	if err := f.run(ctx, t.reply.Body, fn); err != nil {
		return nil, fmt.Errorf("fetching the tree: %w", err)
	}
	return f.result, nil
}

// fetch is one full fetch: a reader that takes the answer apart, workers that decrypt, and the
// caller's goroutine, which delivers in order.
type fetch struct {
	client *Client
	abort  func() // ends the request, whose body the reader may be waiting for

	// Of the reader alone, until it has ended.
	result *FetchResult
	job    *fetchJob // being filled
	rooted bool      // the folder that a link opens has come

	// Of the delivering goroutine alone.
	files map[uint64]struct{} // handles of files: a node below one is an older version

	work, order chan *fetchJob
}

// fetchJob is a run of nodes.
type fetchJob struct {
	raw     []byte // the nodes' JSON, one after the other
	ends    []int  // where each ends
	version bool   // they came as older versions
	nodes   []*Node
	skipped int
	done    chan struct{}
}

func newFetch(c *Client) *fetch {
	return &fetch{client: c, abort: func() {}, result: &FetchResult{Links: make(map[Handle]Handle)}, files: make(map[uint64]struct{})}
}

func (f *fetch) run(ctx context.Context, body reader, fn func(*Node) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	f.work, f.order = make(chan *fetchJob, workers), make(chan *fetchJob, 2*workers)
	g.Go(func() error {
		defer close(f.work)
		defer close(f.order)
		return f.read(ctx, body)
	})
	for range workers {
		g.Go(func() error {
			for job := range f.work {
				f.decrypt(job)
			}
			return nil
		})
	}
	nodes, locked, skipped := 0, 0, 0
	var failed error
	for job := range f.order {
		if failed != nil {
			continue // the reader is about to end
		}
		select {
		case <-job.done:
		case <-ctx.Done():
			failed = context.Cause(ctx)
			continue
		}
		skipped += job.skipped
		for _, n := range job.nodes {
			nodes++
			if n.Type <= FolderNode && (n.Key == nil || n.Attrs == nil) {
				locked++
			}
			if failed = f.deliver(n, job.version, fn); failed != nil {
				cancel()
				f.abort()
				break
			}
		}
	}
	err := g.Wait()
	if failed != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return failed
	}
	f.result.Nodes, f.result.Locked, f.result.Skipped = nodes, locked, skipped
	return err
}

func (f *fetch) deliver(n *Node, version bool, fn func(*Node) error) error {
	if n.Type == FileNode {
		_, below := f.files[compact(n.Parent)]
		n.Version = version || (n.Parent != "" && below)
		f.files[compact(n.Handle)] = struct{}{}
	}
	return fn(n)
}

// compact packs a handle, 8 characters of 6 bits, into a number.
func compact(h Handle) uint64 {
	var v uint64
	for i := range len(h) {
		c := h[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c -= 'A'
		case c >= 'a' && c <= 'z':
			c -= 'a' - 26
		case c >= '0' && c <= '9':
			c += 52 - '0'
		case c == '-':
			c = 62
		default:
			c = 63
		}
		v = v<<6 | uint64(c)
	}
	return v
}

func (f *fetch) decrypt(job *fetchJob) {
	defer close(job.done)
	begin := 0
	for _, end := range job.ends {
		if n, ok := f.client.decodeNode(job.raw[begin:end]); ok {
			job.nodes = append(job.nodes, n)
		} else {
			job.skipped++
		}
		begin = end
	}
}

// add takes up the next node of the answer.
func (f *fetch) add(ctx context.Context, raw json.RawMessage, version bool) error {
	if f.job != nil && f.job.version != version {
		if err := f.flush(ctx); err != nil {
			return err
		}
	}
	if f.client.link != nil && !f.rooted {
		f.rooted = true
		f.client.noteLinkRoot(raw)
	}
	if bringsShareKey(raw) {
		f.client.decodeNode(raw) // here, for the nodes after it
	}
	if f.job == nil {
		f.job = &fetchJob{version: version, done: make(chan struct{}), ends: make([]int, 0, fetchJobSize), raw: make([]byte, 0, fetchJobSize*400)}
	}
	f.job.raw = append(f.job.raw, raw...)
	f.job.ends = append(f.job.ends, len(f.job.raw))
	if len(f.job.ends) == fetchJobSize || len(f.job.raw) >= fetchJobBytes {
		return f.flush(ctx)
	}
	return nil
}

// flush hands the job to the workers and puts it into the queue of delivery.
func (f *fetch) flush(ctx context.Context) error {
	job := f.job
	if f.job = nil; job == nil {
		return nil
	}
	for _, queue := range []chan *fetchJob{f.work, f.order} {
		select {
		case queue <- job:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

package serve

import (
	"context"
	"io"

	"megadisk/cache"
	"megadisk/megaclient"
)

// fetch is where cache and protocol meet; neither knows of the other. It waits for transfer quota that is about to come
// back, and then goes on where it was.
func (p *Process) fetch(ctx context.Context, f cache.File, off, n int64, w io.Writer) error {
	if need, ahead := cache.AheadOfNeed(ctx); ahead {
		ctx = megaclient.Yielding(ctx, need)
	}
	c := &counter{Lender: w.(cache.Lender)}
	for {
		err := p.fetchOnce(ctx, f, off+c.n, n-c.n, c)
		if !p.quota.await(ctx, err) {
			return err
		}
	}
}

func (p *Process) fetchOnce(ctx context.Context, f cache.File, off, n int64, w cache.Lender) error {
	if err := p.quota.enter(); err != nil {
		return err
	}
	h := megaclient.Handle(f.Handle)
	if wrong, wants := cache.WantsFreshURL(ctx); wants {
		p.o.Client.RenewURL(ctx, h, wrong)
	}
	p.quota.downloaded(n)
	err := p.o.Client.ReadContent(ctx, h, off, n, w)
	p.quota.result(err)
	return err
}

// counter counts what a cache takes.
type counter struct {
	cache.Lender
	n int64
}

// Write passes on.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Lender.Write(p)
	c.n += int64(n)
	return n, err
}

// Commit passes on.
func (c *counter) Commit(n int) error {
	err := c.Lender.Commit(n)
	if err == nil {
		c.n += int64(n)
	}
	return err
}

package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// pages stands for the kernel: it keeps what any reader of a file was given, for all of them.
type pages struct {
	mu    sync.Mutex
	have  map[int64][]byte // by unit
	epoch int              // what was asked for before it changed isn't kept
	open  int              // readers
	stamp int64
}

// readWhole reads a file as a program does, unit by unit, or the second half of each before the first: what the kernel has
// it isn't asked for. It gives the first error.
func (p *pages) readWhole(c *Cache, f *cloudFile, order []int64, halves bool) ([]byte, error) {
	p.mu.Lock()
	past := false // the pages, as fs does at an open of what was wrong
	now, standing := c.Standing(f.File, p.stamp)
	if p.stamp = now; standing != Good {
		clear(p.have)
		p.epoch++
		past = standing == Refuted && p.open > 0
	}
	p.open++
	r := c.NewReader(f.File)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
		r.Close()
	}()
	got := make([]byte, f.Size)
	for _, u := range order {
		to := got[u*UnitSize:][:unitLen(u, f.Size)]
		p.mu.Lock()
		have, epoch := p.have[u], p.epoch
		p.mu.Unlock()
		if have != nil && !past {
			copy(to, have)
			continue
		}
		middle := 0
		if halves {
			middle = len(to) / 2
		}
		for _, from := range []int{middle, 0} {
			part := to[from:]
			if from < middle {
				part = to[:middle]
			}
			if _, err := r.ReadAt(bg, part, u*UnitSize+int64(from)); err != nil && err != io.EOF {
				return nil, err
			}
		}
		p.mu.Lock()
		if p.epoch == epoch && !past {
			p.have[u] = bytes.Clone(to)
		}
		p.mu.Unlock()
	}
	return got, nil
}

// forget drops some pages, as the kernel may at any time.
func (p *pages) forget(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for u := range p.have {
		if n--; n < 0 {
			return
		}
		delete(p.have, u)
	}
}

// liar gives a file's bytes in pieces, and now and then wrong ones, or fewer of them, some wrong.
func liar(f *cloudFile, oneIn int, lies *atomic.Int64) FetchFunc {
	return func(ctx context.Context, _ File, off, n int64, w io.Writer) error {
		b := bytes.Clone(f.cipher[off : off+n])
		switch rand.IntN(oneIn) {
		case 0:
			lies.Add(1)
			b[rand.IntN(len(b))] ^= 1
		case 1:
			lies.Add(1)
			b = b[:1+rand.IntN(len(b))]
			b[rand.IntN(len(b))] ^= 1
		}
		for len(b) > 0 {
			k, err := w.Write(b[:min(len(b), 20_000)])
			if err != nil {
				return err
			}
			b = b[k:]
		}
		return ctx.Err()
	}
}

// A file that is read whole is right, or its reading fails: with a cache smaller than the file, several readers at once, and
// a server that lies now and then, so that what was served is gone again before it can be compared.
func TestAFileReadWholeIsRightOrFails(t *testing.T) {
	const readers, rounds = 5, 18
	f := makeFile(t, 8<<20+12345)
	for name, disk := range map[string]int64{"none": 0, "small": 1 << 20, "enough": -1} {
		for _, kernel := range []bool{false, true} {
			t.Run(fmt.Sprint("disk: ", name, ", kernel: ", kernel), func(t *testing.T) {
				var lies, failed atomic.Int64
				o := Options{MemoryUnits: minUnits, DiskFloor: -1, DiskLimit: disk, Fetch: liar(f, 200, &lies)}
				if disk != 0 {
					o.Dir = t.TempDir()
				}
				c, err := Open(o)
				require.NoError(t, err)
				shared := pages{have: map[int64][]byte{}}
				var g errgroup.Group
				for range readers {
					g.Go(func() error {
						for round := range rounds {
							p := &shared
							if !kernel {
								p = &pages{have: map[int64][]byte{}}
							}
							got, err := p.readWhole(c, f, inOrder(f.Size, round%3), round%2 == 1)
							switch {
							case err == nil && !bytes.Equal(got, f.plain):
								return fmt.Errorf("round %d: read whole, wrong, and no error", round)
							case err == nil:
								p.forget(20)
								continue
							case errors.Is(err, ErrQuarantined):
								if err := c.Drop(f.File); err != nil {
									return err
								}
							case !errors.Is(err, ErrWrong) && !errors.Is(err, ErrShortFetch):
								return err
							}
							failed.Add(1)
						}
						return nil
					})
				}
				require.NoError(t, g.Wait())
				require.NoError(t, c.Close())
				checkAllGiven(t, c)
				t.Logf("%d lies, %d readings failed of %d", lies.Load(), failed.Load(), readers*rounds)
			})
		}
	}
}

// inOrder gives a file's units: from the beginning, from the end, or in any order.
func inOrder(size int64, how int) (order []int64) {
	for u := range unitEnd(size) {
		order = append(order, u)
	}
	switch how {
	case 1:
		for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
			order[i], order[j] = order[j], order[i]
		}
	case 2:
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return order
}

package cache

import (
	"context"
	"errors"
	"time"

	"megadisk/megaclient/megacrypto"
)

// smallBuffers is what a smallFetch works on, all its own until it ends.
type smallBuffers struct {
	s       *smallFetch
	units   []*unit
	scratch []byte // one unit's ciphertext; nil without disk level
	macs    []megacrypto.ChunkMAC
	got     bitmap // units that have come
	stored  bitmap // of them, those that came from disk
}

// fill brings in everything and verifies it, at the second attempt from the network alone.
func (b *smallBuffers) fill() error {
	c, co := b.s.co.c, b.s.co
	for {
		b.got, b.stored = newBitmap(smallUnits), newBitmap(smallUnits)
		b.load()
		trusted, accepted, mac, wrong := co.trust()
		if int(b.got.count()) < len(b.units) || !trusted {
			if err := b.fetchMissing(wrong); err != nil {
				return err
			}
			ok, came, err := b.verify(mac, accepted)
			if err != nil {
				return err
			}
			if !ok {
				if c.mismatch(co, came) {
					return ErrQuarantined
				}
				continue // everything once more
			}
			b.store()
		}
		return nil
	}
}

// trust tells whether bytes from disk were verified when they came, the MAC to verify against, and
// when an earlier fetch turned out to be wrong, if one did.
func (co *content) trust() (verified, accepted bool, mac [8]byte, wrong *time.Time) {
	co.c.mu.Lock()
	defer co.c.mu.Unlock()
	if co.suspect {
		wrong = new(time.Time)
		*wrong = co.wrongAt
	}
	return co.verified, co.accepted, co.mac, wrong
}

// load takes in what the disk has.
func (b *smallBuffers) load() {
	c, co := b.s.co.c, b.s.co
	corrupt := int64(0)
	for i, u := range b.units {
		if !co.entry.has(int64(i)) {
			continue
		}
		_, err := co.entry.read(stretchOf(u.index, u.buf))
		if errors.Is(err, errCorrupt) {
			corrupt++
		}
		if err != nil {
			continue
		}
		co.cipher.XORKeyStreamAt(u.buf, u.buf, u.index*UnitSize)
		b.got.set(int64(i))
		b.stored.set(int64(i))
	}
	c.mu.Lock()
	c.stats.Corrupt += corrupt
	c.stats.DiskHits += b.stored.count()
	c.mu.Unlock()
}

// fetchMissing brings in the rest from the network, one fetch a gap.
func (b *smallBuffers) fetchMissing(wrong *time.Time) error {
	ctx := b.s.ctx
	if wrong != nil {
		ctx = withFreshURL(ctx, *wrong)
	}
	for i := 0; i < len(b.units); i++ {
		if b.got.has(int64(i)) {
			continue
		}
		end := i + 1
		for end < len(b.units) && !b.got.has(int64(end)) {
			end++
		}
		if err := b.fetch(ctx, i, end); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// fetch brings in units [first, end).
func (b *smallBuffers) fetch(ctx context.Context, first, end int) error {
	c, co := b.s.co.c, b.s.co
	off := int64(first) * UnitSize
	n := min(int64(end)*UnitSize, co.size) - off
	w := &gather{co: co, units: b.units[first:end], came: &b.s.got}
	err := c.fetch(ctx, b.s.file, off, n, w)
	got, long := w.close()
	switch {
	case long:
		err = ErrLongFetch
	case err == nil && got < n:
		err = ErrShortFetch
	}
	c.mu.Lock()
	c.stats.Misses += int64(end - first)
	c.stats.Fetched += got
	c.mu.Unlock()
	if err != nil {
		return &FetchError{Off: off, Len: n, Err: err}
	}
	for i := first; i < end; i++ {
		b.got.set(int64(i))
	}
	return nil
}

// verify computes all MACs, and the one that the file would have with what came. A MAC that isn't known yet verifies
// nothing and refutes nothing.
func (b *smallBuffers) verify(mac [8]byte, accepted bool) (ok bool, came [8]byte, err error) {
	c, co := b.s.co.c, b.s.co
	macs := b.computeMACs()
	if mac != ([8]byte{}) && !accepted {
		if _, err := co.cipher.CheckMAC(co.size, macs, mac); err != nil {
			return false, co.cipher.MetaMAC(macs), nil
		}
	}
	c.mu.Lock()
	if co.small != b.s || b.s.ctx.Err() != nil {
		c.mu.Unlock()
		return false, came, errAbandoned
	}
	copy(co.macs, macs)
	for i := range macs {
		co.known.set(int64(i))
		co.fresh.unset(int64(i))
	}
	verified := mac != [8]byte{} && mac == co.mac && !accepted
	if verified {
		co.verified, co.suspect = true, false
	}
	c.mu.Unlock()
	b.macs = macs
	return true, came, nil
}

// computeMACs takes the first unit of each chunk into its MAC, all at once, then the second of each, …
func (b *smallBuffers) computeMACs() []megacrypto.ChunkMAC {
	co := b.s.co
	all := make([]*megacrypto.MACWriter, co.chunks)
	for i := range all {
		all[i] = co.cipher.NewMAC()
	}
	for k, more := int64(0), true; more; k++ {
		var ws []*megacrypto.MACWriter
		var data [][]byte
		for i, w := range all {
			if first, end := chunkUnits(i, co.size); first+k < end {
				ws, data = append(ws, w), append(data, b.units[first+k].buf)
			}
		}
		megacrypto.AdvanceMACs(ws, data)
		more = len(ws) > 0
	}
	macs := make([]megacrypto.ChunkMAC, co.chunks)
	for i, w := range all {
		macs[i] = w.Sum()
	}
	return macs
}

// store writes to disk what did not come from there.
func (b *smallBuffers) store() {
	co := b.s.co
	if b.scratch == nil {
		return
	}
	gen := co.entry.generation()
	for i, u := range b.units {
		if !b.stored.has(int64(i)) {
			out := b.scratch[:len(u.buf)]
			co.cipher.XORKeyStreamAt(out, u.buf, u.index*UnitSize)
			co.entry.write(gen, stretchOf(u.index, out))
		}
	}
	for i, mac := range b.macs {
		co.entry.saveMAC(i, mac)
	}
	co.save()
}

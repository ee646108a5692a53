package megacrypto

import (
	"slices"
	"sync"

	"megadisk/megaclient/megacrypto/internal/aesasm"
)

// A chunk's MAC can't be computed faster than its blocks go through AES one after the other, but MACs of
// several chunks can be computed in the time of one (package aesasm has a drawing). Where there are
// several chunks, or pieces of several, at hand, ChunkMACs and AdvanceMACs are several times faster
// than one after the other.

// ChunkMACs appends the MACs of several whole chunks to dst, in their order. It gives what ChunkMAC gives
// for each, whatever their lengths (PROTOCOL 4.4).
func (c *Cipher) ChunkMACs(dst []ChunkMAC, chunks [][]byte) []ChunkMAC {
	first := len(dst)
	dst = slices.Grow(dst, len(chunks))[:first+len(chunks)]
	macs := dst[first:]
	begin := func(i int) (*[16]byte, []byte) {
		macs[i] = c.start()
		return (*[16]byte)(&macs[i]), chunks[i]
	}
	end := func(i int, tail []byte) { c.fold((*[16]byte)(&macs[i]), tail) }
	c.weave(len(chunks), begin, end)
	return dst
}

// AdvanceMACs writes data[i] to ws[i], for all i, as ws[i].Write would. No writer may occur twice. Those
// of one file are computed together; pieces of equal length make the best of it.
func AdvanceMACs(ws []*MACWriter, data [][]byte) {
	for first, w := range ws {
		if slices.ContainsFunc(ws[:first], func(before *MACWriter) bool { return before.c == w.c }) {
			continue // came along with an earlier one
		}
		begin := func(i int) (*[16]byte, []byte) {
			m := ws[first+i]
			if m.c != w.c {
				return nil, nil
			}
			return &m.x, m.complete(data[first+i])
		}
		end := func(i int, tail []byte) { _, _ = ws[first+i].Write(tail) }
		w.c.weave(len(ws)-first, begin, end)
	}
}

// weaver is the chains that a weave has under way.
type weaver struct {
	batch aesasm.Batch
	index [aesasm.Lanes]int       // which one each lane has
	state [aesasm.Lanes]*[16]byte // where that is kept
}

// weavers lends them: through an interface they would escape to the heap each time.
var weavers = sync.Pool{New: func() any { return new(weaver) }}

// weave takes n chains on, several at once. Chain i is given by begin, its state and what is to go into
// it, and handed back to end with the bytes that made no whole block.
func (c *Cipher) weave(n int, begin func(i int) (*[16]byte, []byte), end func(i int, tail []byte)) {
	w := weavers.Get().(*weaver)
	defer weavers.Put(w)
	for next, used := 0, 0; ; {
		for used < aesasm.Lanes && next < n {
			state, data := begin(next)
			if len(data) < 16 {
				end(next, data)
			} else {
				w.enter(used, next, state, data)
				used++
			}
			next++
		}
		if used == 0 {
			return
		}
		c.advance(&w.batch, used)
		for lane := used - 1; lane >= 0; lane-- {
			if tail := w.batch.Data[lane]; len(tail) < 16 {
				index := w.index[lane]
				used--
				w.leave(lane, used)
				end(index, tail)
			}
		}
	}
}

// enter puts a chain into a lane.
func (w *weaver) enter(lane, index int, state *[16]byte, data []byte) {
	w.index[lane], w.state[lane] = index, state
	w.batch.X[lane], w.batch.Data[lane] = *state, data
}

// leave stores a lane's chain and moves the last lane there.
func (w *weaver) leave(lane, last int) {
	*w.state[lane] = w.batch.X[lane]
	w.index[lane], w.state[lane] = w.index[last], w.state[last]
	w.batch.X[lane], w.batch.Data[lane] = w.batch.X[last], w.batch.Data[last]
	w.state[last], w.batch.Data[last] = nil, nil // nothing is kept alive
}

package megatest

import (
	"fmt"
	"net/http"

	"megadisk/megaclient/megacrypto"
)

// puzzle is a hashcash demand: 402 until it is solved (PROTOCOL 1.7).
type puzzle struct {
	easiness int
	left     int // requests that still have to solve one, or Always
	token    string
	stamp    int64
}

// DemandHashcash answers the next n batches with 402 until they come with the solution of the challenge.
// easiness goes from 0 (hopeless) to 255 (every second nonce solves it).
func (f *Faults) DemandHashcash(easiness, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.puzzle = nil
	if n != 0 {
		f.puzzle = &puzzle{easiness: easiness, left: n, token: randomID(48), stamp: f.s.unix()}
	}
}

func (p *puzzle) header() string {
	return fmt.Sprintf("1:%d:%d:%s", p.easiness, p.stamp, p.token)
}

// passPuzzle tells whether the request may go on: no puzzle is set, or this is its solution.
func (f *Faults) passPuzzle(a *answer, r *http.Request) bool {
	f.mu.Lock()
	p := f.puzzle
	if p == nil {
		f.mu.Unlock()
		return true
	}
	header := p.header()
	f.mu.Unlock()
	if proof := r.Header.Get("X-Hashcash"); proof != "" {
		challenge, err := megacrypto.ParseHashcash(header)
		if err == nil && challenge.Verify(proof) {
			f.solved(p)
			return true
		}
	}
	f.s.stats.count(func(n *Stats) { n.Faults++ })
	a.w.Header().Set("X-Hashcash", header)
	a.status(http.StatusPaymentRequired)
	return false
}

// solved counts the solution down; the next one is for a new challenge.
func (f *Faults) solved(p *puzzle) {
	f.s.stats.count(func(n *Stats) { n.Hashcash++ })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.puzzle != p {
		return
	}
	if p.left > 0 {
		p.left--
	}
	if p.left == 0 {
		f.puzzle = nil
		return
	}
	f.puzzle = &puzzle{easiness: p.easiness, left: p.left, token: randomID(48), stamp: f.s.unix()}
}

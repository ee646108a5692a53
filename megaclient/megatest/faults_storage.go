package megatest

import (
	"math"
	"net/http"
	"time"
)

// CorruptDownloads flips one bit in the middle of each of the next n download answers.
func (f *Faults) CorruptDownloads(n int) { f.add(rule{kind: corruptDown, left: n}) }

// CutDownloads cuts the connection of the next n downloads after so many bytes of the body.
func (f *Faults) CutDownloads(after int64, n int) {
	f.add(rule{kind: shortDown, value: after, left: n})
}

// StallDownloads lets the next n downloads hang after so many bytes of the body, until the client gives
// up or the server closes.
func (f *Faults) StallDownloads(after int64, n int) {
	f.add(rule{kind: stallDown, value: after, left: n})
}

// AnswerDownloads lets fn answer the next n downloads in place of the server. content is what it should send, the
// range that was asked for.
func (f *Faults) AnswerDownloads(n int, fn answerFunc) {
	f.add(rule{kind: answerDown, answer: fn, left: n})
}

// AnswerPictures lets fn answer the next n transfers of pictures, up or down, in place of the server: content is a
// handle, or what was asked for.
func (f *Faults) AnswerPictures(n int, fn answerFunc) {
	f.add(rule{kind: answerPicture, answer: fn, left: n})
}

// FailUpload answers the next n upload pieces with a number in the body: -4 (lost, start over), -5, -6,
// -8, -14 (checksum), -3.
func (f *Faults) FailUpload(mega int, n int) {
	f.add(rule{kind: failUpload, code: code(mega), left: n})
}

// LoseUploadAnswers takes the next n upload pieces and cuts the connection in place of answering.
func (f *Faults) LoseUploadAnswers(n int) { f.add(rule{kind: loseAnswerUp, left: n}) }

// UseUpTransferQuota makes downloads fail with HTTP 509 and g with -17 until left has passed; 0 ends it.
func (f *Faults) UseUpTransferQuota(left time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quota = time.Time{}
	if left > 0 {
		f.quota = f.s.opt.now().Add(left)
	}
}

// quotaLeft is how many seconds (rounded up) there is no transfer quota. Who asks and finds some is refused.
func (f *Faults) quotaLeft() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.quota.IsZero() {
		return 0
	}
	left := int64(math.Ceil(f.quota.Sub(f.s.opt.now()).Seconds()))
	if left > 0 {
		f.s.stats.count(func(n *Stats) { n.Faults++ })
	}
	return left
}

func (f *Faults) upload() code {
	if hit, found := f.takeKind(failUpload); found {
		return hit.code
	}
	return ok
}

func (f *Faults) loseUploadAnswer() bool {
	_, hit := f.takeKind(loseAnswerUp)
	return hit
}

// damage is what happens to one download.
type damage struct {
	flip  int64 // position whose lowest bit is turned, -1 for none
	until int64 // nothing from here on is sent
	stall bool
}

// takePart finds a fault that hits a download of a part of a spread file, or of a whole one (anyPart).
func (f *Faults) takePart(k kind, part int) (rule, bool) {
	return f.take(func(r *rule) bool { return r.kind == k && (r.part == 0 || r.part == part+1) })
}

func (f *Faults) download(part int, from, to int64) damage {
	d := damage{flip: -1, until: math.MaxInt64}
	if _, hit := f.takePart(corruptDown, part); hit {
		d.flip = from + (to-from)/2
	}
	if hit, found := f.takePart(shortDown, part); found {
		d.until = from + hit.value
	}
	if hit, found := f.takePart(stallDown, part); found {
		d.until, d.stall = from+hit.value, true
	}
	return d
}

// next is how many bytes may go from off on.
func (d damage) next(off int64) int64 { return max(d.until-off, 0) }

func (d damage) corrupt(p []byte, off int64) {
	if i := d.flip - off; i >= 0 && i < int64(len(p)) {
		p[i] ^= 1
	}
}

// strike ends the download here.
func (d damage) strike(s *Server, a *answer) {
	_ = http.NewResponseController(a.w).Flush()
	if d.stall {
		select {
		case <-a.r.Context().Done():
		case <-s.ctx.Done():
		}
	}
	panic(http.ErrAbortHandler)
}

// ExpireURLs lets every upload and download URL given out so far be refused: uploads with -8, downloads with 403.
func (f *Faults) ExpireURLs() {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	past := s.opt.now().Add(-time.Second)
	for id, u := range s.uploads {
		s.uploads[id] = &upload{id: id, size: u.size, binary: u.binary, expiry: past}
	}
	for _, u := range s.urls {
		u.expiry = past
	}
}

// LoseUploads forgets every upload that no p has used yet: pieces get 404, tokens get -9.
func (f *Faults) LoseUploads() {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.uploads)
	for t, u := range s.tokens {
		delete(s.tokens, t)
		u.blob.release()
	}
}

// EndSession ends one session: everything with its sid is answered with -15, waiting requests too.
func (f *Faults) EndSession(sid string) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.endSessionLocked(f.s.sessions[sid])
}

// EndSessions ends all sessions of all accounts.
func (f *Faults) EndSessions() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for _, ses := range f.s.sessions {
		f.s.endSessionLocked(ses)
	}
}

// ForgetPackets empties every packet log: an sn given out before is too old (-6), unless nothing came since.
func (f *Faults) ForgetPackets() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for _, u := range f.s.users {
		u.feed.drop(len(u.feed.packets))
	}
}

// ForgetRequestIDs forgets every answer kept for replays: a batch sent again is executed again.
func (f *Faults) ForgetRequestIDs() { f.s.replays.forget() }

// SetRequestIDLifetime changes how long answers are kept for replays.
func (f *Faults) SetRequestIDLifetime(d time.Duration) { f.s.replays.setLifetime(d) }

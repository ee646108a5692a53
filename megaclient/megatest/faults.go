package megatest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Endpoint names a part of the server for faults on the level of HTTP.
type Endpoint int

// The parts of the server: commands, event polls, content in both directions, wait URLs, pictures (file attributes) in
// both directions.
const (
	API Endpoint = iota
	Events
	Uploads
	Downloads
	Waits
	Pictures
)

// Always as a count makes a fault stay until Clear.
const Always = -1

// Faults makes the server misbehave. Every fault may be set while the server runs. Counts are numbers
// of requests (or commands) that are hit; Always stands for all of them until Clear.
type Faults struct {
	s      *Server
	shaper *shaper

	mu      sync.Mutex
	rules   []*rule            // GUARDED_BY(mu)
	holds   map[string]*hold   // GUARDED_BY(mu)
	uploads *uploadHold        // GUARDED_BY(mu)
	asides  []*aside           // GUARDED_BY(mu)
	delay   time.Duration      // GUARDED_BY(mu)
	slicing int                // GUARDED_BY(mu)
	again   int                // GUARDED_BY(mu)
	puzzle  *puzzle            // GUARDED_BY(mu)
	frozen  map[*user]snapshot // GUARDED_BY(mu)
	quota   time.Time          // transfer quota comes back then. GUARDED_BY(mu)

	treeAfter int // nodes that HoldTree lets through. GUARDED_BY(mu)
}

// kind is what a rule does.
type kind int

const (
	failBatch kind = iota
	failCommand
	failPoll
	failHTTP
	dropBefore
	dropAfter
	corruptDown
	shortDown
	stallDown
	answerDown
	answerPicture
	failUpload
	loseAnswerUp
)

// rule is one fault waiting for its victims.
type rule struct {
	kind  kind
	name  string // command, "" for any
	where Endpoint
	code  code
	value int64
	left  int // Always, or how often more
	part  int // of a spread file, counted from 1; 0: any request

	answer answerFunc
}

// answerFunc answers a transfer. content is what the server would send.
type answerFunc = func(w http.ResponseWriter, r *http.Request, content []byte)

func newFaults(s *Server) *Faults {
	return &Faults{s: s, shaper: newShaper(s.ctx), holds: map[string]*hold{}}
}

// Faults returns the faults of the server.
func (s *Server) Faults() *Faults { return s.faults }

// Clear takes back every fault. What is held is released, what is put aside is never executed; sessions, URLs and
// request ids that were ended stay so.
func (f *Faults) Clear() {
	f.mu.Lock()
	f.rules, f.delay, f.slicing, f.again, f.puzzle, f.quota = nil, 0, 0, 0, nil, time.Time{}
	asides := f.asides
	f.frozen, f.asides = nil, nil
	holds, uploads := f.holds, f.uploads
	f.holds, f.uploads = map[string]*hold{}, nil
	f.mu.Unlock()
	if uploads != nil {
		uploads.release()
	}
	for _, h := range holds {
		h.release()
	}
	for _, a := range asides {
		f.forget(a)
	}
	f.shaper.set(0, 0)
}

func (f *Faults) add(r rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.left != 0 {
		f.rules = append(f.rules, &r)
	}
}

// take finds a fault that hits and uses it up by one.
func (f *Faults) take(match func(*rule) bool) (rule, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.rules {
		if !match(r) {
			continue
		}
		if r.left > 0 {
			r.left--
		}
		if r.left == 0 {
			f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
		}
		f.s.stats.count(func(n *Stats) { n.Faults++ })
		return *r, true
	}
	return rule{}, false
}

func (f *Faults) takeKind(k kind) (rule, bool) {
	return f.take(func(r *rule) bool { return r.kind == k })
}

// takeNamed finds a fault of kind k for a batch with these commands.
func (f *Faults) takeNamed(k kind, names []string) (rule, bool) {
	return f.take(func(r *rule) bool {
		return r.kind == k && (r.name == "" || contains(names, r.name))
	})
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// FailBatch answers the next n batches (with a command of that name; "" for any) with a bare number,
// and executes nothing.
func (f *Faults) FailBatch(command string, mega int, n int) {
	f.add(rule{kind: failBatch, name: command, code: code(mega), left: n})
}

// FailCommand answers the next n commands of that name ("" for any) with an error; the rest of their
// batches is executed.
func (f *Faults) FailCommand(command string, mega int, n int) {
	f.add(rule{kind: failCommand, name: command, code: code(mega), left: n})
}

// FailPoll answers the next n event polls with a number: -6 for "too old", -3, -15, ...
func (f *Faults) FailPoll(mega int, n int) { f.add(rule{kind: failPoll, code: code(mega), left: n}) }

// FailHTTP answers the next n requests to a part of the server with an HTTP status; nothing is executed.
func (f *Faults) FailHTTP(where Endpoint, status int, n int) {
	f.add(rule{kind: failHTTP, where: where, value: int64(status), left: n})
}

// Mend takes back what FailHTTP set for a part of the server.
func (f *Faults) Mend(where Endpoint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = slices.DeleteFunc(f.rules, func(r *rule) bool { return r.kind == failHTTP && r.where == where })
}

// DropBefore cuts the connection of the next n batches with that command ("" for any) without executing them.
func (f *Faults) DropBefore(command string, n int) {
	f.add(rule{kind: dropBefore, name: command, left: n})
}

// DropAfter executes the next n batches with that command ("" for any) and cuts the connection in place
// of answering.
func (f *Faults) DropAfter(command string, n int) {
	f.add(rule{kind: dropAfter, name: command, left: n})
}

// SetLatency lets every answer begin d later than it could.
func (f *Faults) SetLatency(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// SetBandwidth limits each connection, and all together, to so many bytes per second in each direction;
// 0 is no limit.
func (f *Faults) SetBandwidth(perConnection, total int64) { f.shaper.set(perConnection, total) }

// SlicePackets lets sc answers hold at most n packets, with ir:1 when there are more; 0 is the server's own limit.
func (f *Faults) SlicePackets(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slicing = n
}

// Redeliver lets the next poll that is up to date deliver the last n packets once more.
func (f *Faults) Redeliver(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again = n
}

func (f *Faults) latency() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delay
}

func (f *Faults) slice(limit int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.slicing > 0 {
		return f.slicing
	}
	return limit
}

// redeliver sets seq back as Redeliver asked.
func (f *Faults) redeliver(feed *feed, seq uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.again == 0 || seq != feed.seq() {
		return seq
	}
	n := min(uint64(f.again), seq-feed.base)
	f.again = 0
	return seq - n
}

// beforeBatch applies the faults that hit a batch as a whole. false: it has been answered.
func (f *Faults) beforeBatch(a *answer, r *http.Request, names []string) bool {
	if f.httpFault(a, API) {
		return false
	}
	if !f.passPuzzle(a, r) {
		return false
	}
	if _, hit := f.takeNamed(dropBefore, names); hit {
		a.cut()
	}
	if hit, found := f.takeNamed(failBatch, names); found {
		a.json(codeBody(hit.code))
		return false
	}
	return true
}

// afterBatch tells whether the answer of an executed batch gets lost.
func (f *Faults) afterBatch(names []string) bool {
	_, hit := f.takeNamed(dropAfter, names)
	return hit
}

// beforeCommand counts, tells and holds a command, and returns the error that it fails with.
func (f *Faults) beforeCommand(name string, raw json.RawMessage) code {
	f.s.stats.tell(name, raw)
	f.await(name)
	if hit, found := f.takeNamed(failCommand, []string{name}); found {
		return hit.code
	}
	return ok
}

// beforePoll applies the faults of the event channel. false: it has been answered.
func (f *Faults) beforePoll(a *answer) bool {
	if f.httpFault(a, Events) {
		return false
	}
	if hit, found := f.takeKind(failPoll); found {
		a.json(codeBody(hit.code))
		return false
	}
	return true
}

// httpFault answers with an HTTP status if one is asked for.
func (f *Faults) httpFault(a *answer, where Endpoint) bool {
	hit, found := f.take(func(r *rule) bool { return r.kind == failHTTP && r.where == where && r.part == 0 })
	if !found {
		return false
	}
	return f.fail(a, hit)
}

func (f *Faults) fail(a *answer, hit rule) bool {
	if hit.value == http.StatusTooManyRequests {
		a.w.Header().Set("Retry-After", strconv.Itoa(1))
	}
	a.status(int(hit.value))
	return true
}

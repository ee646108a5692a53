package megatest

import (
	"context"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

// Server is a MEGA server: API, event channel and storage on one address. All methods may be called
// at any time from any goroutine until Close.
//
// LOCK ORDER: upload.mu, Server.mu, then one of Account.mu, Faults.mu, replays.mu, then counters.mu. In other
// words: a command may look at faults and count, and neither ever calls back.
type Server struct {
	// dependencies
	http   *http.Server
	faults *Faults
	stats  *counters
	store  store

	// constant data
	opt    options
	url    string
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	conns  sync.WaitGroup // connections, each with its handler
	served chan struct{}  // closed when the accept loop has ended

	// mutable state
	mu             sync.Mutex
	users          map[string]*user    // by handle. GUARDED_BY(mu)
	emails         map[string]*user    // GUARDED_BY(mu)
	sessions       map[string]*session // by sid. GUARDED_BY(mu)
	nodes          map[string]*node    // by handle. GUARDED_BY(mu)
	gone           map[string]*user    // handles of deleted folders, with WithOrphansToBin. GUARDED_BY(mu)
	links          map[string]*link    // by public handle. GUARDED_BY(mu)
	uploads        map[string]*upload  // by id in the URL. GUARDED_BY(mu)
	tokens         map[string]*upload  // complete ones, by token. GUARDED_BY(mu)
	urlsKept       int                 // after the last pruning. GUARDED_BY(mu)
	uploadsKept    int                 // after the last pruning. GUARDED_BY(mu)
	usedTokenBytes int64               // GUARDED_BY(mu)
	usedTokens     []*upload           // oldest first. GUARDED_BY(mu)
	urls           map[string]*dlURL   // download URLs. GUARDED_BY(mu)
	fileAttr       map[string][]byte   // thumbnails, by handle. GUARDED_BY(mu)
	fileURLs       map[string]faURL    // where thumbnails go. GUARDED_BY(mu)
	replays        *replays            // answers by request id; locks for itself
	closed         bool                // GUARDED_BY(mu)
}

// NewServer starts a server. It panics when it can't listen or can't use the folder of WithDir, as
// httptest.NewServer does.
func NewServer(opts ...Option) *Server {
	s, err := Start(opts...)
	if err != nil {
		panic("megatest: " + err.Error())
	}
	return s
}

// NewServerOn starts a server on l.
func NewServerOn(l net.Listener, opts ...Option) *Server {
	return NewServer(append(opts, WithListener(l))...)
}

// Start is NewServer for programs: it reports errors.
func Start(opts ...Option) (*Server, error) {
	opt := defaultOptions()
	for _, o := range opts {
		o(&opt)
	}
	if opt.dir != "" {
		if err := os.MkdirAll(opt.dir, 0o700); err != nil {
			return nil, err
		}
	}
	if opt.listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		opt.listener = l
	}
	s := &Server{
		opt: opt, url: "http://" + opt.listener.Addr().String(),
		stats: newCounters(), store: newStore(opt), served: make(chan struct{}),
		users: map[string]*user{}, emails: map[string]*user{}, sessions: map[string]*session{},
		nodes: map[string]*node{}, gone: map[string]*user{}, links: map[string]*link{},
		uploads: map[string]*upload{}, tokens: map[string]*upload{}, urls: map[string]*dlURL{},
		fileAttr: map[string][]byte{}, fileURLs: map[string]faURL{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.replays = newReplays(opt.idLifetime, opt.now)
	s.faults = newFaults(s)
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ConnState: s.connState}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(s.faults.shaper.listen(opt.listener))
	}()
	return s, nil
}

// URL is the base of the API, without a slash at its end; clients may add one.
func (s *Server) URL() string { return s.url }

// Close cuts all connections, releases what Hold blocks, and returns when every goroutine of the
// server has ended.
func (s *Server) Close() {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	_ = s.http.Close()
	<-s.served
	s.conns.Wait()
	if !again {
		s.store.close()
	}
}

// connState keeps track of connections, so that Close can wait for their goroutines.
func (s *Server) connState(c net.Conn, st http.ConnState) {
	switch st {
	case http.StateNew:
		s.conns.Add(1)
		s.stats.count(func(n *Stats) { n.Connections++; n.OpenConnections++ })
	case http.StateClosed, http.StateHijacked:
		s.stats.count(func(n *Stats) { n.OpenConnections-- })
		s.conns.Done()
	}
}

// serve routes a request. Paths are split by hand, since clients may put two slashes in front.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	answer := s.newAnswer(w, r)
	path := strings.TrimLeft(r.URL.Path, "/")
	head, rest, _ := strings.Cut(path, "/")
	switch head {
	case "cs":
		s.serveCS(answer, r)
	case "sc":
		s.serveSC(answer, r)
	case "w":
		s.serveWait(answer, r, rest)
	case "ul":
		s.serveUpload(answer, r, rest)
	case "dl":
		s.serveDownload(answer, r, rest)
	case "fa":
		s.serveFileAttr(answer, r, rest)
	case "pf":
		answer.text("0")
	default:
		answer.status(http.StatusNotFound)
	}
	answer.close()
}

// base is the address that URLs in answers start with: the one by which the client reached us.
func (s *Server) base(r *http.Request) string {
	if r == nil || r.Host == "" {
		return s.url
	}
	return "http://" + r.Host
}

func (s *Server) unix() int64 { return s.opt.now().Unix() }

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// ErrTaken means that another process already serves this account.
var ErrTaken = errors.New("another megadisk process already serves this account")

// maxRequest bounds what a client may send: paths and a few flags.
const maxRequest = 64 << 10

// Server answers on the socket until Close.
type Server struct {
	http http.Server
	done chan struct{}
}

// Describe words an error of the backend for the person at the other end, and gives the exit status that the
// asking command should end with.
type Describe func(error) *Error

// Serve starts answering for b at path. A socket left behind by a process that died is replaced.
func Serve(path string, b Backend, describe Describe) (*Server, error) {
	if Alive(path) {
		return nil, ErrTaken
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("replacing the control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	// The folder is the user's own (0700); the mode says it once more.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("protecting the control socket: %w", err)
	}
	s := &Server{done: make(chan struct{})}
	s.http.Handler = handler(b, describe)
	s.http.ReadHeaderTimeout = 10 * time.Second
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // ends with Close
	}()
	return s, nil
}

// Close removes the socket, stops answering, and lets requests under way end for at most a second: another process may
// answer at that path by then.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.done
}

func handler(b Backend, describe Describe) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /status", endpoint(describe, func(ctx context.Context, _ struct{}) (any, error) { return b.Status(ctx) }))
	mux.HandleFunc("POST /mount", endpoint(describe, func(ctx context.Context, r MountRequest) (any, error) { return nil, b.Mount(ctx, r) }))
	mux.HandleFunc("POST /unmount", endpoint(describe, func(ctx context.Context, r UnmountRequest) (any, error) { return b.Unmount(ctx, r) }))
	mux.HandleFunc("POST /flush", endpoint(describe, func(ctx context.Context, path string) (any, error) { return nil, b.Flush(ctx, path) }))
	for path, do := range map[string]func(context.Context) error{"/retry": b.Retry, "/pause": b.Pause, "/resume": b.Resume} {
		mux.HandleFunc("POST "+path, endpoint(describe, func(ctx context.Context, _ struct{}) (any, error) { return nil, do(ctx) }))
	}
	for path, do := range map[string]func(context.Context) (int, error){"/approve": b.Approve, "/revert": b.Revert} {
		mux.HandleFunc("POST "+path, endpoint(describe, func(ctx context.Context, _ struct{}) (any, error) { return do(ctx) }))
	}
	mux.HandleFunc("POST /logout", endpoint(describe, func(ctx context.Context, discard bool) (any, error) { return nil, b.Logout(ctx, discard) }))
	mux.HandleFunc("POST /revive", endpoint(describe, func(ctx context.Context, _ struct{}) (any, error) { return nil, b.Revive(ctx) }))
	contentHandlers(mux, b, describe)
	exportHandlers(mux, b, describe)
	historyHandlers(mux, b, describe)
	debrisHandlers(mux, b, describe)
	linkHandlers(mux, b, describe)
	shareHandlers(mux, b, describe)
	logHandlers(mux, b, describe)
	carrierHandlers(mux, b, describe)
	return mux
}

func endpoint[In any](describe Describe, do func(context.Context, In) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&in); err != nil {
			reply(w, http.StatusBadRequest, &Error{Message: "malformed request", Exit: 2})
			return
		}
		out, err := do(r.Context(), in)
		if err != nil {
			reply(w, http.StatusConflict, describe(err))
			return
		}
		reply(w, http.StatusOK, out)
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the asker went away: nobody to tell
}

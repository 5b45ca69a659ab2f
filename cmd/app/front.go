package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/delivery/rest"
	"github.com/orderlog/orderlog/delivery/sse"
	"github.com/orderlog/orderlog/internal/door"
)

// front is the program's side towards clients. It takes requests from the first moment on. They wait a little for the node to
// be there, since a start is short most of the time; then the front says by itself that there is none yet.
type front struct {
	server   *http.Server
	listener *net.TCPListener
	bounds   door.Config
	origins  []string                     // whose scripts may read the answers
	patience time.Duration                // for what is to end when the program is told to stop
	node     atomic.Pointer[http.Handler] // nil: there is none yet
	waiting  atomic.Pointer[string]       // what for
	starting context.Context              // while it lasts, requests wait for the node
	settle   context.CancelFunc           // ends that
	draining atomic.Bool                  // each answer is the last of its connection
	gone     chan struct{}                // closed when nobody is let in any more

	mu      sync.Mutex
	open    map[net.Conn]struct{} // without those that the server was relieved of
	idle    map[net.Conn]struct{} // of them, those that wait for another request
	changed chan struct{}         // one of them has
}

func newFront(listener *net.TCPListener, log *slog.Logger) *front {
	f := &front{
		listener: listener, patience: drainTimeout, gone: make(chan struct{}),
		open: map[net.Conn]struct{}{}, idle: map[net.Conn]struct{}{}, changed: make(chan struct{}, 1),
	}
	f.starting, f.settle = context.WithTimeout(context.Background(), startAtMost)
	f.awaits("it is being started")
	f.server = &http.Server{
		Handler:           f,
		ConnContext:       sse.ConnContext,
		ConnState:         f.connState,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return f
}

// awaits says what the database is waited for with, for /ready. Everybody can read it.
func (f *front) awaits(what string) { f.waiting.Store(&what) }

// opens hands requests to a node from now on.
func (f *front) opens(node http.Handler) {
	f.node.Store(&node)
	f.settle()
}

// serve lets clients in until close.
func (f *front) serve() error {
	defer close(f.gone)
	if err := f.server.Serve(door.Bound(&lastCall{TCPListener: f.listener}, f.bounds)); !errors.Is(err, errLeft) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// close lets nobody in any more and waits until all requests are answered. Each answer is the last of its connection, and
// for a grace those who keep one may still send the request that it takes; a connection that is closed without that may be
// closed just as a request comes over it. When ctx ends first all are cut, and the error says how many.
func (f *front) close(ctx context.Context, grace time.Duration) error {
	_ = f.listener.SetDeadline(time.Now()) // wakes who waits there
	<-f.gone
	f.draining.Store(true)
	f.settle()
	f.waitFor(ctx, grace, func() bool { return len(f.open) == 0 })
	f.hush()
	f.waitFor(ctx, grace, func() bool { return len(f.idle) == 0 })
	err := f.server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	f.mu.Lock()
	cut := len(f.open)
	f.mu.Unlock()
	return errors.Join(fmt.Errorf("%d connections were cut before their requests were answered: %w", cut, err), f.server.Close())
}

func (f *front) connState(conn net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.idle, conn)
	switch state {
	case http.StateNew:
		f.open[conn] = struct{}{}
	case http.StateIdle:
		f.idle[conn] = struct{}{}
	case http.StateHijacked, http.StateClosed:
		delete(f.open, conn)
	}
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// waitFor waits for something of the connections, for a while at most.
func (f *front) waitFor(ctx context.Context, most time.Duration, is func() bool) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		f.mu.Lock()
		done := is()
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-f.changed:
		}
	}
}

// hush ends the idle connections by a deadline, which hears a request that has arrived already. The server itself would
// close them whatever has arrived.
func (f *front) hush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.idle {
		_ = conn.SetReadDeadline(time.Now().Add(quietFor))
	}
}

// ServeHTTP hands a request to the node.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A body in chunks may have come with a length as well, by which a proxy in front may see its end elsewhere (RFC 9112,
	// 6.1). The library drops the length, and does not tell.
	if f.draining.Load() || len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
	if r.Close && r.Method != http.MethodGet && r.Header.Get("Expect") == "" { // a GET may have become a socket
		defer hearOut(r.Body)
	}
	if probe := r.URL.Path == "/health" || r.URL.Path == "/ready"; !probe {
		select {
		case <-f.starting.Done():
		case <-r.Context().Done():
		}
	}
	if node := f.node.Load(); node != nil {
		(*node).ServeHTTP(w, r)
		return
	}
	f.notYet(w, r)
}

// hearOut reads what a refused request still sends, since a connection that is closed before that is reset, and its client may
// lose the answer. The library does so itself, but not for a client that wants the connection closed, as proxies do.
func hearOut(body io.Reader) {
	const most = 256 << 10 // as much as the library reads
	_, _ = io.CopyN(io.Discard, body, most)
}

// notYet answers as the API does where the database is away.
func (f *front) notYet(w http.ResponseWriter, r *http.Request) {
	var status int
	var body any
	switch r.URL.Path {
	case "/health":
		status, body = http.StatusOK, map[string]string{"status": "ok"}
	case "/ready":
		status, body = http.StatusServiceUnavailable, map[string]any{
			"status": "not_ready", "components": []rest.Component{{Name: "database", Detail: "it is awaited: " + *f.waiting.Load()}},
		}
	default:
		rest.NotYet(w, r, f.origins, "the service waits for its database: try again in a moment")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(body) // a client that is gone cannot be told
	}
}

// lastCall is a listener that can be left, by a deadline: who waits in its queue by then is let in, and only then it is
// closed. One that is just closed resets the connections in its queue, whose clients may have sent a request already.
type lastCall struct {
	*net.TCPListener
	since time.Time // when it was left
}

var errLeft = errors.New("the listener was left")

const (
	// startAtMost is how long requests wait for a node that is being started. Clients that go from node to node as connections
	// are refused come to one that has just begun, and should not have to try again for that.
	startAtMost = 5 * time.Second
	// quietFor is how long nobody came, or said anything, when it counts as quiet. On a busy machine what has arrived is seen
	// milliseconds later, and may be overtaken by the deadline.
	quietFor = 10 * time.Millisecond
	// lastCallAtMost bounds how long people are let in after the listener was left: there may always be more.
	lastCallAtMost = 500 * time.Millisecond
)

// Accept waits for the next connection. It is called by one goroutine.
func (l *lastCall) Accept() (net.Conn, error) {
	if l.since.IsZero() {
		conn, err := l.TCPListener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
		l.since = time.Now()
	}
	for tries := 0; tries < 3 && time.Since(l.since) < lastCallAtMost; tries++ {
		_ = l.SetDeadline(time.Now().Add(quietFor)) // by one that has passed nobody is let in
		if conn, err := l.TCPListener.Accept(); err == nil {
			return conn, nil
		}
	}
	return nil, errors.Join(errLeft, l.Close())
}

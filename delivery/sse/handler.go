// Package sse serves the notification log as server-sent events, as the HTML Living Standard has them (section 9.2,
// https://html.spec.whatwg.org/multipage/server-sent-events.html): what an unmodified EventSource understands.
//
// Guarantees:
//   - Events rise in seq, and each is told once. `id:` is the seq a client was told of, so that its Last-Event-ID is
//     never ahead of what it was sent; what a client missed comes when it brings that back, on any node.
//   - A loss is told in the stream, as `resync`, because a page cannot read the headers of an EventSource.
//   - What a stream carries comes from the rights of a token alone, or of a ticket that was issued for one.
//   - A stream is pulled: what is to be told is read when the connection can take it, so a client that reads slowly
//     costs a bounded amount of memory and loses nothing. It is ended when nothing gets through for a while.
//   - Streams that the server ends at once are asked back over some seconds, and not all at once.
package sse

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// Config of a Handler. Sessions and Tickets are required.
type Config struct {
	// Sessions are what streams tell of.
	Sessions *session.Service
	// Tickets let in who brings `?ticket=`.
	Tickets Tickets
	// Logger gets what goes wrong on this side. Nil: slog.Default().
	Logger *slog.Logger

	// MaxStreams bounds the streams that are open; beyond, requests are refused as overloaded. Zero: 100,000.
	MaxStreams int
	// MaxRooms bounds the rooms that a request may name. Zero: 100.
	MaxRooms int
	// OpenTimeout bounds what is done before a stream begins. Zero: 10 s.
	OpenTimeout time.Duration
	// KeepAlive is after how much time without an event of the log a comment is sent. Zero: 15 s, as the standard advises.
	KeepAlive time.Duration
	// WriteTimeout is how long nothing may get through to a client before its stream is ended. Zero: 30 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a client may take to read the end of its stream. Zero: 3 s.
	CloseTimeout time.Duration
	// ReconnectSpread is the longest time after which a client comes back that was cut off. Zero: 5 s.
	ReconnectSpread time.Duration
	// SocketBuffer bounds what the kernel keeps for a client that reads slowly, where the server has ConnContext.
	// Zero: 128 KiB.
	SocketBuffer int
	// GoneTimeout is after how long a client that acknowledges nothing is given up, where the server has ConnContext, on
	// Linux. Elsewhere the kernel decides. Zero: 90 s.
	GoneTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = c.Logger.With("component", "sse")
	byDefault(&c.MaxStreams, 100_000)
	byDefault(&c.MaxRooms, 100)
	byDefault(&c.OpenTimeout, 10*time.Second)
	byDefault(&c.KeepAlive, 15*time.Second)
	byDefault(&c.WriteTimeout, 30*time.Second)
	byDefault(&c.CloseTimeout, 3*time.Second)
	byDefault(&c.ReconnectSpread, 5*time.Second)
	byDefault(&c.SocketBuffer, 128<<10)
	byDefault(&c.GoneTimeout, 90*time.Second)
	return c
}

func byDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Handler serves streams. It is safe for concurrent use.
type Handler struct {
	cfg     Config
	buffers sync.Pool // of *[]byte: a stream has one only while it writes

	mu      sync.Mutex
	stats   Stats
	streams map[*stream]struct{} // also those that are being opened
	closing bool
	running sync.WaitGroup // one a stream
}

// New returns a handler. Shutdown ends the streams that it serves; it starts nothing of its own.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg.withDefaults(), streams: map[*stream]struct{}{}}
	h.stats.Ended = map[string]int64{}
	h.buffers.New = func() any { return new([]byte) }
	return h
}

// Serve answers GET and HEAD of the stream's address; a GET until the stream ends. user is whom the request's token
// speaks for, nil without a token: then a ticket is needed. remoteAddr is the client's address. An error says that
// nothing was written: a *domain.Error, the context's, or one of what is below.
//
// The stream ends with r's context, which should have no time limit. A limit of the server on writing is replaced, as far
// as w supports the deadlines of an http.ResponseController; the one on reading ends with the request's headers, since
// there is no body.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, user *auth.Identity, remoteAddr string) error {
	a, err := h.admit(r, user)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		setHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		return nil
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	st := &stream{h: h, w: w, control: http.NewResponseController(w), cancel: cancel}
	if err := h.add(st); err != nil {
		return err
	}
	defer h.remove(st)
	if st.session, err = h.open(ctx, a, user, remoteAddr); err != nil {
		return err
	}
	defer st.session.Close()
	st.begin(r.Context())
	st.run(ctx, a.start.LastSeq != nil)
	h.cfg.Logger.DebugContext(ctx, "a stream ended", "reason", st.ended)
	return nil
}

// admit reads a request, and refuses what no stream is opened for. Nothing is used up by that.
func (h *Handler) admit(r *http.Request, user *auth.Identity) (asked, error) {
	// Who may not ask does not learn what is wrong with the question.
	if user == nil && r.URL.Query().Get(paramTicket) == "" {
		return asked{}, domain.Errorf(domain.CodeUnauthenticated, "a token is needed: send Authorization: Bearer TOKEN, "+
			"or, where no header can be sent, ?ticket= from POST /api/v1/events/ticket")
	}
	a, err := parse(r, h.cfg.MaxRooms)
	switch {
	case err != nil:
		return a, err
	case user != nil && a.ticket != "":
		return a, domain.Invalid(paramTicket, "must be left out where Authorization is sent; it was not used")
	case a.ticket != "" && r.Method == http.MethodHead:
		return a, domain.Invalid(paramTicket, "must be left out of a HEAD, which opens no stream; it was not used")
	}
	return a, nil
}

// open opens the session of a stream. A ticket is redeemed last of all that can be refused.
func (h *Handler) open(ctx context.Context, a asked, user *auth.Identity, remoteAddr string) (*session.Session, error) {
	limited, cancel := context.WithTimeout(ctx, h.cfg.OpenTimeout)
	defer cancel()
	x, err := h.openFor(limited, a, user, remoteAddr)
	switch {
	case err == nil:
		return x, nil
	case context.Cause(ctx) == errGoingAway: //nolint:errorlint // it is put there as it is
		return nil, errStopping
	case ctx.Err() == nil && limited.Err() != nil:
		return nil, domain.Errorf(domain.CodeUnavailable, "the stream could not be opened in time: try again in a moment").WithCause(err)
	}
	return nil, err
}

func (h *Handler) openFor(ctx context.Context, a asked, user *auth.Identity, remoteAddr string) (*session.Session, error) {
	if user == nil {
		redeemed, err := h.cfg.Tickets.Redeem(ctx, a.ticket)
		if err != nil {
			return nil, err
		}
		user = &redeemed
	}
	return h.cfg.Sessions.Open(ctx, *user, remoteAddr, a.start)
}

var errStopping = domain.Errorf(domain.CodeUnavailable, "this node is stopping: come back in a moment")

// add takes a place for a stream, before anything is done for it, so that neither the bound nor Shutdown misses it.
func (h *Handler) add(st *stream) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closing:
		return errStopping
	case len(h.streams) >= h.cfg.MaxStreams:
		return domain.Errorf(domain.CodeOverloaded, "this node has as many streams as it serves at a time: come back in a moment")
	}
	h.streams[st] = struct{}{}
	h.running.Add(1)
	return nil
}

func (h *Handler) remove(st *stream) {
	h.mu.Lock()
	delete(h.streams, st)
	if st.ended != "" {
		h.stats.Open--
		h.stats.Ended[st.ended]++
	}
	h.mu.Unlock()
	h.running.Done()
}

// Shutdown ends every stream, asks the clients to come back a random while later, and waits until all have ended. When
// ctx ends first they are cut, and its error is returned. New requests are refused from then on.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	for st := range h.streams {
		st.expel(h.cfg.CloseTimeout)
	}
	h.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		h.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	for st := range h.streams {
		st.expel(0)
	}
	h.mu.Unlock()
	<-ended
	return ctx.Err()
}

// wait is how long a client is to wait before it comes back, each another time.
func (h *Handler) wait() time.Duration {
	least := h.cfg.ReconnectSpread / 5
	return least + rand.N(h.cfg.ReconnectSpread-least+1)
}

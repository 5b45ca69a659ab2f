// Package sse serves the notification log as server-sent events, as the HTML Living Standard has them (section 9.2,
// https://html.spec.whatwg.org/multipage/server-sent-events.html): what an unmodified EventSource understands.
//
// Guarantees:
//   - Events rise in seq, and each is told once. `id:` is the seq a client was told of, so that its Last-Event-ID is
//     never ahead of what it was sent; what a client missed comes when it brings that back, on any node.
//   - A loss is told in the stream, as `resync`, because a page cannot read the headers of an EventSource.
//   - What a stream carries comes from the rights of a token alone, or of a ticket that was issued for one.
//   - A stream is pulled: what is to be told is read when the connection can take it, so a client that reads slowly
//     costs no memory and loses nothing. It ends when nothing could be written for a while.
//   - What passes by itself does not end an EventSource, which gives up at any status but 200: streams end so that
//     the client comes back, at a time of its own.
package sse

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/orderlog/orderlog/internal/auth"
)

// Config of a Handler. Sessions and Tickets are required.
type Config struct {
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
	// KeepAlive is after how much silence a comment is sent, and how often to a client that only hears of how far it
	// is. Zero: 15 s, as the standard advises.
	KeepAlive time.Duration
	// WriteTimeout is how long nothing may get through to a client before its stream is ended. Zero: 30 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a client may take to read the end of its stream. Zero: 3 s.
	CloseTimeout time.Duration
	// ReconnectSpread is the time over which clients come back that were cut off at once. Zero: 5 s.
	ReconnectSpread time.Duration
}

// Handler serves streams. It is safe for concurrent use.
type Handler struct {
	cfg Config
}

// New returns a handler. Shutdown ends the streams that it serves.
func New(cfg Config) *Handler { return &Handler{cfg: cfg} }

// Serve answers GET and HEAD of the stream's address until the stream ends. user is whom the request's token speaks for,
// nil without a token: then a ticket is needed. remoteAddr is the client's address, for what is recorded. An error
// says that nothing was written: it is a *domain.Error, or one of what is below.
//
// The stream ends with r's context. No time limit should be on that; the limits of the server on reading and writing
// are lifted here, as far as w has an http.ResponseController's deadlines.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, user *auth.Identity, remoteAddr string) error {
	return nil
}

// Shutdown ends every stream, asks the clients to come back a random while later, and waits until all have ended. When
// ctx ends first they are cut, and its error is returned. New requests are refused from then on.
func (h *Handler) Shutdown(ctx context.Context) error { return nil }

// Stats are the counters of a Handler.
type Stats struct {
	Accepted int64 // streams that began, since the handler was made
	Open     int64
	// Ended counts the streams that have ended since the handler was made, by why: client_left, token_expired,
	// slow_consumer, going_away, unavailable.
	Ended map[string]int64
}

// Stats returns a snapshot of the counters.
func (h *Handler) Stats() Stats { return Stats{} }

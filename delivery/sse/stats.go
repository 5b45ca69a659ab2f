package sse

import "maps"

// Why streams end.
const (
	endedClientLeft   = "client_left"
	endedTokenExpired = "token_expired"
	endedSlowConsumer = "slow_consumer"
	endedGoingAway    = "going_away"
	endedUnavailable  = "unavailable"
)

// Stats are the counters of a Handler.
type Stats struct {
	Accepted int64 // streams that began, since the handler was made
	Open     int64
	// Ended counts the streams that have ended since the handler was made, by why: client_left, token_expired,
	// slow_consumer, going_away, unavailable.
	Ended map[string]int64
}

// Stats returns a snapshot of the counters.
func (h *Handler) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Ended = maps.Clone(s.Ended)
	return s
}

func (h *Handler) begun() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Accepted++
	h.stats.Open++
}

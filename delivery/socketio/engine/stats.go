package engine

import (
	"maps"
	"net/http"
)

// Stats of a server. The numbers of what is open are of one moment; all others only rise.
type Stats struct {
	// Open sessions by transport. A session that is being upgraded is counted as polling.
	Open map[string]int64
	// Opened counts the sessions that there ever were, and Upgraded those that went over to WebSocket.
	Opened, Upgraded int64
	// Refused counts requests by the protocol's error code, 0 to 5, and Overloaded those that were answered 503.
	Refused    map[int]int64
	Overloaded int64
	// Closed counts the sessions that have ended.
	Closed map[Reason]int64
	// Received and Sent count messages.
	Received, Sent int64
}

// Stats returns the numbers now. The maps are the caller's.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Open, stats.Refused, stats.Closed = maps.Clone(stats.Open), maps.Clone(stats.Refused), maps.Clone(stats.Closed)
	stats.Received, stats.Sent = s.received.Load(), s.sent.Load()
	return stats
}

func (s *Server) countRefused(why *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why.status == http.StatusServiceUnavailable {
		s.stats.Overloaded++
		return
	}
	s.stats.Refused[why.Code]++
}

func (s *Server) countUpgraded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Upgraded++
	s.stats.Open[Polling]--
	s.stats.Open[WebSocket]++
}

package ws

import (
	"maps"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/quota"
)

// Stats counts connections.
type Stats struct {
	Accepted     int64 // since the handler was made
	Open         int64
	Unregistered int64                 // of the open ones
	Roles        map[domain.Role]int64 // those of the open ones that have registered, by the role of their token
	// Closed counts the connections that have ended since the handler was made, by their close code: 1006 without one,
	// and 0 for a code that the client made up.
	Closed map[int]int64
}

// Stats returns a snapshot of the counters. It is safe for concurrent use.
func (h *Handler) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Roles, s.Closed = maps.Clone(s.Roles), maps.Clone(s.Closed)
	return s
}

// counted is the code that a closed connection is counted by. Clients may close with any code they like, so only the
// usual ones of theirs are told apart.
func (cl closing) counted() int {
	if cl.byPeer && cl.code != websocket.CloseNormalClosure && cl.code != websocket.CloseGoingAway {
		return closedOddly
	}
	return cl.code
}

const closedOddly = -1 // a connection's code until it is counted

// giveUp gives a place back whose handshake failed.
func (h *Handler) giveUp(client string) {
	h.unknown.Give(quota.Address(client))
	h.mu.Lock()
	h.stats.Open--
	h.stats.Unregistered--
	h.mu.Unlock()
	h.running.Done()
}

// givePlaceBack counts a connection that has ended.
func (h *Handler) givePlaceBack(c *conn) {
	h.mu.Lock()
	delete(h.conns, c)
	h.stats.Open--
	switch c.code {
	case 0:
		h.stats.Closed[websocket.CloseAbnormalClosure]++
	case closedOddly:
		h.stats.Closed[0]++
	default:
		h.stats.Closed[c.code]++
	}
	if c.role != "" {
		h.stats.Roles[c.role]--
	}
	h.mu.Unlock()
	h.running.Done()
}

package ws

import (
	"maps"
	"slices"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
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

// Users is how many users are connected, each counted once.
func (h *Handler) Users() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(len(h.users))
}

// maxOnline bounds what Online returns.
const maxOnline = 10_000

// Online returns the ids of the users that are connected, in order; of very many, the first 10,000.
func (h *Handler) Online() []string {
	h.mu.Lock()
	users := slices.AppendSeq(make([]string, 0, len(h.users)), maps.Keys(h.users))
	h.mu.Unlock()
	slices.Sort(users)
	return users[:min(len(users), maxOnline)]
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

// registered makes room for another connection that has not registered yet. Without a user the connection ended
// before it did.
func (h *Handler) registered(c *conn, user string, role domain.Role) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Unregistered--
	if user == "" {
		return
	}
	c.user, c.role = user, role
	h.users[user]++
	h.stats.Roles[role]++
}

// giveUp gives a place back whose handshake failed.
func (h *Handler) giveUp() {
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
	if c.user != "" {
		h.stats.Roles[c.role]--
		if h.users[c.user]--; h.users[c.user] == 0 {
			delete(h.users, c.user)
		}
	}
	h.mu.Unlock()
	h.running.Done()
}

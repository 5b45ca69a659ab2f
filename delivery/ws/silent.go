package ws

import (
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/quota"
)

// silence is that of a connection over which nothing has been said yet.
type silence struct {
	conn  *conn
	since time.Time
}

// makeRoom sends the eldest away of those that have said nothing for longer than is tolerated, of one address or, without
// one, of all. So whoever holds all places in silence does not keep those out who have something to say, from the same
// address or another. Who is being registered is left in peace. The handler's lock is held.
func (h *Handler) makeRoom(address string) bool {
	until := time.Now().Add(-h.cfg.ToleratedSilence)
	for e := h.silent.Front(); e != nil; e = e.Next() {
		s := e.Value.(silence) //nolint:forcetypeassert // nothing else is in there
		if s.since.After(until) {
			return false
		}
		if address != "" && quota.Address(s.conn.remoteAddr) != address {
			continue
		}
		if !s.conn.counted.CompareAndSwap(false, true) {
			continue // it has just ended
		}
		h.countRegistered(s.conn, "")
		s.conn.expel(closeFor(delivery.CodeRegisterTimeout))
		return true
	}
	return false
}

// spoke notes that something was said over a connection.
func (h *Handler) spoke(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.breakSilence(c)
}

func (h *Handler) breakSilence(c *conn) {
	if c.silence != nil {
		h.silent.Remove(c.silence)
		c.silence = nil
	}
}

// countRegistered makes room for another connection that has not registered yet. Without a role the connection has ended
// before it did. The handler's lock is held.
func (h *Handler) countRegistered(c *conn, role domain.Role) {
	h.breakSilence(c)
	h.unknown.Give(quota.Address(c.remoteAddr))
	h.stats.Unregistered--
	if c.role = role; role != "" {
		h.stats.Roles[role]++
	}
}

// keepSilent notes a new connection. The handler's lock is held.
func (h *Handler) keepSilent(c *conn) {
	c.silence = h.silent.PushBack(silence{c, time.Now()})
}

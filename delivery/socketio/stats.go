package socketio

import (
	"maps"
	"sync"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/domain"
)

// Stats counts what a handler serves and has served. The numbers of what is open are of one moment; all others only rise.
type Stats struct {
	// Engine is about the connections, each with any number of sockets.
	Engine engine.Stats
	// Sockets are those that are open.
	Sockets map[SocketKind]int64
	// Recovered sockets kept their pid: they were told all they had missed. Resumed ones gave a cursor without a pid that
	// was good. Anew are all others.
	Recovered, Resumed, Anew int64
	// Resyncs are the times that what was missed could not be told, by the reason.
	Resyncs map[session.ResyncReason]int64
	// Refused are the clients that were not let into a namespace, by the code. Those of CodeUnavailable, CodeOverloaded and
	// CodeRateLimited were sent away to come again.
	Refused map[domain.Code]int64
}

// SocketKind is what sockets are counted by. The role of the anonymous is empty.
type SocketKind struct {
	Namespace string
	Role      domain.Role
}

type counters struct {
	mu    sync.Mutex
	stats Stats // without Engine
}

func newCounters() counters {
	return counters{stats: Stats{
		Sockets: map[SocketKind]int64{}, Resyncs: map[session.ResyncReason]int64{}, Refused: map[domain.Code]int64{},
	}}
}

func (c *counters) count(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

// Stats returns a snapshot of the counters. It is safe for concurrent use, and the maps are the caller's.
func (h *Handler) Stats() Stats {
	h.counters.mu.Lock()
	s := h.counters.stats
	s.Sockets, s.Resyncs, s.Refused = maps.Clone(s.Sockets), maps.Clone(s.Resyncs), maps.Clone(s.Refused)
	h.counters.mu.Unlock()
	maps.DeleteFunc(s.Sockets, func(_ SocketKind, n int64) bool { return n == 0 })
	s.Engine = h.engine.Stats()
	return s
}

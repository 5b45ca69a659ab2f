package engine

import "time"

// Packets that are no message are not the peer's to count. A client sends a pong a ping and hardly any other.
const (
	maxIdlePackets = 100
	idleSpan       = 10 * time.Second
)

// mayIdle says whether the client may send a packet of a kind that is no message. A pong that is waited for always may
// come.
func (s *Session) mayIdle(kind byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return kind == packetPong && !s.beat.pongBy.IsZero() || s.idle.Allow(time.Now(), maxIdlePackets, idleSpan)
}

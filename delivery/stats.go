package delivery

import "sync/atomic"

// Stats counts what a hub has done since it was made. The counters only rise, but for Subscriptions.
type Stats struct {
	Subscriptions  int64 // open now
	Published      int64 // frames the tail has read
	Delivered      int64 // frames handed out, whatever they came from
	ReplayedRing   int64 // of those, read from the ring
	ReplayedFeed   int64 // of those, read from the database
	Overflows      int64 // queues that were thrown away because the client was slow
	Faults         int64 // readings of the tail that failed
	Position       int64
	RingFrames     int64
	RingBytes      int64
	RingFloor      int64
	SharedReadings int64 // database reads saved because an identical one was under way
}

type counters struct {
	subscriptions, published, delivered, ring, feed, overflows, faults, shared atomic.Int64
}

// Stats returns a snapshot of the counters. It is safe for concurrent use.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	frames, bytes, floor := h.ring.count, h.ring.bytes, h.ring.floor
	h.mu.Unlock()
	return Stats{
		Subscriptions:  h.counters.subscriptions.Load(),
		Published:      h.counters.published.Load(),
		Delivered:      h.counters.delivered.Load(),
		ReplayedRing:   h.counters.ring.Load(),
		ReplayedFeed:   h.counters.feed.Load(),
		Overflows:      h.counters.overflows.Load(),
		Faults:         h.counters.faults.Load(),
		SharedReadings: h.counters.shared.Load(),
		Position:       h.Position(),
		RingFrames:     int64(frames),
		RingBytes:      int64(bytes),
		RingFloor:      floor,
	}
}

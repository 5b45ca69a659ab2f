package delivery

import (
	"sync"
	"sync/atomic"
)

// Stats counts what a hub has done since it was made. The counters only rise, but for Subscriptions and Readings.
type Stats struct {
	Subscriptions  int64            // open now
	Published      int64            // frames the tail has read
	Delivered      int64            // frames handed out, whatever they came from
	Sent           map[string]int64 // of those, the frames of each event name
	ReplayedRing   int64            // of those, read from the ring
	ReplayedFeed   int64            // of those, read from the database
	Overflows      int64            // queues that were thrown away because the client was slow
	Faults         int64            // readings of the tail that failed
	Position       int64
	RingFrames     int64
	RingBytes      int64
	RingFloor      int64
	Readings       int64 // of the database that are under way for subscriptions, or wait for their turn
	SharedReadings int64 // readings for subscriptions that needed nothing of the database beyond what was read for others
}

type counters struct {
	subscriptions, published, delivered, ring, feed, overflows, faults, shared atomic.Int64

	sent sync.Map // the name of an event to its *atomic.Int64; a frame brings its own along
}

// of returns the counter of an event.
func (c *counters) of(event string) *atomic.Int64 {
	if n, ok := c.sent.Load(event); ok {
		return n.(*atomic.Int64)
	}
	n, _ := c.sent.LoadOrStore(event, new(atomic.Int64))
	return n.(*atomic.Int64)
}

// handOut counts frames. Those of one event that follow each other are counted at once.
func (c *counters) handOut(frames []*Frame) {
	c.delivered.Add(int64(len(frames)))
	for len(frames) > 0 {
		sent, n := frames[0].sent, 1
		for n < len(frames) && frames[n].sent == sent {
			n++
		}
		if sent != nil {
			sent.Add(int64(n))
		}
		frames = frames[n:]
	}
}

// Stats returns a snapshot of the counters. It is safe for concurrent use.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	frames, bytes, floor := h.ring.count, h.ring.bytes, h.ring.floor
	h.mu.Unlock()
	sent := map[string]int64{}
	h.counters.sent.Range(func(event, n any) bool {
		sent[event.(string)] = n.(*atomic.Int64).Load()
		return true
	})
	return Stats{
		Subscriptions:  h.counters.subscriptions.Load(),
		Published:      h.counters.published.Load(),
		Delivered:      h.counters.delivered.Load(),
		Sent:           sent,
		ReplayedRing:   h.counters.ring.Load(),
		ReplayedFeed:   h.counters.feed.Load(),
		Overflows:      h.counters.overflows.Load(),
		Faults:         h.counters.faults.Load(),
		Readings:       h.fillers.count(),
		SharedReadings: h.counters.shared.Load(),
		Position:       h.Position(),
		RingFrames:     int64(frames),
		RingBytes:      int64(bytes),
		RingFloor:      floor,
	}
}

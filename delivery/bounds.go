package delivery

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/projections"
)

// boundsCache lets a storm of clients that return judge their cursors with a few readings of the database.
type boundsCache struct {
	newest *atomic.Pointer[datedBounds]
	turn   chan struct{} // one reads at a time
}

type datedBounds struct {
	projections.Bounds
	asked time.Time // before the reading began
}

func newBoundsCache() boundsCache {
	return boundsCache{newest: new(atomic.Pointer[datedBounds]), turn: make(chan struct{}, 1)}
}

// Bounds returns what the log holds. It was read after the call, so a seq beyond its head is truly ahead of the
// log, and everything that was answered before the call is within it. Those who ask while a reading is under way
// share the next one.
func (h *Hub) Bounds(ctx context.Context) (projections.Bounds, error) {
	called := time.Now()
	select {
	case <-ctx.Done():
		return projections.Bounds{}, ctx.Err()
	case h.bounds.turn <- struct{}{}:
		defer func() { <-h.bounds.turn }()
	}
	if b := h.bounds.newest.Load(); b != nil && b.asked.After(called) { // another's, begun while we waited
		return b.Bounds, nil
	}
	asked := time.Now()
	b, err := h.cfg.Feed.Bounds(ctx)
	if err != nil {
		return projections.Bounds{}, fmt.Errorf("read the bounds of the notification log: %w", err)
	}
	h.bounds.newest.Store(&datedBounds{Bounds: b, asked: asked})
	return b, nil
}

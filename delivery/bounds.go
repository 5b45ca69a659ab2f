package delivery

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/projections"
)

// boundsCache lets a storm of clients that return judge their cursors with one reading of the database.
type boundsCache struct {
	newest *atomic.Pointer[datedBounds]
	turn   chan struct{} // one reads at a time
}

type datedBounds struct {
	projections.Bounds
	at time.Time
}

func newBoundsCache() boundsCache {
	return boundsCache{newest: new(atomic.Pointer[datedBounds]), turn: make(chan struct{}, 1)}
}

// put keeps the newer of what is known: two readings may come back in another order than they went out.
func (c boundsCache) put(b projections.Bounds, asked time.Time) {
	next := &datedBounds{Bounds: b, at: asked}
	for {
		old := c.newest.Load()
		if old != nil && old.LogID == b.LogID && old.Head > b.Head {
			return
		}
		if c.newest.CompareAndSwap(old, next) {
			return
		}
	}
}

func (c boundsCache) fresh(age time.Duration, seq int64) (projections.Bounds, bool) {
	b := c.newest.Load()
	if b == nil || time.Since(b.at) >= age || b.Head < seq {
		return projections.Bounds{}, false
	}
	return b.Bounds, true
}

// Bounds returns what the log holds, as it was at most Config.BoundsAge ago. An answer whose head is before seq
// was read after the call: so a seq beyond it is truly ahead of the log.
func (h *Hub) Bounds(ctx context.Context, seq int64) (projections.Bounds, error) {
	if b, ok := h.bounds.fresh(h.cfg.BoundsAge, seq); ok {
		return b, nil
	}
	select {
	case <-ctx.Done():
		return projections.Bounds{}, ctx.Err()
	case h.bounds.turn <- struct{}{}:
		defer func() { <-h.bounds.turn }()
	}
	if b, ok := h.bounds.fresh(h.cfg.BoundsAge, seq); ok { // another has read while we waited
		return b, nil
	}
	return h.refreshBounds(ctx)
}

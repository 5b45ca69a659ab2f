package session

import (
	"context"
	"fmt"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// ending is a context that ends when it has been asked so many times.
type ending struct {
	context.Context //nolint:containedctx // it is one
	asks            int
}

func (c *ending) Err() error {
	if c.asks--; c.asks < 0 {
		return context.Canceled
	}
	return nil
}

// A place that is not given back is lost to its user for good.
func TestAnOpeningThatIsGivenUpAtAnyMomentTakesNoPlace(t *testing.T) {
	t.Parallel()
	w := run(t, nil, nil)
	for asks := range 8 {
		user := fmt.Sprint("user ", asks)
		x, err := w.service.Open(&ending{t.Context(), asks}, auth.Identity{UserID: user, Role: domain.RoleCustomer}, "", Start{})
		if err == nil {
			x.Close()
		}
		if online := w.service.Online(); len(online) != 0 || w.hub.Stats().Subscriptions != 0 {
			t.Fatalf("given up after %d looks: %v are left (%v)", asks, online, err)
		}
	}
}

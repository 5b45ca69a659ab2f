package delivery

import (
	"testing"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/projections"
)

func TestWhoCatchesUpGetsTheNewestPlaceOfEachOrder(t *testing.T) {
	t.Parallel()
	for name, ringFrames := range map[string]int{"from the database": 1, "from the ring": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			feed := deliverytest.NewFeed()
			place := func(channels ...string) {
				feed.Append(projections.Notification{Event: projections.EventDeliveryLocation, Channels: channels})
			}
			hub := newHub(feed, func(c *Config) { c.RingFrames = ringFrames })
			mustStep(t, hub)
			live := subscribe(t, hub, []string{"user:a", "delivery:x"}, 0, 0)
			wantCaughtUp(t, live, 0)
			place("user:a", "order:1", "delivery:x") // 1: replaced by 4
			place("user:a", "order:2", "delivery:x") // 2: the only one of its order
			feed.Add("user:a", "order:1")            // 3: no place
			place("user:a", "order:1", "delivery:y") // 4: replaced by 7
			place("user:b", "order:1", "delivery:z") // 5: not for this subscription
			place("user:a")                          // 6: of no order that is known
			place("user:a", "order:1", "delivery:y") // 7
			mustStep(t, hub)

			late := subscribe(t, hub, []string{"user:a"}, 0, 0)
			wantFrames(t, late, 2, 3, 6, 7)
			wantCaughtUp(t, late, 7)
			// delivery:x carries the first one only. Were user:a left before 7 is handed out, nothing would replace it.
			follower := subscribe(t, hub, []string{"user:a", "delivery:x"}, 0, 0)
			wantFrames(t, follower, 1, 2, 3, 6, 7)
			wantFrames(t, live, 1, 2, 3, 4, 6, 7) // live, nothing is left out
			s := hub.Stats()
			if s.Sent["e"] != 3 || s.Sent[projections.EventDeliveryLocation] != 3+4+5 || s.Delivered != 4+5+6 {
				t.Errorf("counted %+v of %d", s.Sent, s.Delivered)
			}
		})
	}
}

package main

import (
	"testing"

	"github.com/orderlog/orderlog/domain"
)

// An admin that is cut between the two events of one change of status is told the second one when it is back, and the
// first one not again.
func TestACutBetweenThePairLosesAndRepeatsNeither(t *testing.T) {
	t.Parallel()
	s, order, _ := caughtUpShop(t) // 5 and 7 are changes of status
	for _, transport := range []string{"polling", "websocket", "upgrade"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			d := &overSocketIO{transport: transport}
			boss := newClient(t, d, "boss", domain.RoleAdmin)
			var k *connection
			for cuts := 0; cuts < 2; cuts++ {
				k = boss.begin(t, s.url)
				for {
					f, err := k.next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if f.event == changed {
						break // what comes next has been sent as well, and is lost
					}
				}
				k.cut()
				if want := []string{"5/1", "7/1"}[cuts]; d.offset != want {
					t.Errorf("it was cut at %s, want %s", d.offset, want)
				}
			}
			k = boss.begin(t, s.url)
			if f, err := k.next(t.Context()); err != nil || f.event != "order:status:update" || f.seq != 7 ||
				!includes(t, string(f.data), `{"orderId":"`+order+`","status":"preparing"}`) {
				t.Errorf("heard %s %d %s, %v", f.event, f.seq, f.data, err)
			}
			k.hears(t, "caught_up", 8)
		})
	}
}

// Another user with the same socket.io-client goes on nowhere: its pid is of the one before, and its offset, which the
// client keeps until it is told another, means nothing.
func TestAnotherUserDoesNotGoOnWhereTheOneBeforeWas(t *testing.T) {
	t.Parallel()
	s, _, _ := caughtUpShop(t)
	for _, transport := range []string{"polling", "websocket", "upgrade"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			d := &overSocketIO{transport: transport}
			c := newClient(t, d, "ada", domain.RoleCustomer)
			c.live = true
			k := c.begin(t, s.url)
			k.cut()
			d.claim(1000) // ada was told of that, in a log that was longer

			user := own(t, "carl")
			missed := s.note(t, user) // before he was ever there
			s.seen(t)
			c.token = tokenFor(t, user, domain.RoleCustomer)
			k, err := c.connect(t.Context(), s.url)
			if err != nil {
				t.Fatal(err)
			}
			if f := k.hears(t, registered, 0); !f.lost {
				t.Error("it is recovered as another user")
			}
			k.cut() // he was told nothing, and still has ada's offset
			first := s.note(t, user)
			k = c.begin(t, s.url)
			if k.hears(t, "notification:new", first); first <= missed {
				t.Errorf("%d and %d", missed, first)
			}
		})
	}
}

package delivery

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/projections"
)

var (
	agentA = []string{"all", "role:delivery", "user:a", "order:1"}
	lostBy = func(user, role string) projections.Ending {
		return projections.Ending{Channel: "order:1", User: user, Role: role}
	}
)

// end appends an event that takes order:1 away from somebody.
func end(feed *deliverytest.Feed, e projections.Ending, channels ...string) int64 {
	return feed.Append(projections.Notification{Event: "e", Channels: channels, Endings: []projections.Ending{e}})
}

func wantLeft(t *testing.T, s *Subscription, want ...string) {
	t.Helper()
	if b := mustPoll(t, s); !slices.Equal(b.Left, want) || len(b.Frames) > 0 || b.CaughtUp {
		t.Fatalf("got %+v, want left %v", b, want)
	}
}

func TestAnEndingTakesAUserInARoleOutOfAChannel(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	loses := subscribe(t, hub, agentA, 0, 0)
	also := subscribe(t, hub, agentA, 0, 0) // another connection
	others := map[string]*Subscription{}
	for name, channels := range map[string][]string{
		"another agent":     {"all", "role:delivery", "user:b", "order:1"},
		"another role":      {"all", "role:customer", "user:a", "order:1"},
		"the same, no user": {"role:delivery", "order:1"},
	} {
		others[name] = subscribe(t, hub, channels, 0, 0)
		wantCaughtUp(t, others[name], 0)
	}
	elsewhere := subscribe(t, hub, []string{"all", "role:delivery", "user:a", "order:2"}, 0, 0)
	for _, s := range []*Subscription{loses, also, elsewhere} {
		wantCaughtUp(t, s, 0)
		<-s.Ready()
	}

	end(feed, lostBy("a", "delivery"), "role:admin", "order:1") // 1
	mustStep(t, hub)
	for _, s := range []*Subscription{loses, also} {
		wantWoken(t, s)
		wantLeft(t, s, "order:1")
		wantNothing(t, s) // the event that took the right away is not theirs already
		if s.Has("order:1") || s.Channels() != 3 {
			t.Errorf("still in the channel, %d channels", s.Channels())
		}
	}
	wantNothing(t, elsewhere)
	feed.Add("order:1")        // 2
	feed.Add("order:1", "all") // 3: another of its channels carries it
	mustStep(t, hub)
	wantFrames(t, loses, 3)
	for name, s := range others {
		if b := mustPoll(t, s); !slices.Equal(seqs(b.Frames), []int64{1, 2, 3}) {
			t.Errorf("%s got %+v", name, b)
		}
	}
}

func TestWhatIsQueuedOfAChannelThatEndedIsNotHandedOut(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := subscribe(t, hub, agentA, 0, 0)
	wantCaughtUp(t, s, 0)
	feed.Add("order:1")                                         // 1
	feed.Add("user:a", "order:1")                               // 2
	end(feed, lostBy("a", "delivery"), "role:admin", "order:1") // 3
	feed.Add("order:1")                                         // 4
	feed.Add("user:a")                                          // 5
	mustStep(t, hub)
	wantLeft(t, s, "order:1")
	wantFrames(t, s, 2, 5)
	wantCaughtUp(t, s, 5)
}

// The right ends while a page is being read that was asked for with it.
func TestAnEndingReachesWhoIsCatchingUp(t *testing.T) {
	t.Parallel()
	for name, ringFrames := range map[string]int{"from the database": 1, "from the ring": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			feed := deliverytest.NewFeed()
			for range 3 {
				feed.Add("order:1")
			}
			feed.Add("user:a") // 4
			hub := newHub(feed, func(c *Config) { c.RingFrames = ringFrames })
			mustStep(t, hub)
			s := subscribe(t, hub, agentA, 0, 0)
			ended := func() error {
				feed.OnRead(nil)
				end(feed, lostBy("a", "delivery"), "all", "order:1") // 5
				mustStep(t, hub)
				return nil
			}
			feed.OnRead(ended)
			if ringFrames > 1 { // nothing reads the database: one frame is out, the others wait
				if b, err := s.Poll(t.Context(), 1); err != nil || !slices.Equal(seqs(b.Frames), []int64{1}) {
					t.Fatalf("%+v, %v", b, err)
				}
				if err := ended(); err != nil {
					t.Fatal(err)
				}
			}
			wantLeft(t, s, "order:1")
			wantFrames(t, s, 4, 5)
			wantCaughtUp(t, s, 5)
		})
	}
}

func TestAnOldEndingIsNotAppliedToWhoComesLater(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	end(feed, lostBy("a", "delivery"), "role:admin", "order:1")
	feed.Add("order:1") // given back meanwhile
	mustStep(t, hub)
	s := subscribe(t, hub, agentA, 0, 0)
	wantFrames(t, s, 1, 2)
	wantCaughtUp(t, s, 2)
	feed.Add("order:1")
	mustStep(t, hub)
	wantFrames(t, s, 3)
}

// The right is checked, then ended, and only then used.
func TestARightThatEndedBehindItsCheckIsNotUsed(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	feed.Add("all")
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"all", "role:delivery", "user:a"}, 1, 0)
	other := subscribe(t, hub, []string{"all", "role:delivery", "user:b"}, 1, 0)
	checked := hub.Position()
	feed.Add("order:1")
	end(feed, lostBy("a", "delivery"), "role:admin")
	feed.Add("order:1")
	mustStep(t, hub)
	if _, _, err := s.Join("order:1", checked, 0); !errors.Is(err, ErrEnded) || s.Has("order:1") {
		t.Errorf("joined: %v", err)
	}
	if _, err := hub.Subscribe(Wanted{Channels: agentA, Checked: checked}); !errors.Is(err, ErrEnded) {
		t.Errorf("subscribed: %v", err)
	}
	if n := hub.Stats().Subscriptions; n != 2 || hub.channels["order:1"].len() != 0 {
		t.Errorf("%d subscriptions, %d in the channel", n, hub.channels["order:1"].len())
	}
	// It was another's right, another room's, or the check came behind the end.
	if _, _, err := other.Join("order:1", checked, 0); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Join("order:2", checked, 0); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Join("order:1", 3, 0); err != nil {
		t.Error(err)
	}
}

// What is not known any more is taken as ended.
func TestEndingsAreRememberedWithinABound(t *testing.T) {
	t.Parallel()
	e := endings{}
	for seq := int64(1); seq <= 10*maxEndings; seq++ {
		e.add(seq, projections.Ending{Channel: fmt.Sprint("order:", seq), User: "a", Role: "delivery"})
		if len(e.recent) > 2*maxEndings {
			t.Fatalf("%d are remembered", len(e.recent))
		}
	}
	in := channelSet{"user:a": 0, "role:delivery": 0}
	const last = 10 * maxEndings
	if !e.since(1, "order:x", in) || e.since(last-maxEndings, "order:x", in) {
		t.Error("what is forgotten is not told from what is known")
	}
	if !e.since(last-10, fmt.Sprint("order:", last), in) || e.since(last, fmt.Sprint("order:", last), in) {
		t.Error("the last ending")
	}
}

// A client that was not answered yet does not know that it was in the room.
func TestAnEndIsToldBehindTheAnswerToTheJoining(t *testing.T) {
	t.Parallel()
	type world struct {
		*testing.T
		feed *deliverytest.Feed
		hub  *Hub
		*Subscription
	}
	join := func(w world) {
		if _, _, err := w.Join("order:1", w.hub.Position(), 0); err != nil {
			w.Fatalf("Join: %v", err)
		}
	}
	ends := func(w world) {
		end(w.feed, lostBy("a", "delivery"), "role:admin")
		mustStep(w, w.hub)
	}
	answered := func(w world) { w.Answered("order:1", true) }
	refused := func(w world) { w.Answered("order:1", false) }
	leave := func(w world) { w.Leave("order:1") }
	unjoin := func(w world) { w.Unjoin("order:1") }
	left := func(w world) { wantLeft(w.T, w.Subscription, "order:1") }
	nothing := func(w world) { wantNothing(w.T, w.Subscription) }
	revoke := func(w world) { w.End("order:1") }
	type steps []func(world)
	for name, does := range map[string]steps{
		"ended behind the answer":                             {join, answered, nothing, ends, left},
		"ended before the answer":                             {join, ends, nothing, answered, left},
		"ended, then left before the answer":                  {join, ends, leave, answered, nothing},
		"ended, and the joining failed":                       {join, ends, unjoin, refused, nothing},
		"joined again, ended, and answered":                   {join, answered, join, ends, nothing, answered, left},
		"joined again, ended, and refused":                    {join, answered, join, ends, nothing, refused, left},
		"ended, joined again, and answered":                   {join, answered, ends, join, answered, nothing},
		"ended, joined again, and told between":               {join, answered, ends, join, left, answered, nothing},
		"ended, joined again, and refused":                    {join, answered, ends, join, unjoin, refused, left},
		"ended, joined again, and ended again":                {join, answered, ends, join, ends, answered, left},
		"two joinings wait for their answers":                 {join, leave, join, ends, answered, nothing, answered, left},
		"ended, joined before the first answer, told between": {join, ends, join, answered, left, answered, nothing},
		"ended, joined before the first answer":               {join, ends, join, answered, answered, nothing, ends, left},
		"ended, joined before the first answer, and refused":  {join, ends, join, unjoin, answered, refused, left},
		"ended twice, the second time refused":                {join, ends, join, ends, unjoin, answered, refused, left},
		"ended twice before the answers":                      {join, ends, join, ends, answered, left, answered, left},
		"left by itself":                                      {join, answered, leave, ends, nothing},
		"ended, then left by itself":                          {join, answered, ends, leave, nothing},
		"found to be lost by a check":                         {join, answered, revoke, left, ends, nothing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			feed := deliverytest.NewFeed()
			hub := newHub(feed, nil)
			mustStep(t, hub)
			s := subscribe(t, hub, []string{"all", "role:delivery", "user:a"}, 0, 0)
			wantCaughtUp(t, s, 0)
			for _, step := range append(does, nothing) {
				step(world{t, feed, hub, s})
			}
			if len(s.joins) > 0 {
				t.Errorf("%d joinings are kept", len(s.joins))
			}
		})
	}
}

package delivery

import (
	"slices"
	"testing"

	"github.com/orderlog/orderlog/delivery/deliverytest"
)

// Who is notified asks once by itself, and then whenever it was told that there may be something.
func TestASubscriptionNotifies(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	feed.Add("a")
	mustStep(t, hub)
	notified := 0
	s, err := hub.Subscribe(Wanted{Channels: []string{"a", "b"}, Checked: hub.Position(), Notify: func() { notified++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if notified != 0 || s.Ready() != nil {
		t.Errorf("notified %d times before it was asked, ready: %v", notified, s.Ready())
	}
	take := func() []int64 {
		t.Helper()
		b, err := s.Take(10)
		if err != nil {
			t.Fatal(err)
		}
		return seqs(b.Frames)
	}
	if got := take(); !slices.Equal(got, []int64{1}) {
		t.Errorf("got %v", got)
	}
	for got := take(); len(got) > 0; got = take() {
	}
	for what, do := range map[string]func(){
		"an event":           func() { feed.Add("a"); mustStep(t, hub) },
		"a signal":           s.Signal,
		"a right that ended": func() { s.End("b") },
		"another cursor":     func() { s.Reset(1) },
	} {
		before := notified
		if do(); notified == before {
			t.Errorf("%s is not told", what)
		}
		for b, err := s.Take(10); err == nil && !b.Empty(); b, err = s.Take(10) {
		}
	}
	before := notified
	feed.Add("c")
	mustStep(t, hub)
	if notified != before {
		t.Error("notified of what is another's")
	}
}

// However many writers compete with the hub for the processor, events that come together are written together.
func TestWhoIsToldOfEventsThatCameTogetherIsWokenOnce(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	notified := 0
	s, err := hub.Subscribe(Wanted{Channels: []string{"a", "b"}, Checked: hub.Position(), Notify: func() { notified++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for b, err := s.Take(10); err == nil && !b.Empty(); b, err = s.Take(10) {
	}
	for range 2 { // a second time, too
		before := notified
		for range framesAWake / 2 {
			feed.Add("a")
			feed.Add("b", "a")
		}
		mustStep(t, hub)
		if notified != before+1 {
			t.Errorf("woken %d times for %d events", notified-before, framesAWake)
		}
		if b, err := s.Take(2 * framesAWake); err != nil || len(b.Frames) != framesAWake {
			t.Errorf("got %d events, %v", len(b.Frames), err)
		}
	}
}

func TestMembersOfAChannel(t *testing.T) {
	t.Parallel()
	a, b, c := &Subscription{}, &Subscription{}, &Subscription{}
	var m members
	expect := func(want ...*Subscription) {
		t.Helper()
		var got []*Subscription
		for s := range m.all {
			got = append(got, s)
		}
		if m.len() != len(want) || len(got) != len(want) {
			t.Fatalf("%d of %d, want %d", len(got), m.len(), len(want))
		}
		for _, s := range want {
			if !slices.Contains(got, s) {
				t.Fatal("one is missing")
			}
		}
	}
	expect()
	m = m.without(a)
	expect()
	m = m.with(a).with(a)
	expect(a)
	m = m.with(b)
	expect(a, b)
	m = m.with(b).with(c).without(a)
	expect(b, c)
	m = m.without(a).without(b)
	expect(c)
	m = m.without(c)
	expect()
	m = m.with(a).with(b)
	for s := range m.all { // it may be taken out
		m = m.without(s)
	}
	expect()
	m = members{}.with(a)
	for s := range m.all {
		m = m.without(s)
	}
	expect()
	m = members{}.with(a).with(b)
	for range m.all {
		break
	}
}

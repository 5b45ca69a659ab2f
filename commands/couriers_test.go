package commands_test

import (
	"fmt"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
)

func TestReportsOfWhereAnOrderIs(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	clock := newClock()
	s.store.Clock = clock.now
	s.online(raj)
	o := s.assign(s.placed(), raj)
	report := func(lat float64) (commands.Outcome[commands.Location], error) {
		return s.ReportLocation(t.Context(), by(raj), commands.ReportLocation{OrderID: o.ID, Point: courier.Point{Latitude: lat, Longitude: 2}})
	}
	want := func(kept bool, points int) commands.Outcome[commands.Location] {
		t.Helper()
		out, err := report(float64(points))
		if err != nil || out.Value.Kept != kept || out.Value.OrderID != o.ID {
			t.Fatalf("reported: %+v, %v; want kept %v", out, err, kept)
		}
		track := stateOf(s, courier.Track{}, courier.TrackStreamType, o.ID)
		if track.Version != int64(points) || !out.Value.At.Equal(track.At) {
			t.Errorf("answered %+v; the track is %+v; want %d points", out, track, points)
		}
		return out
	}
	first := want(true, 1)
	clock.pass("0.999s")
	if out := want(false, 1); out.Seq != first.Seq {
		t.Errorf("a point that was not kept answers seq %d; want that of the one that was, %d", out.Seq, first.Seq)
	}
	clock.pass("0.001s")
	want(true, 2)
	clock.pass("1h")
	want(true, 3)

	_, err := report(91)
	wantCode(t, err, domain.CodeInvalidRequest)
	wantDetail(t, err, "field", "latitude")
	s.delivered(o)
	clock.pass("1h")
	_, err = report(1)
	wantCode(t, err, domain.CodeOrderNotActive)
}

// Of two at once the second meets a track that has changed, and is dropped: not an error, and not a second point.
func TestOfTwoReportsAtOnceOneIsKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.store.Clock = newClock().now
	s.online(raj)
	o := s.assign(s.placed(), raj)
	report := func() (commands.Outcome[commands.Location], error) {
		return s.ReportLocation(t.Context(), by(raj), commands.ReportLocation{OrderID: o.ID})
	}
	s.onNextAppend(func() {
		if out, err := report(); err != nil || !out.Value.Kept {
			t.Errorf("the first: %+v, %v", out, err)
		}
	})
	if out, err := report(); err != nil || out.Value.Kept {
		t.Errorf("the second: %+v, %v", out, err)
	}
}

func TestAReportThatRacesWithLosingTheOrderIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(*shop, order.Order)
		code      domain.Code
	}{
		"to another courier": {func(s *shop, o order.Order) { s.assign(o, sam) }, domain.CodeForbidden},
		"for good":           {func(s *shop, o order.Order) { s.cancel(o) }, domain.CodeOrderNotActive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.online(raj)
			s.online(sam)
			o := s.assign(s.placed(), raj)
			s.onNextAppend(func() { c.meanwhile(s, o) })
			_, err := s.ReportLocation(t.Context(), by(raj), commands.ReportLocation{OrderID: o.ID})
			wantCode(t, err, c.code)
			if track := stateOf(s, courier.Track{}, courier.TrackStreamType, o.ID); track.Version != 0 {
				t.Errorf("a point was kept: %+v", track)
			}
		})
	}
}

func TestACouriersStatusIsItsOwn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	set := func(a commands.Actor, status string) (commands.Outcome[courier.Courier], error) {
		return s.SetCourierStatus(t.Context(), by(a), commands.SetCourierStatus{Status: status})
	}
	out, err := set(raj, "online")
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, courier.Initial(raj.UserID), courier.StreamType, courier.StreamID(raj.UserID), out)
	if c := out.Value; c.ID != raj.UserID || c.Name != raj.Name || c.Status != courier.StatusOnline {
		t.Errorf("set %+v", c)
	}
	events := len(s.store.Events())
	if again, err := set(raj, "online"); err != nil || fmt.Sprint(again) != fmt.Sprint(out) || len(s.store.Events()) != events {
		t.Errorf("set again: %+v, %v; want %+v and no event", again, err, out)
	}
	s.assign(s.placed(), raj)
	if out, err = set(raj, "busy"); err != nil || out.Value.CurrentOrder == nil {
		t.Errorf("set while carrying an order: %+v, %v", out, err)
	}
	_, err = set(raj, "asleep")
	wantCode(t, err, domain.CodeInvalidRequest)
}

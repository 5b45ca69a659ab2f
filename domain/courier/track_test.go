package courier_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/domaintest"
)

const never = -time.Second

func locate(since time.Duration, change func(*courier.Point)) func(courier.Track) ([]domain.Event, error) {
	cmd := courier.Locate{OrderID: orderID, CustomerID: "c1", AgentID: "a1", Point: bangalore(), Since: since}
	change(&cmd.Point)
	return func(tr courier.Track) ([]domain.Event, error) { return tr.Locate(cmd) }
}

func asReported(*courier.Point) {}

func bangalore() courier.Point {
	return courier.Point{Latitude: 12.97, Longitude: 77.59, Speed: new(8.3), Heading: new(270.0), Accuracy: new(5.0)}
}

func located(p courier.Point) courier.Located {
	return courier.Located{OrderID: orderID, CustomerID: "c1", AgentID: "a1", Point: p}
}

func TestOnePointASecondIsKept(t *testing.T) {
	t.Parallel()
	for since, kept := range map[time.Duration]bool{
		never:                                 true, // there is none before it
		0:                                     false,
		time.Nanosecond:                       false,
		courier.MinInterval - time.Nanosecond: false,
		courier.MinInterval:                   true,
		24 * time.Hour:                        true,
	} {
		s := domaintest.Given[courier.Track](t, located(bangalore())).When(locate(since, asReported))
		if kept {
			s.Then(located(bangalore()))
		} else {
			s.Then()
		}
	}
}

func TestAPointIsSomewhere(t *testing.T) {
	t.Parallel()
	bounds := map[string]struct {
		lowest, highest float64
		set             func(*courier.Point, float64)
	}{
		"latitude":  {-90, 90, func(p *courier.Point, v float64) { p.Latitude = v }},
		"longitude": {-180, 180, func(p *courier.Point, v float64) { p.Longitude = v }},
		"speed":     {0, 500, func(p *courier.Point, v float64) { p.Speed = &v }},
		"heading":   {0, 360, func(p *courier.Point, v float64) { p.Heading = &v }},
		"accuracy":  {0, 100_000, func(p *courier.Point, v float64) { p.Accuracy = &v }},
	}
	for field, c := range bounds {
		for _, v := range []float64{c.lowest, c.highest, (c.lowest + c.highest) / 2} {
			want := bangalore()
			c.set(&want, v)
			domaintest.Given[courier.Track](t).When(locate(never, func(p *courier.Point) { c.set(p, v) })).Then(located(want))
		}
		for _, v := range []float64{
			math.Nextafter(c.lowest, math.Inf(-1)), math.Nextafter(c.highest, math.Inf(1)), math.NaN(), math.Inf(1), math.Inf(-1),
		} {
			// Also when the point would not be kept.
			for _, since := range []time.Duration{never, 0} {
				domaintest.Given[courier.Track](t).When(locate(since, func(p *courier.Point) { c.set(p, v) })).ThenInvalid(field)
			}
		}
	}
	if err := (courier.Point{}).Validate(); err != nil {
		t.Errorf("a point with nothing but a place: %v", err)
	}
}

func TestATrackKnowsItsNewestPoint(t *testing.T) {
	t.Parallel()
	first, second := located(courier.Point{Latitude: 1}), located(bangalore())
	later := domaintest.At.Add(time.Minute)
	got := domaintest.Fold(courier.Track{}, first, business.Opened{}).Apply(second, later)
	if want := (courier.Track{Last: second, At: later, Version: 2}); !reflect.DeepEqual(got, want) {
		t.Errorf("state %+v; want %+v", got, want)
	}
	*second.Speed = 100
	if *got.Last.Speed != 8.3 {
		t.Error("a change of the event's point reached the state")
	}
	if got := (courier.Track{}).Apply(first, time.Time{}).Stamp(domaintest.At); !reflect.DeepEqual(got, domaintest.Fold(courier.Track{}, first)) {
		t.Errorf("stamped %+v", got)
	}
}

func TestAnEventSharesNothingWithWhatWasReported(t *testing.T) {
	t.Parallel()
	p := bangalore()
	events, err := courier.Track{}.Locate(courier.Locate{OrderID: orderID, Point: p, Since: never})
	if err != nil {
		t.Fatal(err)
	}
	*p.Speed, *p.Heading, *p.Accuracy = 1, 2, 3
	if !reflect.DeepEqual(events[0].(courier.Located).Point, bangalore()) {
		t.Error("a change of the reported point reached the event")
	}
}

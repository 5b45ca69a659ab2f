package projections_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/projections"
)

// setStatus appends that a courier without an order chose a status.
func (w *world) setStatus(t *testing.T, agent string, status courier.Status) int64 {
	t.Helper()
	return w.append(t, courier.StreamType, courier.StreamID(agent),
		courier.StatusChanged{AgentID: agent, Name: strings.ToUpper(agent), Chosen: status, Status: status})
}

func TestACourierIsShownAsOthersSeeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	dan := courier.StreamID("dan")
	w.setStatus(t, "dan", courier.StatusOnline)
	last := w.append(t, courier.StreamType, dan, courier.OrderTaken{AgentID: "dan", OrderID: orderID, CustomerID: "ann", Status: courier.StatusBusy})
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	c, seq, err := views.Courier(t.Context(), "dan")
	if err != nil || seq != last || c.ID != "dan" || c.Name != "DAN" || c.Status != courier.StatusBusy || c.Chosen != courier.StatusOnline ||
		c.CurrentOrder == nil || *c.CurrentOrder != orderID || c.Version != 2 {
		t.Errorf("while it carries an order the courier is %+v at %d, %v", c, seq, err)
	}
	last = w.append(t, courier.StreamType, dan, courier.OrderReleased{AgentID: "dan", OrderID: orderID, CustomerID: "ann", Status: courier.StatusOnline})
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if c, _, err = views.Courier(t.Context(), "dan"); err != nil || c.Status != courier.StatusOnline || c.CurrentOrder != nil {
		t.Errorf("afterwards it is %+v, %v", c, err)
	}
	if _, _, err := views.Courier(t.Context(), "Dan"); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a courier that was never heard of: %v", err)
	}
}

func TestCouriersAreListedByStatusInPagesThatSurviveInserts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	for _, agent := range []string{"a", "b", "c", "d", "e"} {
		w.setStatus(t, agent, courier.StatusOnline)
	}
	w.waitFor(t, 5) // so that what follows changes rows that are there
	w.setStatus(t, "b", courier.StatusOffline)
	last := w.append(t, courier.StreamType, courier.StreamID("e"), // it chose to be online and is seen as busy
		courier.OrderTaken{AgentID: "e", OrderID: orderID, CustomerID: "ann", Status: courier.StatusBusy})
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	names := func(q projections.CourierQuery, between func()) string {
		var names []string
		for {
			page, err := views.Couriers(t.Context(), q)
			if err != nil || len(page.Items) > q.Limit || page.Seq < last {
				t.Fatalf("a page of %d at %d, %v", len(page.Items), page.Seq, err)
			}
			for _, c := range page.Items {
				names = append(names, c.ID)
			}
			if q.After = page.Next; q.After == "" {
				return strings.Join(names, " ")
			}
			between()
		}
	}
	if got := names(projections.CourierQuery{Status: "online", Limit: 2}, func() {}); got != "a c d" {
		t.Errorf("online are %s", got)
	}
	if got := names(projections.CourierQuery{Status: "offline", Limit: 2}, func() {}); got != "b" {
		t.Errorf("offline are %s", got)
	}
	if got := names(projections.CourierQuery{Status: "busy", Limit: 2}, func() {}); got != "e" {
		t.Errorf("busy are %s", got)
	}
	// A courier that is already on a page we had changes, and does not come twice.
	got := names(projections.CourierQuery{Limit: 2}, func() {
		last = w.setStatus(t, "a", courier.StatusBusy)
		if err := views.WaitFor(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	})
	if got != "a b c d e" {
		t.Errorf("all are %s", got)
	}
	if _, err := views.Couriers(t.Context(), projections.CourierQuery{Limit: 1, After: "?"}); domain.CodeOf(err) != domain.CodeInvalidRequest {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func TestATrackIsReadOldestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	point := func(order uuid.UUID, p courier.Point) int64 {
		return w.append(t, courier.TrackStreamType, order, courier.Located{OrderID: order, CustomerID: "ann", AgentID: "dan", Point: p})
	}
	mine, other := uuid.New(), uuid.New()
	exact := courier.Point{Latitude: 41.890210000000003, Longitude: -12.492229999999999, Speed: ptr(0.1), Heading: ptr(359.9), Accuracy: ptr(5.0)}
	point(mine, exact)
	for i := range 4 {
		point(other, courier.Point{Latitude: float64(-i)})
		point(mine, courier.Point{Latitude: float64(i)})
	}
	if err := views.WaitFor(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	var points []projections.TrackPoint
	for q := (projections.TrackQuery{OrderID: mine, Limit: 2}); ; {
		page, err := views.Track(t.Context(), q)
		if err != nil || len(page.Items) > 2 {
			t.Fatalf("a page of %d points, %v", len(page.Items), err)
		}
		points = append(points, page.Items...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	log, err := w.store.ReadLog(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(points) != 5 {
		t.Fatalf("the track has %d points: %+v", len(points), points)
	}
	first := projections.TrackPoint{
		Seq: 1, AgentID: "dan", Location: projections.Location{Lat: exact.Latitude, Lng: exact.Longitude},
		Motion: projections.Motion{Speed: exact.Speed, Heading: exact.Heading, Accuracy: exact.Accuracy}, At: log[0].RecordedAt,
	}
	if !reflect.DeepEqual(points[0], first) {
		t.Errorf("the first point is %+v, want %+v", points[0], first)
	}
	for i, p := range points[1:] {
		if p.Seq != int64(2*i+3) || p.Location.Lat != float64(i) || p.Speed != nil || p.Heading != nil || p.Accuracy != nil {
			t.Errorf("point %d is %+v", i+1, p)
		}
	}
	none, err := views.Track(t.Context(), projections.TrackQuery{OrderID: uuid.New(), Limit: 2})
	if err != nil || none.Items == nil || len(none.Items) != 0 || none.Seq != 9 {
		t.Errorf("an order without a track has %+v, %v", none, err)
	}
}

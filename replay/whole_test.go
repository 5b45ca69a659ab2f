package replay_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

// place appends an order without a command.
func (w *world) place(t *testing.T, id uuid.UUID) int64 {
	t.Helper()
	return w.append(t, eventstore.StreamID{Type: order.StreamType, ID: id}, eventstore.Meta{UserID: "carl", Role: "customer"},
		encoded(t, order.Placed{OrderID: id, OrderNumber: "ORD-1", CustomerID: "carl", Currency: "EUR", TotalAmount: 1900})...)
}

func TestAllEventsOfAnOrder(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	h := e.history(t, replay.HistoryQuery{OrderID: e.order})
	for _, upTo := range []int64{0, h.Entries[0].Seq, h.Entries[5].Seq, h.Entries[5].Seq + 1, h.Seq} {
		events, err := e.log.OrderEvents(t.Context(), e.order, upTo)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []int64
		for _, r := range events {
			got = append(got, r.Seq)
		}
		for _, n := range h.Entries {
			if upTo == 0 || n.Seq <= upTo {
				want = append(want, n.Seq)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("up to %d: %v; want %v", upTo, got, want)
		}
	}
	for upTo, code := range map[int64]domain.Code{
		-1: domain.CodeInvalidRequest, h.Entries[0].Seq - 1: domain.CodeNotFound, h.Seq + 1: domain.CodeProjectionBehind,
	} {
		if _, err := e.log.OrderEvents(t.Context(), e.order, upTo); domain.CodeOf(err) != code {
			t.Errorf("up to %d: %v; want %s", upTo, err, code)
		}
	}
	if _, err := e.log.OrderEvents(t.Context(), uuid.New(), 0); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("no order: %v", err)
	}
}

// Each event of the order's own streams is missed, whichever it is, at its own seq and later on.
func TestARowThatIsMissingInTheIndexIsFound(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	h := e.history(t, replay.HistoryQuery{OrderID: e.order})
	last := h.Entries[len(h.Entries)-1].Seq
	tried := 0
	for _, n := range h.Entries {
		typ, _, _ := strings.Cut(n.Stream, "/")
		if typ != "order" && typ != "payment" && typ != "track" {
			continue
		}
		tried++
		e.exec(t, `DELETE FROM audit_index WHERE seq = $1`, n.Seq)
		for _, upTo := range []int64{n.Seq, last} {
			if n.Type == "payment.started" && upTo == n.Seq {
				continue // the order's own event that names the payment is the next one
			}
			_, err := e.log.OrderEvents(t.Context(), e.order, upTo)
			if err == nil || !strings.Contains(err.Error(), "the audit's index does not match the log") || !strings.Contains(err.Error(), "app audit verify") {
				t.Errorf("without seq %d, up to %d: %v", n.Seq, upTo, err)
			}
		}
		if _, err := e.log.State(t.Context(), e.order, replay.Moment{}); err == nil && typ != "track" {
			t.Errorf("a state without seq %d", n.Seq)
		}
		if h, err := e.log.History(t.Context(), replay.HistoryQuery{OrderID: e.order}); err == nil {
			t.Errorf("a history without seq %d: %d entries", n.Seq, len(h.Entries))
		}
		if _, err := e.log.OrderEvents(t.Context(), e.order, n.Seq-1); err != nil && n.Seq > h.Entries[0].Seq {
			t.Errorf("before seq %d: %v", n.Seq, err)
		}
		e.exec(t, `INSERT INTO audit_index (seq, type, actor, order_id) VALUES ($1, $2, $3, $4)`, n.Seq, n.Type, n.Actor.UserID, e.order)
	}
	if tried < 12 {
		t.Errorf("tried only %d events", tried)
	}
	if _, err := e.log.OrderEvents(t.Context(), e.order, 0); err != nil {
		t.Errorf("when all are there again: %v", err)
	}
	// All of a payment: the order says that there was one.
	e.exec(t, `DELETE FROM audit_index WHERE seq IN (SELECT seq FROM events WHERE stream_id = $1)`, e.payment)
	if _, err := e.log.OrderEvents(t.Context(), e.order, 0); err == nil || !strings.Contains(err.Error(), "version 1 of payment/"+e.payment.String()) {
		t.Errorf("without the payment: %v", err)
	}
}

// Of a page that is not all there is, what is missing in the middle is missed.
func TestARowThatIsMissingInAPageIsFound(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	h := e.history(t, replay.HistoryQuery{OrderID: e.order})
	var ofOrder []int64
	for _, n := range h.Entries {
		if strings.HasPrefix(n.Stream, "order/") {
			ofOrder = append(ofOrder, n.Seq)
		}
	}
	first, second := ofOrder[0], ofOrder[1]
	e.exec(t, `DELETE FROM audit_index WHERE seq = $1`, second)
	if _, err := e.log.History(t.Context(), replay.HistoryQuery{OrderID: e.order, Limit: len(h.Entries) - 2}); err == nil {
		t.Error("a page without the order's second event")
	}
	e.exec(t, `DELETE FROM audit_index WHERE order_id = $1`, e.order)
	_, err := e.log.History(t.Context(), replay.HistoryQuery{OrderID: e.order})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("placed with seq %d", first)) {
		t.Errorf("a history of nothing: %v", err)
	}
}

func TestARowTooManyInTheIndexIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	w.place(t, id)
	stopped := w.run(t)
	w.waitFor(t, 1)
	stopped()
	w.exec(t, `INSERT INTO audit_index (seq, type, actor, order_id) VALUES (0, 'order.placed', '', $1)`, id)
	for name, ask := range map[string]func() error{
		"all events": func() error { _, err := w.log.OrderEvents(t.Context(), id, 0); return err },
		"state":      func() error { _, err := w.log.State(t.Context(), id, replay.Moment{}); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), "seq 0, and the log does not") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package replay_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

func TestTheHistoryOfAnOrderHasAllThatHappenedToIt(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	h := e.history(t, replay.HistoryQuery{OrderID: e.order})
	var got, told []string
	var last int64
	for _, n := range h.Entries {
		if n.Seq <= last {
			t.Errorf("seq %d comes after %d", n.Seq, last)
		}
		last = n.Seq
		if n.Type == "inbox.entered" {
			told = append(told, n.Summary)
			if n.Reason != "" {
				t.Errorf("%q is why %q", n.Reason, n.Summary) // it is what was told
			}
			continue
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s: %s %s", n.Actor.UserID, n.Summary, n.Reason)))
	}
	want := []string{
		"carl: Placed: 2 × Margherita for 17.10 EUR, 1.90 EUR off with offer WELCOME10",
		"carl: Offer WELCOME10 used, 1 in all",
		"carl: Offer WELCOME10 used, 1 by carl",
		"carl: Payment of 17.10 EUR by card started",
		fmt.Sprintf("carl: Payment %s is to be paid", e.payment),
		"payment-provider: 17.10 EUR paid by card",
		"ada: Assigned to raj",
		"ada: Courier raj took the order",
		"ada: Reassigned from raj to sam",
		"ada: Courier raj let go of the order: reassigned reassigned",
		"ada: Courier sam took the order",
		"ada: Status from placed to confirmed on the fire",
		"ada: Status from confirmed to preparing Your order is being prepared",
		"ada: Status from preparing to ready Your order is ready",
		"ada: Status from ready to out for delivery Your order is out for delivery",
		"sam: Courier sam at 52.37400, 4.88970",
		"ada: 5.00 EUR refunded one was cold",
		"orderlog: The payment provider accepted refund",
		"ada: Cancelled when out for delivery nobody at home",
		"ada: 12.10 EUR is to be given back nobody at home",
		"ada: Courier sam let go of the order: cancelled nobody at home",
		"ada: Use of offer WELCOME10 given back, 0 in all nobody at home",
		"ada: Use of offer WELCOME10 given back, 0 by carl nobody at home",
	}
	for i := range got {
		if strings.HasPrefix(got[i], "orderlog: The payment provider accepted refund ") {
			got[i] = "orderlog: The payment provider accepted refund"
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the history is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(told) != 10 || told[0] != "Told carl: Order received" {
		t.Errorf("told %q", told)
	}
	log, err := e.store.Head(t.Context())
	if err != nil || h.Seq != log.Seq || h.LogID != log.LogID || h.Next != 0 {
		t.Errorf("of seq %d, log %s, next %d; the log is %+v, %v", h.Seq, h.LogID, h.Next, log, err)
	}
}

func TestAnEntrySaysFromWhichRequestItCame(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	h := e.history(t, replay.HistoryQuery{OrderID: e.order})
	placed := h.Entries[0]
	if placed.Actor != (replay.Actor{UserID: "carl", Role: "customer"}) || placed.RemoteAddr != "192.0.2.7" ||
		placed.IdempotencyKey == "" || placed.CorrelationID == "" || placed.Stream != "order/"+e.order.String() || placed.Version != 1 {
		t.Errorf("placed: %+v", placed)
	}
	var told replay.Entry
	for _, n := range h.Entries {
		if n.Type == "inbox.entered" {
			told = n
			break
		}
	}
	if told.CausationID != placed.ID.String() || told.CorrelationID != placed.CorrelationID || told.Actor.Role != "system" {
		t.Errorf("told because of %+v: %+v", placed, told)
	}
	// The names on the wire, and that an entry is made of nothing but its event.
	events, err := e.store.ReadLog(t.Context(), placed.Seq-1, 1)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := json.Marshal(placed)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(doc, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("seq id stream version type at actor reason summary correlationId causationId idempotencyKey remoteAddr data meta") {
		if _, ok := members[name]; !ok {
			t.Errorf("no %s in %s", name, doc)
		}
		delete(members, name)
	}
	if len(members) > 0 {
		t.Errorf("also %v", members)
	}
	if string(placed.Data) != string(events[0].Data) || string(placed.Meta) != string(events[0].Meta) || !placed.At.Equal(events[0].RecordedAt) {
		t.Errorf("the entry %+v of %+v", placed, events[0])
	}
}

func TestAHistoryInPagesIsTheWholeHistory(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	for _, changes := range []bool{false, true} {
		whole := e.history(t, replay.HistoryQuery{OrderID: e.order, Changes: changes})
		var pages []replay.Entry
		for q := (replay.HistoryQuery{OrderID: e.order, Limit: 4, Changes: changes}); ; {
			h := e.history(t, q)
			if len(h.Entries) > 4 {
				t.Fatalf("a page of %d", len(h.Entries))
			}
			pages = append(pages, h.Entries...)
			if q.After = h.Next; h.Next == 0 {
				break
			}
		}
		if a, b := asJSON(t, whole.Entries), asJSON(t, pages); a != b {
			t.Errorf("whole %s\npages %s", a, b)
		}
		n := len(whole.Entries)
		some := e.history(t, replay.HistoryQuery{OrderID: e.order, After: whole.Entries[2].Seq, To: whole.Entries[n-3].Seq, Changes: changes})
		if a, b := asJSON(t, whole.Entries[3:n-2]), asJSON(t, some.Entries); a != b {
			t.Errorf("want %s\ngot %s", a, b)
		}
		if rest := e.history(t, replay.HistoryQuery{OrderID: e.order, After: whole.Entries[n-1].Seq}); len(rest.Entries) > 0 || rest.Next != 0 {
			t.Errorf("after the last entry: %+v", rest)
		}
	}
}

func TestAHistoryThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	for name, q := range map[string]replay.HistoryQuery{
		"after":    {OrderID: id, After: -1},
		"to":       {OrderID: id, To: -1},
		"crossed":  {OrderID: id, After: 5, To: 4},
		"limit":    {OrderID: id, Limit: -1},
		"too much": {OrderID: id, Limit: 1001},
	} {
		if _, err := w.log.History(t.Context(), q); domain.CodeOf(err) != domain.CodeInvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	seq := w.append(t, eventstore.StreamID{Type: order.StreamType, ID: uuid.New()}, eventstore.Meta{}, encoded(t, order.Placed{OrderID: uuid.New()})...)
	w.run(t)
	w.waitFor(t, seq)
	h, err := w.log.History(t.Context(), replay.HistoryQuery{OrderID: id})
	if domain.CodeOf(err) != domain.CodeNotFound || h.Seq != seq || !strings.Contains(err.Error(), id.String()) {
		t.Errorf("an order that is not there: %+v, %v", h, err)
	}
}

// A newer program writes what this one does not know.
func TestAnUnknownTypeOfEventBreaksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	stream := eventstore.StreamID{Type: order.StreamType, ID: id}
	data := func(s string) json.RawMessage { return json.RawMessage(fmt.Sprintf(s, id)) }
	w.append(t, stream, eventstore.Meta{}, encoded(t, order.Placed{OrderID: id, Currency: "EUR"})...)
	w.append(t, stream, eventstore.Meta{UserID: "ada", Role: "admin"},
		eventstore.NewEvent{Type: "order.gilded", Data: data(`{"orderId": "%s", "carat": 24, "reason": "birthday"}`)},
		eventstore.NewEvent{Type: "order.cancelled.v99", Data: data(`{"orderId": "%s"}`)},
		eventstore.NewEvent{Type: "order.cancelled", Data: data(`{"orderId": "%s", "reason": {"odd": 1}}`)})
	seq := w.append(t, stream, eventstore.Meta{}, encoded(t, order.Assigned{OrderID: id, AgentID: "raj"})...)
	w.run(t)
	w.waitFor(t, seq)
	h := w.history(t, replay.HistoryQuery{OrderID: id, Changes: true})
	var got []string
	for _, n := range h.Entries {
		got = append(got, fmt.Sprint(n.Type, "|", n.Summary, "|", n.Reason, "|", n.Unknown, "|", n.Changes == nil))
	}
	want := []string{
		"order.placed|Placed: nothing for 0.00 EUR||false|false", "order.gilded|order.gilded|birthday|true|true",
		"order.cancelled.v99|order.cancelled.v99||true|true", "order.cancelled|order.cancelled||true|true",
		"order.assigned|Assigned to raj||false|false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !strings.Contains(string(h.Entries[1].Data), `"carat": 24`) {
		t.Errorf("its data is %s", h.Entries[1].Data)
	}
	if s, err := w.log.State(t.Context(), id, replay.Moment{Seq: 1}); err != nil || s.Currency != "EUR" {
		t.Errorf("before it: %+v, %v", s, err)
	}
	_, err := w.log.State(t.Context(), id, replay.Moment{})
	if domain.CodeOf(err) != domain.CodeUnavailable || !strings.Contains(err.Error(), "seq 2, order.gilded") || !strings.Contains(err.Error(), "at seq 1") {
		t.Errorf("after it: %v", err)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

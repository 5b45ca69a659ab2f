package replay_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/replay"
)

func TestAStateIsWhatWasReadThen(t *testing.T) {
	t.Parallel()
	// What the read models had, under the seq that they said.
	orders, payments := map[int64]string{}, map[int64]string{}
	times := map[int64]time.Time{}
	e := newEvening(t, func(e *evening) {
		o, seq, err := e.views.Order(t.Context(), e.order)
		if err != nil {
			t.Fatal(err)
		}
		orders[seq] = asJSON(t, o)
		p, seq, err := e.views.OrderPayments(t.Context(), e.order)
		if err != nil {
			t.Fatal(err)
		}
		payments[seq] = asJSON(t, p)
		head, err := e.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		times[head.Seq] = head.RecordedAt
	})
	if len(orders) < 10 {
		t.Fatalf("read at %d moments", len(orders))
	}
	for seq, want := range orders {
		s, err := e.log.State(t.Context(), e.order, replay.Moment{Seq: seq})
		if err != nil {
			t.Fatal(err)
		}
		members := membersOf(t, s)
		if got := string(members["payments"]); got != payments[seq] {
			t.Errorf("payments at %d are %s\nthey were %s", seq, got, payments[seq])
		}
		if string(members["seq"]) != fmt.Sprint(seq) || !s.At.Equal(times[seq]) {
			t.Errorf("at %d, %s it says %s, %s", seq, times[seq], members["seq"], s.At)
		}
		for _, own := range []string{"payments", "seq", "at"} {
			delete(members, own)
		}
		if got := asJSON(t, members); got != asJSON(t, membersOf(t, json.RawMessage(want))) {
			t.Errorf("the order at %d is %s\nit was %s", seq, got, want)
		}
		// The time of the moment gives the same.
		byTime, err := e.log.State(t.Context(), e.order, replay.Moment{At: times[seq]})
		if err != nil || asJSON(t, byTime) != asJSON(t, s) {
			t.Errorf("at %s: %s, %v\nat %d: %s", times[seq], asJSON(t, byTime), err, seq, asJSON(t, s))
		}
	}
	now, err := e.log.State(t.Context(), e.order, replay.Moment{})
	if last := slices.Max(slices.Collect(maps.Keys(orders))); err != nil || now.Seq != last || now.Status != "cancelled" {
		t.Errorf("now: %+v, %v; want it at %d", now, err, last)
	}
}

func TestAMomentThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	placed := e.history(t, replay.HistoryQuery{OrderID: e.order}).Entries[0]
	head, err := e.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		m    replay.Moment
		code domain.Code
		says string
	}{
		"beyond the log":    {replay.Moment{Seq: head.Seq + 1}, domain.CodeInvalidRequest, fmt.Sprintf("ends at %d", head.Seq)},
		"negative":          {replay.Moment{Seq: -1}, domain.CodeInvalidRequest, "seq must be"},
		"both":              {replay.Moment{Seq: 1, At: placed.At}, domain.CodeInvalidRequest, "together"},
		"tomorrow":          {replay.Moment{At: time.Now().Add(24 * time.Hour)}, domain.CodeInvalidRequest, "later than now"},
		"before it":         {replay.Moment{Seq: placed.Seq - 1}, domain.CodeNotFound, fmt.Sprintf("was placed at %s with seq %d", placed.At.Format(time.RFC3339Nano), placed.Seq)},
		"just before it":    {replay.Moment{At: placed.At.Add(-1)}, domain.CodeNotFound, "was placed at"},
		"before everything": {replay.Moment{At: placed.At.Add(-24 * time.Hour)}, domain.CodeNotFound, "was placed at"},
	} {
		_, err := e.log.State(t.Context(), e.order, c.m)
		if domain.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %s, %q", name, err, c.code, c.says)
		}
	}
	_, err = e.log.State(t.Context(), uuid.New(), replay.Moment{})
	if domain.CodeOf(err) != domain.CodeNotFound || strings.Contains(err.Error(), "placed") {
		t.Errorf("no order: %v", err)
	}
}

func TestAStateThatTheAuditHasNotComeToIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	w.place(t, id)
	_, err := w.log.State(t.Context(), id, replay.Moment{Seq: 1})
	if domain.CodeOf(err) != domain.CodeProjectionBehind {
		t.Errorf("with nobody at work: %v", err)
	}
	w.run(t)
	w.waitFor(t, 1)
	if _, err := w.log.State(t.Context(), id, replay.Moment{Seq: 1}); err != nil {
		t.Error(err)
	}
}

func membersOf(t *testing.T, v any) map[string]json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(asJSON(t, v)), &members); err != nil {
		t.Fatal(err)
	}
	return members
}

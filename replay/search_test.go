package replay_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/replay"
)

// crowd fills the log: orders of several customers, their couriers' places, and what nobody is named for.
func (w *world) crowd(t *testing.T) (events []eventstore.Recorded, ids []uuid.UUID) {
	t.Helper()
	var last int64
	for i := range 40 {
		id := uuid.New()
		ids = append(ids, id)
		by := eventstore.Meta{UserID: fmt.Sprintf("user %d", i%4), Role: "customer"}
		w.append(t, eventstore.StreamID{Type: order.StreamType, ID: id}, by, encoded(t, order.Placed{OrderID: id}, order.Assigned{OrderID: id})...)
		for range 3 {
			w.append(t, eventstore.StreamID{Type: courier.TrackStreamType, ID: id}, eventstore.Meta{UserID: "raj", Role: "delivery"},
				encoded(t, courier.Located{OrderID: id})...)
		}
		newer := []string{"order.gilded", "order.gilded.v12", "order.gilded.vest"}[i%3]
		last = w.append(t, eventstore.StreamID{Type: order.StreamType, ID: id}, eventstore.Meta{},
			eventstore.NewEvent{Type: newer, Data: json.RawMessage(`{}`)})
	}
	events, err := w.store.ReadLog(t.Context(), 0, int(last))
	if err != nil {
		t.Fatal(err)
	}
	return events, ids
}

func TestASearchFindsWhatItsFiltersSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	events, ids := w.crowd(t)
	w.run(t)
	w.waitFor(t, int64(len(events)))
	is := func(field func(eventstore.Recorded) string, values ...string) func(eventstore.Recorded) bool {
		return func(e eventstore.Recorded) bool { return slices.Contains(values, field(e)) }
	}
	typ := func(e eventstore.Recorded) string { return e.Type }
	actor := func(e eventstore.Recorded) string { return replay.KeysOf(e).Actor }
	stream := func(e eventstore.Recorded) string { return e.Stream.String() }
	id := func(e eventstore.Recorded) string { return e.Stream.ID.String() }
	all := func(filters ...func(eventstore.Recorded) bool) func(eventstore.Recorded) bool {
		return func(e eventstore.Recorded) bool {
			return !slices.ContainsFunc(filters, func(f func(eventstore.Recorded) bool) bool { return !f(e) })
		}
	}
	one := ids[17].String()
	middle := events[len(events)/2].RecordedAt
	for name, c := range map[string]struct {
		q    replay.Query
		want func(eventstore.Recorded) bool
	}{
		"everything":        {replay.Query{}, all()},
		"a type":            {replay.Query{Types: []string{"order.placed"}}, is(typ, "order.placed")},
		"types":             {replay.Query{Types: []string{"order.placed", "order.assigned", "order.placed"}}, is(typ, "order.placed", "order.assigned")},
		"a newer program's": {replay.Query{Types: []string{"order.gilded"}}, is(typ, "order.gilded", "order.gilded.v12")},
		"a newer version":   {replay.Query{Types: []string{"order.gilded.v12"}}, is(typ, "order.gilded.v12")},
		"a type without":    {replay.Query{Types: []string{"order.cancelled"}}, is(typ, "order.cancelled")},
		"an actor":          {replay.Query{Actor: "user 2"}, is(actor, "user 2")},
		"nobody":            {replay.Query{Actor: "eve"}, is(actor, "eve")},
		"type and actor":    {replay.Query{Types: []string{"order.placed"}, Actor: "user 1"}, all(is(typ, "order.placed"), is(actor, "user 1"))},
		"neither and both":  {replay.Query{Types: []string{"order.placed", "courier.located"}, Actor: "raj"}, all(is(typ, "courier.located"), is(actor, "raj"))},
		"a stream":          {replay.Query{Stream: "order/" + one}, is(stream, "order/"+one)},
		"an id":             {replay.Query{Stream: one}, is(id, one)},
		"an id in capitals": {replay.Query{Stream: strings.ToUpper(one)}, is(id, one)},
		"stream and type":   {replay.Query{Stream: one, Types: []string{"courier.located", "order.assigned"}}, all(is(id, one), is(typ, "courier.located", "order.assigned"))},
		"stream and actor":  {replay.Query{Stream: one, Actor: "raj"}, all(is(id, one), is(actor, "raj"))},
		"no such stream":    {replay.Query{Stream: "order/" + uuid.NewString()}, is(id, "")},
		"no such id":        {replay.Query{Stream: uuid.NewString()}, is(id, "")},
		"since":             {replay.Query{Limit: 100, Since: middle}, func(e eventstore.Recorded) bool { return !e.RecordedAt.Before(middle) }},
		"just since":        {replay.Query{Limit: 100, Since: middle.Add(1)}, func(e eventstore.Recorded) bool { return e.RecordedAt.After(middle) }},
		"until":             {replay.Query{Limit: 100, Until: middle}, func(e eventstore.Recorded) bool { return e.RecordedAt.Before(middle) }},
		"just until":        {replay.Query{Limit: 100, Until: middle.Add(1)}, func(e eventstore.Recorded) bool { return !e.RecordedAt.After(middle) }},
		"a moment":          {replay.Query{Limit: 100, Since: middle, Until: middle.Add(time.Microsecond)}, func(e eventstore.Recorded) bool { return e.RecordedAt.Equal(middle) }},
		"no time":           {replay.Query{Limit: 100, Since: middle, Until: middle}, is(id, "")},
		"tomorrow":          {replay.Query{Limit: 100, Since: time.Now().Add(time.Hour)}, is(id, "")},
		"until tomorrow":    {replay.Query{Limit: 100, Until: time.Now().Add(time.Hour), Actor: "raj"}, is(actor, "raj")},
		"a range":           {replay.Query{After: 30, To: 70}, func(e eventstore.Recorded) bool { return e.Seq > 30 && e.Seq <= 70 }},
		"beyond the end":    {replay.Query{After: 1000, To: 2000}, is(id, "")},
		"of a range": {replay.Query{Limit: 100, After: 30, To: 170, Actor: "raj", Since: events[50].RecordedAt}, func(e eventstore.Recorded) bool {
			return e.Seq > 30 && e.Seq <= 170 && actor(e) == "raj" && !e.RecordedAt.Before(events[50].RecordedAt)
		}},
	} {
		var want []int64
		for _, e := range events {
			if c.want(e) {
				want = append(want, e.Seq)
			}
		}
		if got := w.pages(t, c.q); !slices.Equal(got, want) {
			t.Errorf("%s in pages: %v; want %v", name, got, want)
		}
		var got []int64
		err := w.log.Each(t.Context(), c.q, func(e eventstore.Recorded) error {
			if string(e.AppendCanonical(nil)) != string(events[e.Seq-1].AppendCanonical(nil)) {
				t.Errorf("%s: seq %d is %+v", name, e.Seq, e)
			}
			got = append(got, e.Seq)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, each: %v, %v; want %v", name, got, err, want)
		}
		after, to, err := w.log.Range(t.Context(), c.q)
		if err != nil || after > to || len(want) > 0 && (after >= want[0] || to < want[len(want)-1]) {
			t.Errorf("%s is from %d to %d, %v, and has %v", name, after, to, err, want)
		}
	}
}

// pages reads a query in small pages.
func (w *world) pages(t *testing.T, q replay.Query) (seqs []int64) {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 7
	}
	for {
		p, err := w.log.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Events) > q.Limit || p.Next != 0 && len(p.Events) < q.Limit || p.Seq == 0 {
			t.Errorf("a page of %d with next %d of seq %d", len(p.Events), p.Next, p.Seq)
		}
		for _, e := range p.Events {
			seqs = append(seqs, e.Seq)
		}
		if p.Next == 0 {
			return seqs
		}
		q.After = p.Next
	}
}

func TestASearchShowsNothingThatHasNoProofYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run(t)
	id := uuid.New()
	w.waitFor(t, w.place(t, id))
	stop()
	w.append(t, eventstore.StreamID{Type: order.StreamType, ID: id}, eventstore.Meta{UserID: "carl"}, encoded(t, order.Assigned{OrderID: id})...)
	for name, q := range map[string]replay.Query{
		"everything": {}, "by actor": {Actor: "carl"}, "of a stream": {Stream: id.String()}, "until now": {Until: time.Now().Add(time.Hour)},
	} {
		if p, err := w.log.Events(t.Context(), q); err != nil || len(p.Events) != 1 || p.Seq != 1 || p.Next != 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		n := 0
		if err := w.log.Each(t.Context(), q, func(eventstore.Recorded) error { n++; return nil }); err != nil || n != 1 {
			t.Errorf("each of %s: %d, %v", name, n, err)
		}
	}
	w.exec(t, `INSERT INTO audit_index (seq, type, actor, order_id) VALUES (2, 'order.assigned', 'carl', $1)`, id)
	if h := w.history(t, replay.HistoryQuery{OrderID: id}); len(h.Entries) != 1 || h.Seq != 1 {
		t.Errorf("history: %+v", h)
	}
}

func TestASearchThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Now()
	w.place(t, uuid.New())
	for name, c := range map[string]struct {
		q    replay.Query
		says []string
	}{
		"after":              {replay.Query{After: -1}, []string{"after must be"}},
		"to":                 {replay.Query{To: -1}, []string{"to must be"}},
		"crossed":            {replay.Query{After: 7, To: 6}, []string{"after must not be above to, which is 6"}},
		"limit":              {replay.Query{Limit: 1001}, []string{"limit must be", "1000"}},
		"negative limit":     {replay.Query{Limit: -1}, []string{"limit must be"}},
		"times":              {replay.Query{Since: now, Until: now.Add(-1)}, []string{"since must not be after until"}},
		"type":               {replay.Query{Types: []string{"order.placed", "order.plcaed"}}, []string{"type", "order.plcaed", "there is order.placed"}},
		"kin":                {replay.Query{Types: []string{"payment.whatever"}}, []string{"payment.captured"}},
		"bare":               {replay.Query{Types: []string{"located"}}, []string{"courier.located"}},
		"capitals":           {replay.Query{Types: []string{"Order.Placed"}}, []string{"order.placed"}},
		"a version":          {replay.Query{Types: []string{"order.placed.v2"}}, []string{"there is order.placed"}},
		"no type":            {replay.Query{Types: []string{""}}, []string{"type must not be empty"}},
		"nonsense":           {replay.Query{Types: []string{"xyzzyxyzzyxyzzy"}}, []string{"called like order.placed"}},
		"long nonsense":      {replay.Query{Types: []string{strings.Repeat("x", 1000)}}, []string{"type must have"}},
		"a driver":           {replay.Query{Types: []string{"order\x1b[2J"}}, []string{"control characters"}},
		"stream":             {replay.Query{Stream: "order"}, []string{"stream must be a stream such as order/"}},
		"stream id":          {replay.Query{Stream: "order/7"}, []string{"stream must be"}},
		"no stream type":     {replay.Query{Stream: "/" + uuid.NewString()}, []string{"stream must be"}},
		"odd stream id":      {replay.Query{Stream: "{" + uuid.NewString() + "}"}, []string{"stream must be"}},
		"stream type":        {replay.Query{Stream: "orders/" + uuid.NewString()}, []string{"the log does not have: it has order"}},
		"actor":              {replay.Query{Actor: strings.Repeat("é", 129)}, []string{"actor must have 1 to 128"}},
		"actor on two lines": {replay.Query{Actor: "a\nb"}, []string{"actor must not contain control characters"}},
		"actor not in UTF-8": {replay.Query{Actor: "a\xff"}, []string{"actor must be valid UTF-8"}},
	} {
		_, eventsErr := w.log.Events(t.Context(), c.q)
		eachErr := w.log.Each(t.Context(), c.q, func(eventstore.Recorded) error { return nil })
		_, _, rangeErr := w.log.Range(t.Context(), c.q)
		for _, err := range []error{eventsErr, eachErr, rangeErr} {
			if domain.CodeOf(err) != domain.CodeInvalidRequest {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v; want it to say %q", name, err, says)
				}
			}
		}
	}
}

func TestEachEndsWithTheErrorOfWhomItCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	events, _ := w.crowd(t)
	w.run(t)
	w.waitFor(t, int64(len(events)))
	enough := errors.New("enough")
	for _, q := range []replay.Query{{}, {Actor: "raj"}, {Stream: events[0].Stream.String()}} {
		n := 0
		err := w.log.Each(t.Context(), q, func(eventstore.Recorded) error {
			if n++; n == 2 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || n != 2 {
			t.Errorf("%+v: %d, %v", q, n, err)
		}
	}
}

// More than one round of reading, and a search that goes on while nothing else is held.
func TestEachHoldsNoConnectionWhileItsFiltersFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	stream := eventstore.StreamID{Type: courier.TrackStreamType, ID: id}
	many := make([]domain.Event, 600)
	for i := range many {
		many[i] = courier.Located{OrderID: id}
	}
	w.append(t, stream, eventstore.Meta{UserID: "raj"}, encoded(t, many...)...)
	seq := w.append(t, stream, eventstore.Meta{UserID: "raj"}, encoded(t, many...)...)
	w.run(t)
	w.waitFor(t, seq)
	for _, q := range []replay.Query{{Actor: "raj"}, {Types: []string{"courier.located"}}, {Stream: id.String()}} {
		var n int64
		err := w.log.Each(t.Context(), q, func(e eventstore.Recorded) error {
			if n++; e.Seq != n {
				t.Fatalf("seq %d comes as number %d", e.Seq, n)
			}
			return nil
		})
		if err != nil || n != seq {
			t.Errorf("%+v: %d of %d, %v", q, n, seq, err)
		}
	}
	alone := w.single(t)
	err := alone.Each(t.Context(), replay.Query{Actor: "raj", To: 3}, func(eventstore.Recorded) error {
		_, err := alone.Events(t.Context(), replay.Query{Limit: 1}) // the pool's only connection
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAPageOfAllEventsMissesNone as the export does not.
func TestAPageOfAllEventsMissesNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	w.place(t, id)
	w.place(t, uuid.New())
	w.place(t, uuid.New())
	stopped := w.run(t)
	w.waitFor(t, 3)
	stopped()
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, w.url))
	for _, sql := range []string{`ALTER TABLE events_p00000000 DISABLE TRIGGER ALL`, `DELETE FROM events_p00000000 WHERE seq = 2`} {
		if _, err := superuser.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []replay.Query{{}, {After: 1}, {Limit: 2}, {After: 1, To: 2}} {
		var gap *eventstore.GapError
		if p, err := w.log.Events(t.Context(), q); !errors.As(err, &gap) || gap.Want != 2 {
			t.Errorf("%+v: %d events, %v", q, len(p.Events), err)
		}
	}
	if p, err := w.log.Events(t.Context(), replay.Query{After: 2}); err != nil || len(p.Events) != 1 {
		t.Errorf("behind it: %d events, %v", len(p.Events), err)
	}
}

package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

// Moment is a place in the log: a seq, or a time, or now when both are zero.
type Moment struct {
	Seq int64
	At  time.Time
}

// State is an order as it was at a moment. Its JSON is that of GET /orders/{id} of the moment, with the items of
// GET /orders/{id}/payments as the member payments, all of them.
type State struct {
	order.Order
	Payments []payment.Payment `json:"payments"` // oldest first
	// Seq is the moment: every event up to it is included and none after. At is when that event was recorded.
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
}

// State returns an order as it was at a moment. Refusals: [domain.CodeInvalidRequest] for a moment that the log has not
// come to; [domain.CodeNotFound], which says when the order was placed if it was not there yet, with Seq set;
// [domain.CodeProjectionBehind] when the audit does not come to the moment within 2 s; [domain.CodeUnavailable] when
// this program does not know what an event says that made the state.
func (l *Log) State(ctx context.Context, orderID uuid.UUID, m Moment) (State, error) {
	p, err := l.point(ctx)
	if err != nil {
		return State{}, err
	}
	seq, err := l.seqOf(ctx, m, p)
	if err != nil {
		return State{}, err
	}
	s := State{Seq: seq}
	if err := l.await(ctx, seq); err != nil {
		return s, err
	}
	first, err := l.placed(ctx, orderID, seq)
	if err != nil {
		return s, l.notYet(ctx, orderID, first, max(p.position, seq), seq, err)
	}
	events, err := l.orderEvents(ctx, orderID, seq, false)
	if err != nil {
		return s, err
	}
	var f fold
	for _, e := range events {
		body, err := domain.Decode(e.Type, e.Data)
		if err != nil && matters(e) {
			return s, domain.Errorf(domain.CodeUnavailable,
				"this program does not know what seq %d, %s, says of the order: ask one of the version that wrote it, or for the state at seq %d",
				e.Seq, e.Type, e.Seq-1).With("seq", e.Seq).WithCause(err)
		}
		f.apply(e, body)
	}
	at, err := l.read(ctx, []int64{seq})
	if err != nil {
		return s, err
	}
	s = f.state()
	s.Seq, s.At = seq, at[0].RecordedAt
	return s, nil
}

// seqOf returns the seq of the last event of a moment.
func (l *Log) seqOf(ctx context.Context, m Moment, p point) (int64, error) {
	switch {
	case m.Seq != 0 && !m.At.IsZero():
		return 0, domain.Invalid("seq", "must not be given together with at: leave one of them out")
	case m.Seq < 0:
		return 0, domain.Invalid("seq", "must be a whole number from 1 on")
	case m.Seq > p.head:
		return 0, domain.Invalid("seq", "must not be beyond the log, which ends at %d", p.head)
	case m.At.After(p.now):
		return 0, domain.Invalid("at", "must not be later than now, which is %s here", p.now.UTC().Format(time.RFC3339Nano))
	case !m.At.IsZero():
		return l.store.SeqAt(ctx, m.At)
	case m.Seq == 0:
		return p.position, nil
	}
	return m.Seq, nil
}

// notYet makes an order's absence at a seq say when it was placed, if it was by another one.
func (l *Log) notYet(ctx context.Context, orderID uuid.UUID, first, by, at int64, err error) error {
	if domain.CodeOf(err) != domain.CodeNotFound || first == 0 || first > by {
		return err
	}
	placed, readErr := l.read(ctx, []int64{first})
	if readErr != nil {
		return readErr
	}
	when := placed[0].RecordedAt.Format(time.RFC3339Nano)
	return domain.Errorf(domain.CodeNotFound, "order %s was not there yet at seq %d: it was placed at %s with seq %d", orderID, at, when, first).
		With("placedSeq", first).With("placedAt", when)
}

// fold is the state of an order and its payments as events make it.
type fold struct {
	order    order.Order
	payments []payment.Payment
}

// matters says that an event is of a stream that the state is folded from.
func matters(e eventstore.Recorded) bool {
	return e.Stream.Type == order.StreamType || e.Stream.Type == payment.StreamType
}

func (f *fold) apply(e eventstore.Recorded, body domain.Event) {
	if body == nil {
		return
	}
	switch e.Stream.Type {
	case order.StreamType:
		f.order = f.order.Apply(body, e.RecordedAt)
	case payment.StreamType:
		for i, p := range f.payments {
			if p.ID == e.Stream.ID {
				f.payments[i] = p.Apply(body, e.RecordedAt)
				return
			}
		}
		f.payments = append(f.payments, payment.Payment{}.Apply(body, e.RecordedAt))
	}
}

func (f *fold) state() State {
	return State{Order: f.order, Payments: append([]payment.Payment{}, f.payments...)}
}

// document returns the state's JSON without what changes with every event.
func (f *fold) document() (map[string]any, error) {
	doc := map[string]any{"payments": []any{}}
	if f.order.Version == 0 && len(f.payments) == 0 {
		return doc, nil
	}
	if err := remarshal(f.state(), &doc); err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	for _, name := range []string{"seq", "at", "updatedAt", "version"} {
		delete(doc, name)
	}
	for _, p := range doc["payments"].([]any) { // as State has it
		delete(p.(map[string]any), "updatedAt")
		delete(p.(map[string]any), "version")
	}
	return doc, nil
}

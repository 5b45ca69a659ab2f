package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

// OrderEvents returns all events of an order's history up to a seq, in order; 0: up to the audit's checkpoint. It is an
// error if they are not whole: the versions of the order's stream, of its track and of the payments that it names must be
// 1, 2, 3 … up to that seq. [domain.CodeNotFound] if the order was not placed by then, [domain.CodeProjectionBehind] if the audit has
// not come that far.
func (l *Log) OrderEvents(ctx context.Context, orderID uuid.UUID, upTo int64) ([]eventstore.Recorded, error) {
	if upTo < 0 {
		return nil, domain.Invalid("upTo", "must be a seq, from 1 on, or 0")
	}
	p, err := l.point(ctx)
	switch {
	case err != nil:
		return nil, err
	case upTo > p.position:
		return nil, behind(upTo, p.position)
	case upTo == 0:
		upTo = p.position
	}
	if _, err := l.placed(ctx, orderID, upTo); err != nil {
		return nil, err
	}
	return l.orderEvents(ctx, orderID, upTo, true)
}

// orderEvents returns the events of an order up to a seq that the audit has reached, with or without the places of its
// courier, after it has checked that they are whole. Before the order was placed there are none.
func (l *Log) orderEvents(ctx context.Context, orderID uuid.UUID, upTo int64, places bool) ([]eventstore.Recorded, error) {
	if upTo == 0 {
		return nil, nil
	}
	without := []string{}
	if !places { // of which there are many, and nothing is folded from them
		without = domain.StoredTypes(courier.Located{}.EventType())
	}
	rows, err := l.pool.Query(ctx, sqlOrderSeqsWithout, planned, orderID, upTo, without)
	if err != nil {
		return nil, fmt.Errorf("find the events of order %s: %w", orderID, err)
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("find the events of order %s: %w", orderID, err)
	}
	events, err := l.read(ctx, seqs)
	if err != nil {
		return nil, err
	}
	return events, l.checkWhole(ctx, orderID, upTo, events, places)
}

// checkWhole finds out whether the index has left out an event of the streams that are all about one order.
func (l *Log) checkWhole(ctx context.Context, orderID uuid.UUID, upTo int64, events []eventstore.Recorded, places bool) error {
	streams := []eventstore.StreamID{{Type: order.StreamType, ID: orderID}}
	if places {
		streams = append(streams, eventstore.StreamID{Type: courier.TrackStreamType, ID: orderID})
	}
	for _, e := range events {
		if opened, ok := decoded(e).(order.PaymentOpened); ok {
			streams = append(streams, eventstore.StreamID{Type: payment.StreamType, ID: opened.PaymentID})
		}
		if e.Stream.Type == payment.StreamType && !slices.Contains(streams, e.Stream) {
			streams = append(streams, e.Stream)
		}
	}
	last := make(map[eventstore.StreamID]eventstore.Recorded, len(streams))
	for _, e := range events {
		if !slices.Contains(streams, e.Stream) {
			continue
		}
		if before := last[e.Stream]; e.Version != before.Version+1 {
			return mismatch("it has version %d of %s, seq %d, and not version %d", e.Version, e.Stream, e.Seq, before.Version+1)
		}
		last[e.Stream] = e
	}
	for _, s := range streams {
		if err := l.checkLast(ctx, s, last[s], upTo); err != nil {
			return err
		}
	}
	return nil
}

// checkLast finds out whether the last event that the index has of a stream up to a seq is the last that there is.
func (l *Log) checkLast(ctx context.Context, s eventstore.StreamID, last eventstore.Recorded, upTo int64) error {
	b, found, err := l.bounds(ctx, s)
	if err != nil || !found && last.Version == 0 {
		return err
	}
	more := b.version > last.Version
	if b.last > upTo {
		from := max(b.first, last.Seq+1)
		if err := l.pool.QueryRow(ctx, sqlHasVersion, planned, s.ID, s.Type, last.Version+1, from, upTo).Scan(&more); err != nil {
			return fmt.Errorf("look for version %d of %s: %w", last.Version+1, s, err)
		}
	}
	switch {
	case more:
		return mismatch("it does not have version %d of %s", last.Version+1, s)
	case b.version < last.Version:
		return mismatch("it has version %d of %s, which ends at version %d", last.Version, s, b.version)
	}
	return nil
}

// bounds say where a stream is in the log.
type bounds struct{ version, first, last int64 }

func (l *Log) bounds(ctx context.Context, s eventstore.StreamID) (b bounds, found bool, err error) {
	err = l.pool.QueryRow(ctx, sqlStreamBounds, planned, s.Type, s.ID).Scan(&b.version, &b.first, &b.last)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, false, nil
	}
	if err != nil {
		return b, false, fmt.Errorf("find stream %s: %w", s, err)
	}
	return b, true, nil
}

// decoded returns what an event says, nil when this program does not know.
func decoded(e eventstore.Recorded) domain.Event {
	body, err := domain.Decode(e.Type, e.Data)
	if err != nil {
		return nil
	}
	return body
}

package projections_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/projections"
)

// events are all in the log.
func (w *world) events(t *testing.T, last int64) []projections.Event {
	t.Helper()
	recorded, err := w.store.ReadLog(t.Context(), 0, int(last))
	if err != nil {
		t.Fatal(err)
	}
	events := make([]projections.Event, len(recorded))
	for i, r := range recorded {
		body, err := domain.Decode(r.Type, r.Data)
		if err != nil {
			t.Fatal(err)
		}
		events[i] = projections.Event{Recorded: r, Body: body}
	}
	return events
}

func TestWhatTheFeedDerivesIsWhatItProjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, business.StreamType, business.StreamID, business.Closed{BusinessName: "Luigi\t\\N ☃", Message: "back at \"six\"\n"})
	last := w.evening(t, func(int64) {})
	// An order that is taken from a courier ends a right.
	last = max(last, w.append(t, order.StreamType, orderID, order.Assigned{OrderID: orderID, CustomerID: "ann", AgentID: "eve", PreviousAgentID: "dan"}))
	events := w.events(t, last)
	feed := projections.NewFeed(w.pool)
	written := func(write func(ctx context.Context, tx pgx.Tx) error) (rows string) {
		t.Helper()
		tx, err := w.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(t.Context()) }() // nothing is to be left
		if err := write(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		err = tx.QueryRow(t.Context(), `
SELECT (SELECT string_agg(l::text, E'\n' ORDER BY seq) FROM notification_log l) || E'\n' ||
	(SELECT string_agg(c::text, E'\n' ORDER BY seq, channel) FROM notification_channels c)`).Scan(&rows)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	projected := written(func(ctx context.Context, tx pgx.Tx) error { return feed.Project(ctx, tx, events) })
	copied := written(func(ctx context.Context, tx pgx.Tx) error {
		for _, part := range [][]projections.Event{events[:5], nil, events[5:]} {
			rows, err := feed.Derive(part)
			if err != nil {
				return err
			}
			if err := rows.Write(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	if copied != projected {
		t.Errorf("what is derived is written as\n%s\nand projected as\n%s", copied, projected)
	}
	if !strings.Contains(copied, `""channel"":""order:`) {
		t.Error("no right ended, so it is not known how that is written")
	}
}

func TestEventsThatNobodyIsToldOfLeaveNoRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := w.append(t, menu.StreamType, orderID, menu.Added{ProductID: orderID, Name: "Pizza", Price: 900, Currency: "EUR"})
	last = max(last, w.append(t, inbox.ReaderStreamType, inbox.ReaderID("ann"), inbox.AllRead{UserID: "ann"}))
	rows, err := projections.NewFeed(w.pool).Derive(w.events(t, last))
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Write(t.Context(), nil); err != nil { // it needs no transaction
		t.Error(err)
	}
}

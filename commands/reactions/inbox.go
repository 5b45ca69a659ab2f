package reactions

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// atOnce is how many users' entries are appended at the same time: the log commits those that wait together.
const atOnce = 256

// The types of the entries.
const (
	typeOrder   = "order"
	typePayment = "payment"
)

// Log is what the inbox is written into.
type Log interface {
	Append(ctx context.Context, a eventstore.Append) (eventstore.Result, error)
}

// Inbox tells customers of their orders and payments, by an entry in the inbox for each event that matters to them. It
// is the model of group [projections.GroupInbox].
type Inbox struct {
	Log Log
}

// Project writes the entries that events cause. A user's entries are written in the order of what caused them.
//
// Each is an append of its own, because each says what caused it. They still share transactions: the log commits
// together what waits for it, which are the entries of as many users as there are, up to a bound.
func (in Inbox) Project(ctx context.Context, _ pgx.Tx, events []projections.Event) error {
	byUser := map[string][]eventstore.Append{}
	for _, e := range events {
		entered, ok := entry(e)
		if !ok {
			continue
		}
		a, err := entering(e, entered)
		if err != nil {
			return fmt.Errorf("inbox entry of event %d: %w", e.Seq, err)
		}
		byUser[entered.UserID] = append(byUser[entered.UserID], a)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, appends := range byUser {
		g.Go(func() error { return in.enter(ctx, appends) })
	}
	return g.Wait()
}

func (in Inbox) enter(ctx context.Context, appends []eventstore.Append) error {
	for _, a := range appends {
		_, err := in.Log.Append(ctx, a)
		var conflict *eventstore.ConflictError
		if errors.As(err, &conflict) {
			continue // the entry is there: it was written before
		}
		if err != nil {
			return fmt.Errorf("enter %s: %w", a.Streams[0].Stream, err)
		}
	}
	return nil
}

// entering is the append of an entry. The entry's id follows from the event, and its stream may not exist yet: that is
// why it is written once, however often the event is handled.
func entering(cause projections.Event, entered inbox.Entered) (eventstore.Append, error) {
	entered.ID = inbox.EntryID(cause.ID)
	events, err := inbox.Entry{}.Enter(entered)
	if err != nil {
		return eventstore.Append{}, err
	}
	add := eventstore.StreamAppend{Stream: eventstore.StreamID{Type: inbox.StreamType, ID: entered.ID}}
	for _, e := range events {
		typ, data, err := domain.Encode(e)
		if err != nil {
			return eventstore.Append{}, err
		}
		add.Events = append(add.Events, eventstore.NewEvent{Type: typ, Data: data})
	}
	id, err := correlation(cause)
	return eventstore.Append{
		Streams: []eventstore.StreamAppend{add},
		Meta: eventstore.Meta{
			UserID: self.UserID, Role: string(self.Role), CorrelationID: id, CausationID: cause.ID.String(),
		},
	}, err
}

// entry is the whole of which events make an entry, for whom, and what it says.
func entry(e projections.Event) (inbox.Entered, bool) {
	switch b := e.Body.(type) {
	case order.Placed:
		return about(b.CustomerID, b.OrderID, typeOrder, "Order received", "We have received your order "+b.OrderNumber), true
	case order.Assigned:
		return about(b.CustomerID, b.OrderID, typeOrder, "Courier assigned", "A courier was found for your order "+b.OrderNumber), true
	case order.StatusChanged:
		message := b.Message
		if strings.TrimSpace(message) == "" { // an entry without a message could not be stored
			message = "Your order " + b.OrderNumber + " is " + inWords(b.To)
		}
		return about(b.CustomerID, b.OrderID, typeOrder, "Order "+inWords(b.To), message), true
	case order.Cancelled:
		return about(b.CustomerID, b.OrderID, typeOrder, "Order cancelled", "Your order "+b.OrderNumber+" was cancelled: "+b.Reason), true
	case payment.Captured:
		return about(b.CustomerID, b.OrderID, typePayment, "Payment received", "We have received your payment for order "+b.OrderNumber), true
	case payment.Failed:
		return about(b.CustomerID, b.OrderID, typePayment, "Payment failed", "Your payment for order "+b.OrderNumber+" failed: try again, or pay another way"), true
	case payment.Refunded:
		return about(b.CustomerID, b.OrderID, typePayment, "Payment refunded", "Money for order "+b.OrderNumber+" is given back to you"), true
	}
	return inbox.Entered{}, false
}

func about(userID string, orderID uuid.UUID, typ, title, message string) inbox.Entered {
	return inbox.Entered{UserID: userID, OrderID: &orderID, Type: typ, Title: title, Message: message}
}

// inWords is a status as people say it: "out for delivery".
func inWords(s order.Status) string { return strings.ReplaceAll(string(s), "_", " ") }

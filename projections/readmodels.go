package projections

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// ReadModel says what a model is derived from and what it keeps: enough to derive it anew beside the live one.
type ReadModel struct {
	// Name is what operators call it.
	Name string
	// Group is the group whose checkpoint it is under.
	Group string
	// Streams are the types of stream it is derived from; empty: all.
	Streams []string
	// Tables are all that it writes to, named without a schema, in every statement as well.
	Tables []string
	// New makes the model. What it does outside the transaction it is given goes through pool.
	New func(pool *pgxpool.Pool) Model
}

// ReadModels are those of [GroupViews], which REST reads.
func ReadModels() []ReadModel {
	view := func(name string, m Model, streams, tables []string) ReadModel {
		return ReadModel{name, GroupViews, streams, tables, func(*pgxpool.Pool) Model { return m }}
	}
	return []ReadModel{
		view("business", Business{}, []string{business.StreamType}, []string{"business_view"}),
		view("products", Products{}, []string{menu.StreamType}, []string{"products_view"}),
		view("orders", Orders{}, []string{order.StreamType}, []string{"orders_view"}),
		view("payments", Payments{}, []string{payment.StreamType}, []string{"payments_view"}),
		view("couriers", Couriers{}, []string{courier.StreamType}, []string{"couriers_view"}),
		view("tracks", Tracks{}, []string{courier.TrackStreamType}, []string{"track_points"}),
		view("offers", Offers{}, []string{offer.StreamType, offer.TallyStreamType}, []string{"offers_view"}),
		view("inboxes", Inbox{}, []string{inbox.StreamType, inbox.ReaderStreamType}, []string{"inbox_view", "inbox_readers"}),
	}
}

// NotificationLog is the feed as something that can be derived anew, from the floor on.
func NotificationLog() ReadModel {
	return ReadModel{
		Name: "feed", Group: GroupFeed, Tables: []string{"notification_log", "notification_channels"},
		New: func(pool *pgxpool.Pool) Model { return NewFeed(pool) },
	}
}

// ViewsGroup is the group of all read models.
func ViewsGroup(pool *pgxpool.Pool) Group {
	g := Group{Name: GroupViews, Gather: GatherAwaited}
	for _, m := range ReadModels() {
		g.Models = append(g.Models, m.New(pool))
	}
	return g
}

package projections

import (
	"time"

	"github.com/orderlog/orderlog/eventstore"
)

// Statements are all that a test can prepare against the schema.
func Statements() map[string]string {
	everything, _ := OrderQuery{Status: "placed", Customer: "a", Agent: "b", From: time.Now(), To: time.Now()}.sql(1)
	anything, _ := OrderQuery{}.sql(1)
	couriers, _ := CourierQuery{}.sql(0)
	couriersOfStatus, _ := CourierQuery{Status: "online"}.sql(0)
	openOffers, _ := OfferQuery{}.sql(0)
	offers, _ := OfferQuery{IncludeWithdrawn: true}.sql(0)
	return map[string]string{
		"orders by everything": everything, "orders": anything,
		"sqlInsertNotifications": sqlInsertNotifications, "sqlInsertChannels": sqlInsertChannels,
		"sqlAddFeedPartitions": sqlAddFeedPartitions, "sqlFeedBounds": sqlFeedBounds, "sqlFeedTail": sqlFeedTail,
		"sqlFeedOfChannels": sqlFeedOfChannels, "sqlLoadOrders": sqlLoadOrders, "sqlSaveOrders": sqlSaveOrders,
		"sqlLoadProducts": sqlLoadProducts, "sqlSaveProducts": sqlSaveProducts, "sqlLoadBusiness": sqlLoadBusiness,
		"sqlSaveBusiness": sqlSaveBusiness, "sqlViewsPosition": sqlViewsPosition, "sqlBusiness": sqlBusiness,
		"sqlProduct": sqlProduct, "sqlProducts": sqlProducts, "sqlOrder": sqlOrder,
		"sqlLag": sqlLag, "sqlRecordedAtOf": sqlRecordedAtOf, "sqlAnnounce": sqlAnnounce, "sqlRetentionLease": sqlRetentionLease, "sqlFloorAndPosition": sqlFloorAndPosition, "sqlRecordedAt": sqlRecordedAt, "sqlFeedPartitions": sqlFeedPartitions, "sqlDropNotifications": sqlDropNotifications, "sqlRaiseFloor": sqlRaiseFloor,
		"sqlLoadPayments": sqlLoadPayments, "sqlSavePayments": sqlSavePayments, "sqlPayment": sqlPayment, "sqlOrderPayments": sqlOrderPayments,
		"sqlLoadCouriers": sqlLoadCouriers, "sqlSaveCouriers": sqlSaveCouriers, "sqlCourier": sqlCourier,
		"couriers": couriers, "couriers of a status": couriersOfStatus,
		"sqlAddTrackPoints": sqlAddTrackPoints, "sqlTrack": sqlTrack,
		"sqlLoadOffers": sqlLoadOffers, "sqlSaveOffers": sqlSaveOffers, "sqlCountOfferUses": sqlCountOfferUses,
		"sqlOffer": sqlOffer, "offers": offers, "open offers": openOffers,
		"sqlLoadInbox": sqlLoadInbox, "sqlSaveInbox": sqlSaveInbox, "sqlAddInboxReaders": sqlAddInboxReaders,
		"inbox": InboxStatement(nil), "unread inbox": InboxStatement(&yes), "read inbox": InboxStatement(&no),
	}
}

// The cursors of lists.
var (
	FormatCursor = formatCursor
	ParseCursor  = parseCursor
)

var yes, no = true, false

// InboxStatement is the statement that reads an inbox.
func InboxStatement(unread *bool) string {
	statement, _ := InboxQuery{Unread: unread}.sql(0)
	return statement
}

// NewNewest returns one over nothing.
func NewNewest() *Newest { return &Newest{} }

// Held, Writes and Committed are what the feed and the hub do with it.
func (n *Newest) Held(after int64, limit int) (Page, bool) { return n.held(after, limit) }

func (n *Newest) Writes(from, upTo int64, items []Notification) {
	n.writes(written{from, upTo, items})
}
func (n *Newest) Committed(position int64) { n.committed(position) }

// Decoding returns what the groups of a runner decode with.
func Decoding() func(eventstore.Recorded) (Event, error) { return (&decoded{}).event }

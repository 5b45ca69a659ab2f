package check

import (
	"encoding/json"
	"fmt"
	"time"
)

// event is one of the log's, with what the rules need of it. It is for as long as it is looked at.
type event struct {
	seq, version int64
	id           string
	stream       string // "order/UUID"
	typ          string
	at           time.Time
	meta         meta
	body         body
	told         *notification // what the notification log has of it; nil: nothing
}

type meta struct {
	UserID, Role, CorrelationID, CausationID, IdempotencyKey string
}

// body has the members of the data of all events. Names that differ only in case are the same to the decoder.
type body struct {
	ID, OrderID, OrderNumber, CustomerID, CustomerName, AgentID, PreviousAgentID, PaymentID, ProductID, UserID string
	Status, Chosen, From, To, Message, Reason, BusinessName, Title, Type                                       string
	Code, Scope, Description, DiscountType, OfferCode, Method, Currency, RefundID                              string
	Subtotal, Discount, TotalAmount, Amount, RefundDue, Uses                                                   int64
	DiscountValue, MinOrder, MaxDiscount, MaxUses, MaxUsesPerUser                                              int64
	Latitude, Longitude                                                                                        float64
	Items                                                                                                      []item
	Price                                                                                                      *int64
	Available                                                                                                  *bool
	CurrentOrder                                                                                               *string
}

type item struct {
	Product                    string
	Quantity, UnitPrice, Total int64
}

// notification is a row of the notification log.
type notification struct {
	event    string
	channels []string
	payload  json.RawMessage
}

// reaction says that the program did it by itself because of another event.
func (e *event) reaction() bool { return e.meta.CausationID != "" }

// decode fills in what comes as JSON.
func (e *event) decode(data, metadata []byte) error {
	if err := json.Unmarshal(data, &e.body); err != nil {
		return fmt.Errorf("data of event %d (%s): %w", e.seq, e.typ, err)
	}
	if err := json.Unmarshal(metadata, &e.meta); err != nil {
		return fmt.Errorf("meta of event %d (%s): %w", e.seq, e.typ, err)
	}
	return nil
}

// The types of the events that rules branch on.
const (
	opened           = "business.opened"
	closed           = "business.closed"
	productAdded     = "product.added"
	productUpdated   = "product.updated"
	productArchived  = "product.archived"
	orderPlaced      = "order.placed"
	orderChanged     = "order.status_changed"
	orderAssigned    = "order.assigned"
	orderCancelled   = "order.cancelled"
	paymentOpened    = "order.payment_opened"
	paymentClosed    = "order.payment_closed"
	paymentStarted   = "payment.started"
	paymentCaptured  = "payment.captured"
	paymentFailed    = "payment.failed"
	paymentVoided    = "payment.voided"
	paymentDue       = "payment.refund_due"
	paymentRefunded  = "payment.refunded"
	refundReported   = "payment.refund_reported"
	refundFailed     = "payment.refund_failed"
	courierChanged   = "courier.status_changed"
	courierTook      = "courier.order_taken"
	courierReleased  = "courier.order_released"
	courierLocated   = "courier.located"
	inboxEntered     = "inbox.entered"
	inboxRead        = "inbox.read"
	inboxAllRead     = "inbox.all_read"
	offerCreated     = "offer.created"
	offerUpdated     = "offer.updated"
	offerWithdrawn   = "offer.withdrawn"
	offerUseCounted  = "offer.use_counted"
	offerUseReturned = "offer.use_returned"
)

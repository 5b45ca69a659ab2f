package check

import "github.com/orderlog/orderlog/faults/history"

// kind is what a command does.
type kind struct {
	// makes are the events of which one has to be there when it was carried out, and never two.
	makes []string
	// idle says whether it may be acknowledged without an event, because everything was as it was asked to be already.
	// nil: never.
	idle func(c *history.Command, w *world) bool
	// subject is what the event says that it is about.
	subject func(b *body) string
}

func ofOrder(b *body) string   { return b.OrderID }
func ofPayment(b *body) string { return b.PaymentID }
func ofCourier(b *body) string { return b.AgentID }
func ofOffer(b *body) string   { return b.Code }
func ofProduct(b *body) string { return b.ProductID }
func ofEntry(b *body) string   { return b.ID }
func ofNothing(*body) string   { return "" }

// kinds are the commands by their names in the history.
var kinds = map[string]kind{
	"order.place":  {[]string{orderPlaced}, nil, ofOrder},
	"order.status": {[]string{orderChanged}, nil, ofOrder},
	"order.cancel": {[]string{orderCancelled}, nil, ofOrder},
	"order.assign": {[]string{orderAssigned}, func(c *history.Command, w *world) bool {
		return w.order(c.Subject).agent == c.Wanted["agent"]
	}, ofOrder},
	"payment.start":   {[]string{paymentStarted}, nil, ofPayment},
	"payment.collect": {[]string{paymentCaptured}, nil, ofPayment},
	"payment.refund":  {[]string{paymentRefunded}, nil, ofPayment},
	"payment.webhook": {[]string{paymentCaptured, paymentFailed, paymentRefunded, refundReported}, idleWebhook, ofPayment},
	"courier.status": {[]string{courierChanged}, func(c *history.Command, w *world) bool {
		return w.courier(c.User).chosen == c.Wanted["status"]
	}, ofCourier},
	"courier.location": {[]string{courierLocated}, func(c *history.Command, _ *world) bool {
		return c.Wanted["kept"] == "false" // what is asked of a point is not that it is kept
	}, ofOrder},
	"offer.create": {[]string{offerCreated}, nil, ofOffer},
	"offer.update": {[]string{offerUpdated}, nil, ofOffer},
	"offer.withdraw": {[]string{offerWithdrawn}, func(c *history.Command, w *world) bool {
		return w.offer(c.Subject).withdrawn
	}, ofOffer},
	"product.create": {[]string{productAdded}, nil, ofProduct},
	"product.update": {[]string{productUpdated}, nil, ofProduct},
	"product.archive": {[]string{productArchived}, func(c *history.Command, w *world) bool {
		return w.product(c.Subject).archived
	}, ofProduct},
	"business.open":  {[]string{opened}, nil, ofNothing},
	"business.close": {[]string{closed}, nil, ofNothing},
	"inbox.send":     {[]string{inboxEntered}, nil, ofEntry},
	"inbox.read": {[]string{inboxRead}, func(c *history.Command, w *world) bool {
		return w.read[c.Subject]
	}, ofEntry},
	"inbox.read_all": {[]string{inboxAllRead}, nil, ofNothing},
}

// idleWebhook: what the provider says was known, or is of no use any more.
func idleWebhook(c *history.Command, w *world) bool {
	p := w.payment(c.Subject)
	switch c.Wanted["type"] {
	case "payment.captured":
		return p.captured > 0
	case "payment.failed":
		return p.status() != "pending"
	}
	return p.reported[c.Key] // as the provider names the refund
}

package rest

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// Business opens and closes the business.
type Business interface {
	SetBusinessStatus(ctx context.Context, req commands.Request, cmd commands.SetBusinessStatus) (commands.Outcome[business.Business], error)
}

// Menu changes the menu.
type Menu interface {
	AddProduct(ctx context.Context, req commands.Request, cmd commands.AddProduct) (commands.Outcome[menu.Product], error)
	UpdateProduct(ctx context.Context, req commands.Request, cmd commands.UpdateProduct) (commands.Outcome[menu.Product], error)
	ArchiveProduct(ctx context.Context, req commands.Request, cmd commands.ArchiveProduct) (commands.Outcome[menu.Product], error)
}

// Ordering changes orders.
type Ordering interface {
	PlaceOrder(ctx context.Context, req commands.Request, cmd commands.PlaceOrder) (commands.Outcome[order.Order], error)
	ChangeOrderStatus(ctx context.Context, req commands.Request, cmd commands.ChangeOrderStatus) (commands.Outcome[order.Order], error)
	CancelOrder(ctx context.Context, req commands.Request, cmd commands.CancelOrder) (commands.Outcome[order.Order], error)
}

// Paying is what people do with payments.
type Paying interface {
	StartPayment(ctx context.Context, req commands.Request, cmd commands.StartPayment) (commands.Outcome[payment.Payment], error)
	CollectPayment(ctx context.Context, req commands.Request, cmd commands.CollectPayment) (commands.Outcome[payment.Payment], error)
	RefundPayment(ctx context.Context, req commands.Request, cmd commands.RefundPayment) (commands.Outcome[payment.Payment], error)
}

// ProviderEvents takes what the payment provider tells. An event that was told before changes nothing.
type ProviderEvents interface {
	ProviderEvent(ctx context.Context, req commands.Request, cmd commands.ProviderEvent) (commands.Outcome[payment.Payment], error)
}

// Dispatching brings orders to their customers.
type Dispatching interface {
	AssignOrder(ctx context.Context, req commands.Request, cmd commands.AssignOrder) (commands.Outcome[order.Order], error)
	SetCourierStatus(ctx context.Context, req commands.Request, cmd commands.SetCourierStatus) (commands.Outcome[courier.Courier], error)
	ReportLocation(ctx context.Context, req commands.Request, cmd commands.ReportLocation) (commands.Outcome[commands.Location], error)
}

// Promoting changes offers.
type Promoting interface {
	CreateOffer(ctx context.Context, req commands.Request, cmd commands.CreateOffer) (commands.Outcome[offer.Offer], error)
	UpdateOffer(ctx context.Context, req commands.Request, cmd commands.UpdateOffer) (commands.Outcome[offer.Offer], error)
	WithdrawOffer(ctx context.Context, req commands.Request, cmd commands.WithdrawOffer) (commands.Outcome[offer.Offer], error)
}

// Reckoning says what an offer would take off, by the log. The seq beside the answer is the one it is true for.
type Reckoning interface {
	CheckOffer(ctx context.Context, actor commands.Actor, cmd commands.CheckOffer) (commands.OfferCheck, int64, error)
}

// Notifying changes inboxes.
type Notifying interface {
	Notify(ctx context.Context, req commands.Request, cmd commands.Notify) (commands.Outcome[inbox.Entry], error)
	ReadNotification(ctx context.Context, req commands.Request, cmd commands.ReadNotification) (commands.Outcome[inbox.Entry], error)
	ReadAllNotifications(ctx context.Context, req commands.Request) (commands.Outcome[commands.AllRead], error)
}

// Commands carries out what is asked for; see commands.Service. It decides itself who may.
type Commands interface {
	Business
	Menu
	Ordering
	Paying
	ProviderEvents
	Dispatching
	Promoting
	Reckoning
	Notifying
}

// Repeatable describes the header that makes a command safe to repeat. It is read before the operation: what huma
// takes for an absent header may be an empty one, which is a mistake.
type Repeatable struct {
	Key string `header:"Idempotency-Key" doc:"1 to 255 visible ASCII characters. The same key, user and bytes are answered again; the same key with anything else is 422."`
}

// done is the answer to a command.
type done[T any] struct {
	Seq      int64  `header:"X-Seq" doc:"The seq of the command's last event; give it as min_seq to a read that is to show it."`
	Replayed string `header:"Idempotent-Replayed" enum:"true" doc:"true: this answers an earlier request with the same key."`
	Location string `header:"Location" doc:"Where the new one is, when there is one."`
	Body     T
}

func (c *call) actor() commands.Actor {
	id := c.user()
	return commands.Actor{UserID: id.UserID, Role: id.Role, Name: id.Name}
}

func (c *call) request() commands.Request {
	return commands.Request{
		Actor:         c.actor(),
		Key:           c.key,
		Fingerprint:   c.fingerprint,
		CorrelationID: c.id.String(),
		RemoteAddr:    c.remoteAddr,
	}
}

// answerOf turns what a command came to into its answer. The status is the operation's own, so a repeat has the same.
func answerOf[T any](out commands.Outcome[T], err error) (*done[T], error) {
	if err != nil {
		return nil, err
	}
	d := &done[T]{Seq: out.Seq, Body: out.Value}
	if out.Replayed {
		d.Replayed = "true"
	}
	return d, nil
}

// conflict describes what of the state of things can be in a command's way.
func conflict(description string) map[string]*huma.Response {
	return map[string]*huma.Response{strconv.Itoa(http.StatusConflict): {Description: description}}
}

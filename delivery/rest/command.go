package rest

import (
	"context"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
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

// Commands carries out what is asked for; see commands.Service. It decides itself who may.
type Commands interface {
	Business
	Menu
	Ordering
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

func (c *call) request() commands.Request {
	id := c.user()
	return commands.Request{
		Actor:         domain.Actor{UserID: id.UserID, Role: id.Role, Name: id.Name},
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

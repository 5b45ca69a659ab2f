package reactions

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/projections"
)

// Settler tells the payment provider of a refund and records its answer; a [*commands.Service] is one.
type Settler interface {
	SettleRefund(ctx context.Context, req commands.Request, cmd commands.SettleRefund) (commands.Outcome[payment.Payment], error)
}

// Refunds tells the payment provider of the refunds that it did not begin itself. It is the model of group
// [projections.GroupRefunds]. While the provider does not answer the group stands, visibly, and tries again; a refund
// that the provider refuses for good does not hold up those after it.
type Refunds struct {
	Commands Settler
}

// Project settles the refunds among events, one after another.
func (r Refunds) Project(ctx context.Context, _ pgx.Tx, events []projections.Event) error {
	for _, e := range events {
		refunded, ok := e.Body.(payment.Refunded)
		if !ok || refunded.ByProvider || refunded.Method == payment.MethodCash {
			continue
		}
		id, err := correlation(e)
		if err != nil {
			return err
		}
		req := commands.Request{Actor: self, CorrelationID: id, CausationID: e.ID.String()}
		cmd := commands.SettleRefund{PaymentID: refunded.PaymentID, RefundID: refunded.RefundID}
		if _, err := r.Commands.SettleRefund(ctx, req, cmd); err != nil {
			return fmt.Errorf("settle refund %s: %w", refunded.RefundID, err)
		}
	}
	return nil
}

package order

import (
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// CheckPayable refuses a payment of an order that is cancelled or costs nothing. One that
// is delivered can still be paid.
func (o Order) CheckPayable() error {
	switch {
	case o.Version == 0:
		return errNoOrder()
	case o.Status == StatusCancelled:
		return o.refuseInactive("there is nothing to pay, place a new one")
	case o.TotalAmount <= 0:
		return domain.Errorf(domain.CodeNothingToPay, "order %s costs nothing: it needs no payment", o.OrderNumber).
			With("orderId", o.ID).With("totalAmount", o.TotalAmount)
	}
	return nil
}

// OpenPayment decides whether a payment becomes the live one of an order. It is refused
// while there is another.
func (o Order) OpenPayment(paymentID uuid.UUID) ([]domain.Event, error) {
	if err := o.CheckPayable(); err != nil {
		return nil, err
	}
	if o.PaymentID != "" {
		return nil, domain.Errorf(domain.CodePaymentExists,
			"order %s has payment %s already: use that one, or wait until it has failed or is given back", o.OrderNumber, o.PaymentID).
			With("paymentId", o.PaymentID)
	}
	return []domain.Event{PaymentOpened{OrderID: o.ID, PaymentID: paymentID}}, nil
}

// ClosePayment makes room for another payment. It is no event unless paymentID is the
// live one.
func (o Order) ClosePayment(paymentID uuid.UUID) []domain.Event {
	if o.PaymentID != paymentID.String() {
		return nil
	}
	return []domain.Event{PaymentClosed{OrderID: o.ID, PaymentID: paymentID}}
}

// ReopenPayment makes a payment the live one again, whose money came in after all. It is
// no event when the order is cancelled or another payment took its place: then the money
// is to be given back.
func (o Order) ReopenPayment(paymentID uuid.UUID) []domain.Event {
	if o.Version == 0 || o.Status == StatusCancelled || o.PaymentID != "" {
		return nil
	}
	return []domain.Event{PaymentOpened{OrderID: o.ID, PaymentID: paymentID}}
}

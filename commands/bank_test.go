package commands_test

import (
	"context"
	"sync"

	"github.com/orderlog/orderlog/domain/payment"
)

// bank is a payment provider that keeps what it was asked, and fails as it is told. Safe for concurrent use.
type bank struct {
	// Meanwhile, when set, is called while the provider works.
	Meanwhile func(ctx context.Context)

	mu        sync.Mutex
	fails     error // what it answers; nil: it does as it is asked
	checkouts []payment.Checkout
	refunds   []payment.ProviderRefund
}

func (b *bank) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails = err
}

func (b *bank) OpenCheckout(ctx context.Context, c payment.Checkout) (payment.Opened, error) {
	b.mu.Lock()
	b.checkouts = append(b.checkouts, c)
	err := b.fails
	b.mu.Unlock()
	if b.Meanwhile != nil {
		b.Meanwhile(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	return payment.Opened{Reference: "ref-" + c.PaymentID.String(), URL: "https://pay.example/" + c.PaymentID.String()}, err
}

func (b *bank) Refund(ctx context.Context, r payment.ProviderRefund) (string, error) {
	b.mu.Lock()
	b.refunds = append(b.refunds, r)
	err := b.fails
	b.mu.Unlock()
	if b.Meanwhile != nil {
		b.Meanwhile(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	return "back-" + r.RefundID, err
}

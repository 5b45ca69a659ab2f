package simulation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// notice is what a payment provider tells the webhook.
type notice struct {
	EventID   string `json:"eventId"`
	PaymentID string `json:"paymentId"`
	Type      string `json:"type"`
	Amount    int64  `json:"amount"`
	Currency  string `json:"currency"`
}

const paying = 300 * time.Millisecond

// pay starts an order's payment and, unless it is cash, pays.
func (e *evening) pay(ctx context.Context, o *order) error {
	if err := e.startPayment(ctx, o); err != nil {
		return err
	}
	if o.plan.method == "cod" || o.plan.payment == payLate {
		return nil
	}
	if err := e.work(ctx, o, paying); err != nil {
		return err
	}
	if o.plan.payment == payFails || o.plan.payment == payBroken {
		if err := e.tell(ctx, o, "payment.failed", o.payment.Amount); err != nil {
			return err
		}
		e.stats.failedPayments.Add(1)
		if o.plan.payment == payBroken {
			return nil
		}
		if err := e.startPayment(ctx, o); err != nil {
			return err
		}
	}
	return e.capture(ctx, o)
}

// lastWord is how long what is begun may take when the evening is broken off.
const lastWord = 15 * time.Second

// toItsEnd lets what is begun be ended although the evening is broken off meanwhile: the server may have taken it in, and
// the books here must say so too. What would begin behind the end does not.
func toItsEnd(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	return ending, cancel, nil
}

func (e *evening) startPayment(ctx context.Context, o *order) error {
	ctx, cancel, err := toItsEnd(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	body := map[string]any{"method": o.plan.method}
	if _, err := e.api.post(ctx, o.customer.user, "/orders/"+o.id+"/payments", body, &o.payment); err != nil {
		return err
	}
	o.payments++
	if o.payment.Amount != o.total || o.payment.Status != "pending" {
		return fmt.Errorf("its payment should be pending for %d and is %s for %d", o.total, o.payment.Status, o.payment.Amount)
	}
	return nil
}

func (e *evening) capture(ctx context.Context, o *order) error {
	if err := e.tell(ctx, o, "payment.captured", o.payment.Amount); err != nil {
		return err
	}
	e.tookIn(o)
	return nil
}

// tookIn notes that the live payment is paid.
func (e *evening) tookIn(o *order) {
	o.captured += o.payment.Amount
	e.stats.captured.Add(1)
	e.stats.capturedSum.Add(o.payment.Amount)
}

// captureLate is money that comes in when the order is cancelled already.
func (e *evening) captureLate(ctx context.Context, o *order) error {
	if err := e.work(ctx, o, paying); err != nil {
		return err
	}
	return e.capture(ctx, o)
}

// chargeBack is money that the provider gives back by itself.
func (e *evening) chargeBack(ctx context.Context, o *order, amount int64) error {
	if err := e.tell(ctx, o, "payment.refunded", amount); err != nil {
		return err
	}
	o.refunded += amount
	e.stats.refunds.Add(1)
	e.stats.refundedSum.Add(amount)
	return nil
}

// tell sends the webhook what happened to a payment, some of it twice, as providers do.
func (e *evening) tell(ctx context.Context, o *order, what string, amount int64) error {
	ctx, cancel, err := toItsEnd(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	n := notice{uuid.NewString(), o.payment.ID, what, amount, currency}
	times := 1
	if o.plan.twice {
		times = 2
	}
	for range times {
		if err := e.notify(ctx, n); err != nil {
			return err
		}
	}
	e.stats.webhooks.Add(int64(times))
	e.stats.repeats.Add(int64(times - 1))
	return nil
}

// notify sends one message to the webhook, signed over the bytes that are sent.
func (e *evening) notify(ctx context.Context, n notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	_, err = e.api.do(ctx, request{
		method: http.MethodPost, path: "/payments/webhook", body: json.RawMessage(body),
		header: http.Header{"X-Signature": {sign(e.cfg.WebhookSecret, body)}},
	})
	return err
}

func sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// checkWebhook finds out whether the webhook takes what is signed with our key, without changing anything: it does
// when all that it has to say of an unknown payment is that it is unknown.
func (e *evening) checkWebhook(ctx context.Context) error {
	err := e.notify(ctx, notice{uuid.NewString(), uuid.NewString(), "payment.captured", 1, currency})
	if _, ok := refused(err, "not_found"); ok {
		return nil
	}
	var said *refusal
	if errors.As(err, &said) && (said.status == http.StatusUnauthorized || said.status == http.StatusForbidden) {
		return fmt.Errorf("the server refuses payments signed with this PAYMENT_WEBHOOK_SECRET: set it, or DATA_DIR, as the server has it (%w)", err)
	}
	if err == nil {
		return errors.New("the webhook takes what happened to a payment that does not exist")
	}
	return err
}

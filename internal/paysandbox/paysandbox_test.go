package paysandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/internal/paysandbox"
)

var id = uuid.MustParse("0190a6f0-0000-7000-8000-000000000001")

func TestTheSameCheckoutIsOpenedOnce(t *testing.T) {
	t.Parallel()
	p := paysandbox.New()
	ask := payment.Checkout{PaymentID: id, OrderNumber: "ORD-000001", Amount: 900, Currency: "EUR", Method: payment.MethodCard}
	first, err := p.OpenCheckout(t.Context(), ask)
	if err != nil || first.Reference == "" || first.URL == "" {
		t.Fatalf("opened %+v, %v", first, err)
	}
	if again, err := paysandbox.New().OpenCheckout(t.Context(), ask); again != first || err != nil {
		t.Errorf("opened again: %+v, %v; want %+v", again, err, first)
	}
	ask.PaymentID = uuid.New()
	if other, err := p.OpenCheckout(t.Context(), ask); other.Reference == first.Reference || other.URL == first.URL || err != nil {
		t.Errorf("another payment has the same checkout: %+v, %v", other, err)
	}
	ask.Method = payment.MethodCash
	if _, err := p.OpenCheckout(t.Context(), ask); err == nil {
		t.Error("opened a checkout for cash")
	}
}

func TestARefundOfWhatItOpenedIsAccepted(t *testing.T) {
	t.Parallel()
	p := paysandbox.New()
	opened, err := p.OpenCheckout(t.Context(), payment.Checkout{PaymentID: id, Amount: 900, Currency: "EUR", Method: payment.MethodUPI})
	if err != nil {
		t.Fatal(err)
	}
	ask := payment.ProviderRefund{RefundID: "r-1", PaymentID: id, Reference: opened.Reference, Amount: 900, Currency: "EUR"}
	first, err := p.Refund(t.Context(), ask)
	if err != nil || first == "" {
		t.Fatalf("refunded %q, %v", first, err)
	}
	if again, err := p.Refund(t.Context(), ask); again != first || err != nil {
		t.Errorf("refunded again: %q, %v; want %q", again, err, first)
	}
	ask.Reference = "of another provider"
	if _, err := p.Refund(t.Context(), ask); !errors.Is(err, payment.ErrRefundRefused) {
		t.Errorf("a payment that it does not know: %v", err)
	}
}

func TestACallThatWasGivenUpIsNoRefusal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := paysandbox.New().Refund(ctx, payment.ProviderRefund{}); !errors.Is(err, context.Canceled) || errors.Is(err, payment.ErrRefundRefused) {
		t.Errorf("refund: %v", err)
	}
	if _, err := paysandbox.New().OpenCheckout(ctx, payment.Checkout{}); !errors.Is(err, context.Canceled) {
		t.Errorf("checkout: %v", err)
	}
}

// The vector is that of RFC 4231, test case 2.
func TestTheSignatureIsHMACSHA256InHexadecimal(t *testing.T) {
	t.Parallel()
	got := paysandbox.Sign([]byte("Jefe"), []byte("what do ya want for nothing?"))
	if want := "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"; got != want {
		t.Errorf("signed %s; want %s", got, want)
	}
}

func TestAnEventIsWrittenAsTheWebhookReadsIt(t *testing.T) {
	t.Parallel()
	e := paysandbox.Event{EventID: "e-1", PaymentID: id, Type: "payment.captured", Amount: 900, Currency: "EUR"}
	got, err := json.Marshal(e)
	if want := `{"eventId":"e-1","paymentId":"` + id.String() + `","type":"payment.captured","amount":900,"currency":"EUR"}`; string(got) != want || err != nil {
		t.Errorf("wrote %s, %v; want %s", got, err, want)
	}
	e.SentAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var back paysandbox.Event
	if got, err = json.Marshal(e); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &back); err != nil || back != e {
		t.Errorf("read back %+v, %v", back, err)
	}
}

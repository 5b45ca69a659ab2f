package payment_test

import (
	"math"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/payment"
)

func capture(change func(*payment.Capture)) decision {
	cmd := payment.Capture{Amount: 900, Currency: "EUR"}
	change(&cmd)
	return func(p payment.Payment) ([]domain.Event, error) { return p.Capture(cmd) }
}

func asAsked(*payment.Capture) {}

func fail(reason string) decision {
	return func(p payment.Payment) ([]domain.Event, error) { return p.Fail(reason) }
}

func report(refundID string, amount int64) decision {
	return reportAs(payment.ReportRefund{RefundID: refundID, Amount: amount, Currency: "EUR"})
}

func reportAs(cmd payment.ReportRefund) decision {
	return func(p payment.Payment) ([]domain.Event, error) { return p.ReportRefund(cmd) }
}

// returned is money that the provider gave back by itself.
func returned(refundID string, amount int64) payment.Refunded {
	return payment.Refunded{
		Of: byCard, RefundID: refundID, Amount: amount, Reason: "given back by the payment provider", ByProvider: true,
	}
}

func reported(refundID string, amount int64) payment.RefundReported {
	return payment.RefundReported{Of: byCard, RefundID: refundID, Amount: amount}
}

func TestMoneyThatCameInIsRecordedWheneverItDoes(t *testing.T) {
	t.Parallel()
	given(t, started).When(capture(asAsked)).Then(captured)
	given(t, started, failed).When(capture(asAsked)).Then(captured)
	given(t, started, voided).When(capture(asAsked)).Then(captured)

	// It came in once.
	given(t, started, captured).When(capture(asAsked)).Then()
	given(t, started, captured, refunded(byCard, "r1", 900)).When(capture(asAsked)).Then()
	given(t).When(capture(asAsked)).ThenError(domain.CodeNotFound)
}

func TestMoneyThatTheOrderHasNoUseForIsDue(t *testing.T) {
	t.Parallel()
	given(t, started, voided).When(capture(func(c *payment.Capture) { c.OrderCancelled = true })).
		Then(captured, due(byCard, 900, "the order was cancelled before it was paid"))
	given(t, started, failed).When(capture(func(c *payment.Capture) { c.OtherLive = true })).
		Then(captured, due(byCard, 900, "the order is paid by another payment"))
	given(t, started, reported("e1", 400), voided).When(capture(func(c *payment.Capture) { c.OrderCancelled = true })).
		Then(captured, returned("e1", 400), due(byCard, 500, "the order was cancelled before it was paid"))
	given(t, started, reported("e1", 900), voided).When(capture(func(c *payment.Capture) { c.OrderCancelled = true })).
		Then(captured, returned("e1", 900))
}

func TestOtherMoneyThanWasAskedForIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*payment.Capture){
		"less":             func(c *payment.Capture) { c.Amount = 899 },
		"more":             func(c *payment.Capture) { c.Amount = 901 },
		"nothing":          func(c *payment.Capture) { c.Amount = 0 },
		"another currency": func(c *payment.Capture) { c.Currency = "INR" },
	} {
		for _, events := range [][]domain.Event{{started}, {started, captured}, {started, failed}} {
			refusal := given(t, events...).When(capture(change)).ThenError(domain.CodeAmountMismatch)
			if refusal.Details["amount"] != int64(900) || refusal.Details["currency"] != "EUR" {
				t.Errorf("%s: the details %v do not say what was asked for", name, refusal.Details)
			}
		}
	}
}

func TestOnlyAPendingPaymentFails(t *testing.T) {
	t.Parallel()
	given(t, started).When(fail("declined")).Then(failed)
	given(t, started).When(fail("")).Then(payment.Failed{Of: byCard, Amount: 900})
	for _, events := range [][]domain.Event{
		{started, failed},
		{started, voided},
		{started, captured},
		{started, captured, refunded(byCard, "r1", 900)},
	} {
		given(t, events...).When(fail("declined")).Then()
	}
	given(t, started).When(fail(long)).ThenInvalid("reason")
	given(t).When(fail("declined")).ThenError(domain.CodeNotFound)
}

func TestTheProviderGivesBackNoMoreThanCameIn(t *testing.T) {
	t.Parallel()
	given(t, started, captured).When(report("e1", 400)).Then(returned("e1", 400))
	given(t, started, captured, returned("e1", 400)).When(report("e2", 500)).Then(returned("e2", 500))
	given(t, started, captured).When(reportAs(payment.ReportRefund{RefundID: "e1", Amount: 1, Currency: "EUR", Reason: "cold"})).
		Then(payment.Refunded{Of: byCard, RefundID: "e1", Amount: 1, Reason: "cold", ByProvider: true})

	for _, amount := range []int64{501, math.MaxInt64} {
		refusal := given(t, started, captured, returned("e1", 400)).When(report("e2", amount)).ThenError(domain.CodeRefundExceeds)
		wantFigures(t, refusal, 900, 400, 500)
	}
}

func TestARefundThatIsKnownIsCountedOnce(t *testing.T) {
	t.Parallel()
	given(t, started, captured, returned("e1", 400)).When(report("e1", 400)).Then()
	given(t, started, reported("e1", 400)).When(report("e1", 400)).Then()
	// Also one that we asked for, before and after the provider accepted it.
	given(t, started, captured, refunded(byCard, "r1", 400)).When(report("r1", 400)).Then()
	given(t, started, captured, refunded(byCard, "r1", 900)).When(report("r1", 900)).Then()
	given(t, started, captured, refunded(byCard, "r1", 400), payment.RefundSettled{Of: byCard, RefundID: "r1"}).When(report("r1", 400)).Then()
	// One that was refused and made after all was not counted any more.
	given(t, started, captured, refunded(byCard, "r1", 400), payment.RefundFailed{Of: byCard, RefundID: "r1", Amount: 400}).
		When(report("r1", 400)).Then(returned("r1", 400))
}

func TestARefundThatIsToldOfBeforeTheCaptureWaitsForIt(t *testing.T) {
	t.Parallel()
	for _, before := range [][]domain.Event{{started}, {started, failed}, {started, voided}} {
		given(t, before...).When(report("e1", 400)).Then(reported("e1", 400))
	}
	given(t, started, reported("e1", 400)).When(report("e2", 500)).Then(reported("e2", 500))
	for _, amount := range []int64{501, math.MaxInt64} {
		refusal := given(t, started, reported("e1", 400)).When(report("e2", amount)).ThenError(domain.CodeRefundExceeds)
		wantFigures(t, refusal, 0, 0, 500)
	}
	given(t, started, reported("e1", 400), reported("e2", 500)).When(capture(asAsked)).
		Then(captured, returned("e1", 400), returned("e2", 500))
}

func TestWhatIsNoRefundIsRefused(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*payment.ReportRefund){
		"eventId": func(c *payment.ReportRefund) { c.RefundID = "" },
		"amount":  func(c *payment.ReportRefund) { c.Amount = 0 },
		"reason":  func(c *payment.ReportRefund) { c.Reason = long },
	} {
		cmd := payment.ReportRefund{RefundID: "e1", Amount: 1, Currency: "EUR"}
		change(&cmd)
		given(t, started, captured).When(reportAs(cmd)).ThenInvalid(field)
		given(t, started).When(reportAs(cmd)).ThenInvalid(field)
	}
	given(t, started, captured).When(report("e1", -1)).ThenInvalid("amount")
	given(t, started, captured).When(report(strings.Repeat("e", 256), 1)).ThenInvalid("eventId")
	given(t, started, captured).When(reportAs(payment.ReportRefund{RefundID: "e1", Amount: 1, Currency: "INR"})).ThenError(domain.CodeAmountMismatch)
	given(t).When(report("e1", 1)).ThenError(domain.CodeNotFound)
}

func TestTheProviderHasNoPartInCash(t *testing.T) {
	t.Parallel()
	for _, events := range [][]domain.Event{{startedCash}, {startedCash, collected}} {
		for _, decide := range []decision{capture(asAsked), fail("declined"), report("e1", 1)} {
			given(t, events...).When(decide).ThenError(domain.CodeInvalidTransition)
		}
	}
}

// wantFigures requires the figures that say how much can be given back, and why.
func wantFigures(t *testing.T, refusal *domain.Error, captured, refunded, refundable int64) {
	t.Helper()
	for name, want := range map[string]int64{"captured": captured, "refunded": refunded, "refundable": refundable} {
		if refusal.Details[name] != want {
			t.Errorf("%s is %v; want %d (%s)", name, refusal.Details[name], want, refusal.Message)
		}
	}
}

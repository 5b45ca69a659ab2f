package payment_test

import (
	"math"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/payment"
)

func refund(refundID string, amount *int64, reason string) decision {
	return func(p payment.Payment) ([]domain.Event, error) {
		return p.Refund(payment.RefundRequest{RefundID: refundID, Amount: amount, Reason: reason})
	}
}

func settle(refundID string) decision {
	return func(p payment.Payment) ([]domain.Event, error) { return p.SettleRefund(refundID, "re_1") }
}

func refuseRefund(refundID string) decision {
	return func(p payment.Payment) ([]domain.Event, error) { return p.FailRefund(refundID, "account closed") }
}

func TestARefundIsOfAllUnlessAnAmountIsGiven(t *testing.T) {
	t.Parallel()
	given(t, started, captured).When(refund("r1", nil, "cold")).Then(refunded(byCard, "r1", 900))
	given(t, started, captured).When(refund("r1", new(int64(400)), "cold")).Then(refunded(byCard, "r1", 400))
	given(t, started, captured, refunded(byCard, "r1", 400)).When(refund("r2", nil, "cold")).Then(refunded(byCard, "r2", 500))
	given(t, started, captured, due(byCard, 900, "late")).When(refund("r1", nil, "cold")).Then(refunded(byCard, "r1", 900))
	given(t, startedCash, collected).When(refund("r1", nil, "cold")).Then(refunded(inCash, "r1", 900))
	given(t, started, captured, refunded(byCard, "r1", 400)).When(refund("r1", nil, "cold")).Then() // the same once more
}

func TestARefundIsNeverOfMoreThanCameIn(t *testing.T) {
	t.Parallel()
	for _, amount := range []int64{501, math.MaxInt64} {
		refusal := given(t, started, captured, refunded(byCard, "r1", 400)).When(refund("r2", &amount, "cold")).ThenError(domain.CodeRefundExceeds)
		wantFigures(t, refusal, 900, 400, 500)
	}
	for _, events := range [][]domain.Event{
		{started},
		{started, failed},
		{started, voided},
		{started, reported("e1", 400)},
	} {
		for _, amount := range []*int64{nil, new(int64(1))} {
			wantFigures(t, given(t, events...).When(refund("r1", amount, "cold")).ThenError(domain.CodeRefundExceeds), 0, 0, 0)
		}
	}
	refusal := given(t, started, captured, refunded(byCard, "r1", 900)).When(refund("r2", nil, "cold")).ThenError(domain.CodeRefundExceeds)
	wantFigures(t, refusal, 900, 900, 0)
}

func TestARefundSaysWhy(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"", " ", long, "a\x00"} {
		given(t, started, captured).When(refund("r1", nil, reason)).ThenInvalid("reason")
	}
	for _, amount := range []int64{0, -1, math.MinInt64} {
		given(t, started, captured).When(refund("r1", &amount, "cold")).ThenInvalid("amount")
	}
	given(t).When(refund("r1", nil, "cold")).ThenError(domain.CodeNotFound)
}

func TestARefundIsSettledOrRefusedOnce(t *testing.T) {
	t.Parallel()
	settled := payment.RefundSettled{Of: byCard, RefundID: "r1", Reference: "re_1"}
	refused := payment.RefundFailed{Of: byCard, RefundID: "r1", Amount: 400, Reason: "account closed"}
	asked := []domain.Event{started, captured, refunded(byCard, "r1", 400)}

	given(t, asked...).When(settle("r1")).Then(settled)
	given(t, asked...).When(refuseRefund("r1")).Then(refused)
	for _, last := range []domain.Event{settled, refused} {
		for _, decide := range []decision{settle("r1"), refuseRefund("r1")} {
			given(t, append(asked[:3:3], last)...).When(decide).Then()
		}
	}
	for _, decide := range []decision{settle("r2"), refuseRefund("r2")} {
		given(t, asked...).When(decide).ThenError(domain.CodeNotFound)
		given(t).When(decide).ThenError(domain.CodeNotFound)
	}
	// The provider is not told to give cash back, nor what it gave back by itself.
	given(t, startedCash, collected, refunded(inCash, "r1", 400)).When(settle("r1")).Then()
	given(t, started, captured, returned("r1", 400)).When(refuseRefund("r1")).Then()
}

func TestWhatTheProviderRefusedCanBeAskedForAgain(t *testing.T) {
	t.Parallel()
	events := []domain.Event{started, captured, refunded(byCard, "r1", 900), payment.RefundFailed{Of: byCard, RefundID: "r1", Amount: 900}}
	if p := domaintest.Fold(payment.Payment{}, events...); p.RefundDue != 900 || p.Refunded != 0 || p.Status != payment.StatusCaptured {
		t.Errorf("state %+v", p)
	}
	given(t, events...).When(refund("r2", nil, "cold")).Then(refunded(byCard, "r2", 900))
}

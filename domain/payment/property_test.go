package payment_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// till is an order with all its payments, to which anything happens in any order. What it does beside asking the
// aggregates is what a command does in one append.
type till struct {
	order    order.Order
	payments []payment.Payment
	log      [][]domain.Event // of each payment
	refunds  int
}

// TestTheMoneyAddsUpWhateverHappens is about the invariants of the package's comment.
func TestTheMoneyAddsUpWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &till{order: domaintest.Fold(order.Order{}, order.Placed{
			OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Currency: "EUR",
			TotalAmount: rapid.OneOf(rapid.Int64Range(1, 5), rapid.Int64Range(1, 1<<60)).Draw(t, "total"),
		})}
		t.Repeat(map[string]func(*rapid.T){
			"":              m.check,
			"start":         m.start,
			"capture":       m.on(m.capture),
			"capture again": m.on(m.capture), // more often than the rest, so that much is captured
			"fail":          m.on(fails),
			"collect":       m.on(collects),
			"report refund": m.on(m.reportRefund),
			"refund":        m.on(m.refund),
			"settle":        m.on(settles),
			"refuse":        m.on(refuses),
			"cancel order":  m.cancelOrder,
		})
	})
}

func (m *till) start(t *rapid.T) {
	paymentID := uuid.NewSHA1(orderID, []byte{byte(len(m.payments))})
	opened, err := m.order.OpenPayment(paymentID)
	if err != nil {
		mustRefuse(t, opened, err)
		return
	}
	events, err := payment.Payment{}.Start(payment.Start{
		PaymentID: paymentID, Order: m.order,
		Method: string(rapid.SampledFrom([]payment.Method{payment.MethodCash, payment.MethodCard, payment.MethodUPI}).Draw(t, "method")),
	})
	if err != nil {
		t.Fatalf("the order wanted a payment that could not start: %v", err)
	}
	m.payments, m.log = append(m.payments, payment.Payment{}), append(m.log, nil)
	m.applyOrder(opened)
	m.apply(t, len(m.payments)-1, events)
}

// on lets something happen to one of the payments, once there is one.
func (m *till) on(decide func(*rapid.T, payment.Payment) ([]domain.Event, error)) func(*rapid.T) {
	return func(t *rapid.T) {
		if len(m.payments) == 0 {
			return
		}
		i := rapid.IntRange(0, len(m.payments)-1).Draw(t, "payment")
		events, err := decide(t, m.payments[i])
		m.record(t, i, events, err)
	}
}

func (m *till) capture(t *rapid.T, p payment.Payment) ([]domain.Event, error) {
	live := m.order.PaymentID
	return p.Capture(payment.Capture{
		Amount:         p.Amount + rapid.SampledFrom([]int64{0, 0, 0, 0, 0, -1, 1}).Draw(t, "off by"),
		Currency:       p.Currency,
		OrderCancelled: m.order.Status == order.StatusCancelled,
		OtherLive:      live != "" && live != p.ID.String(),
	})
}

func (m *till) reportRefund(t *rapid.T, p payment.Payment) ([]domain.Event, error) {
	m.refunds++
	refundID := fmt.Sprintf("e%d", m.refunds)
	if len(p.Refunds) > 0 && rapid.Bool().Draw(t, "known") {
		refundID = drawRefund(t, p)
	}
	return p.ReportRefund(payment.ReportRefund{RefundID: refundID, Amount: m.drawAmount(t), Currency: "EUR"})
}

func (m *till) refund(t *rapid.T, p payment.Payment) ([]domain.Event, error) {
	m.refunds++
	cmd := payment.RefundRequest{RefundID: fmt.Sprintf("r%d", m.refunds), Reason: "cold"}
	if rapid.Bool().Draw(t, "in part") {
		cmd.Amount = new(m.drawAmount(t))
	}
	return p.Refund(cmd)
}

func fails(_ *rapid.T, p payment.Payment) ([]domain.Event, error) { return p.Fail("declined") }

func collects(t *rapid.T, p payment.Payment) ([]domain.Event, error) {
	by := rapid.SampledFrom([]domain.Actor{admin, agent, customer}).Draw(t, "by")
	return p.Collect(by, rapid.Bool().Draw(t, "assigned"))
}

func settles(t *rapid.T, p payment.Payment) ([]domain.Event, error) {
	return p.SettleRefund(drawRefund(t, p), "re_1")
}

func refuses(t *rapid.T, p payment.Payment) ([]domain.Event, error) {
	return p.FailRefund(drawRefund(t, p), "account closed")
}

func (m *till) cancelOrder(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "wait") > 0 {
		return // most orders live for a while
	}
	for i, p := range m.payments {
		if p.ID.String() == m.order.PaymentID {
			events, err := p.OrderCancelled("late")
			m.record(t, i, events, err)
		}
	}
	if events, err := m.order.Cancel(order.Cancel{By: admin, Reason: "late"}); err == nil {
		m.applyOrder(events)
	}
}

// drawAmount draws what is wrong, what is small, and what is just all or too much.
func (m *till) drawAmount(t *rapid.T) int64 {
	total := m.order.TotalAmount
	return rapid.OneOf(
		rapid.SampledFrom([]int64{-1, 0, total, total + 1, total - 1}), rapid.Int64Range(1, max(1, total/2)), rapid.Int64(),
	).Draw(t, "amount")
}

func drawRefund(t *rapid.T, p payment.Payment) string {
	if len(p.Refunds) == 0 {
		return "r0"
	}
	return rapid.SampledFrom(p.Refunds).Draw(t, "refund").ID
}

func (m *till) record(t *rapid.T, i int, events []domain.Event, err error) {
	if err != nil {
		mustRefuse(t, events, err)
		return
	}
	m.apply(t, i, events)
	if len(events) == 0 {
		return
	}
	p := m.payments[i]
	if _, captured := events[0].(payment.Captured); captured && p.Live() {
		m.applyOrder(m.order.ReopenPayment(p.ID))
	}
	if !p.Live() {
		m.applyOrder(m.order.ClosePayment(p.ID))
	}
}

func mustRefuse(t *rapid.T, events []domain.Event, err error) {
	if len(events) > 0 || domain.CodeOf(err) == domain.CodeInternal {
		t.Fatalf("refused with %v and events %+v", err, events)
	}
}

func (m *till) apply(t *rapid.T, i int, events []domain.Event) {
	for _, e := range events {
		if err := domaintest.RoundTrip(e); err != nil {
			t.Fatal(err)
		}
		m.payments[i] = m.payments[i].Apply(e, domaintest.At)
		m.log[i] = append(m.log[i], e)
		// It holds after every event, not only after every command, but for what a command still has to say.
		m.checkMoney(t, m.payments[i])
	}
}

func (m *till) applyOrder(events []domain.Event) {
	m.order = domaintest.Fold(m.order, events...)
}

func (m *till) checkMoney(t *rapid.T, p payment.Payment) {
	if p.Captured != 0 && p.Captured != p.Amount || p.Amount != m.order.TotalAmount {
		t.Fatalf("captured %d of %d, of an order that costs %d", p.Captured, p.Amount, m.order.TotalAmount)
	}
	if p.Refunded < 0 || p.RefundDue < 0 || p.RefundDue > p.Captured-p.Refunded {
		t.Fatalf("captured %d, refunded %d, due %d", p.Captured, p.Refunded, p.RefundDue)
	}
	var counted int64
	seen := map[string]bool{}
	for _, r := range p.Refunds {
		if seen[r.ID] || r.Amount <= 0 {
			t.Fatalf("refunds %+v", p.Refunds)
		}
		seen[r.ID] = true
		if r.Status == payment.RefundRequested || r.Status == payment.RefundDone {
			counted += r.Amount
		}
	}
	if counted != p.Refunded {
		t.Fatalf("refunds %+v make %d; the state says %d", p.Refunds, counted, p.Refunded)
	}
	if want := statusOf(p); want != "" && p.Status != want {
		t.Fatalf("%s, with %d captured and %d refunded", p.Status, p.Captured, p.Refunded)
	}
}

// statusOf is the status that the money allows, empty when there was none.
func statusOf(p payment.Payment) payment.Status {
	switch {
	case p.Captured == 0:
		return ""
	case p.Refunded == 0:
		return payment.StatusCaptured
	case p.Refunded < p.Captured:
		return payment.StatusPartiallyRefunded
	}
	return payment.StatusRefunded
}

// check holds after every command.
func (m *till) check(t *rapid.T) {
	var kept int64
	for i, p := range m.payments {
		m.checkMoney(t, p)
		kept += p.Captured - p.Refunded - p.RefundDue
		for _, r := range p.Refunds {
			if r.Status == payment.RefundReportedEarly && p.Captured > 0 {
				t.Fatalf("refund %+v is not counted, and the payment is captured", r)
			}
		}
		if m.order.Status == order.StatusCancelled {
			if p.Captured != p.Refunded+p.RefundDue || p.Status == payment.StatusPending {
				t.Fatalf("the order is cancelled, and its payment is %+v", p)
			}
		} else if holds := m.order.PaymentID == p.ID.String(); holds != p.Live() {
			t.Fatalf("the order holds payment %q; live is %v of %+v", m.order.PaymentID, p.Live(), p)
		}
		if again := domaintest.Fold(payment.Payment{}, m.log[i]...); !reflect.DeepEqual(again, p) {
			t.Fatalf("folding the log gives %+v\nthe state is %+v", again, p)
		}
		// The state is kept as JSON by the read model and must survive it.
		doc, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back payment.Payment
		if err := json.Unmarshal(doc, &back); err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("as JSON the state is %+v, %v\nit was %+v", back, err, p)
		}
	}
	if kept > m.order.TotalAmount {
		t.Fatalf("the customer paid %d for an order of %d", kept, m.order.TotalAmount)
	}
}

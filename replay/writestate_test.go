package replay

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

func TestAStateIsWrittenForPeople(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("0190b5a0-0000-7000-8000-000000000001")
	at := time.Date(2026, 11, 23, 19, 30, 0, 5_000_000, time.FixedZone("", 3600))
	full := State{Seq: 17, At: at, Order: order.Order{
		ID: id, OrderNumber: "ORD-000001", Status: order.StatusCancelled, CustomerID: "carl", CustomerName: "Carl",
		Items:    []order.Item{{Name: "Margherita", Quantity: 2, Total: 1900}, {Name: "Water\x1b[2J\nand ice", Quantity: 1, Total: 5}},
		Subtotal: 1905, Discount: 105, TotalAmount: 1800, Currency: "EUR", OfferCode: "AUTUMN",
		DeliveryAddress: "Via Roma 1", Note: "ring\ttwice", AgentID: "dora", CancelReason: "too late",
	}, Payments: []payment.Payment{
		{Amount: 1800, Currency: "EUR", Method: payment.MethodCard, Status: payment.StatusFailed, FailureReason: "declined"},
		{
			Amount: 1800, Currency: "EUR", Method: payment.MethodCash, Status: payment.StatusPartiallyRefunded,
			Captured: 1800, Refunded: 500, RefundDue: 1300, Refunds: []payment.Refund{{Amount: 500, Reason: "cold", Status: payment.RefundDone}},
		},
	}}
	for name, tc := range map[string]struct {
		state State
		want  string
	}{
		"all there is": {full, `
ORD-000001 after seq 17, 2026-11-23 18:30:00.005 (UTC)
  order      0190b5a0-0000-7000-8000-000000000001
  status     cancelled
  cancelled  too late
  customer   Carl (carl)
  address    Via Roma 1
  note       ring twice
  courier    dora
  item       2 × Margherita for 19.00 EUR
  item       1 × Water` + "\ufffd" + `[2J and ice for 0.05 EUR
  total      18.00 EUR, 1.05 EUR off with offer AUTUMN
  payment    18.00 EUR by card: failed: declined
  payment    18.00 EUR in cash: partially refunded, 18.00 EUR received, 5.00 EUR given back, 13.00 EUR to be given back
  refund     5.00 EUR, done: cold
`},
		"little": {State{Seq: 1, At: at, Order: order.Order{
			ID: id, OrderNumber: "ORD-000001", Status: order.StatusPlaced, CustomerID: "carl", TotalAmount: 950, Currency: "JPY",
		}}, `
ORD-000001 after seq 1, 2026-11-23 18:30:00.005 (UTC)
  order      0190b5a0-0000-7000-8000-000000000001
  status     placed
  customer   carl
  total      950 JPY
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := WriteState(&out, tc.state); err != nil || out.String() != tc.want[1:] {
				t.Errorf("%v, wrote\n%s\nwant\n%s", err, out.String(), tc.want[1:])
			}
		})
	}
	if err := WriteState(nobodyReads{}, full); err == nil {
		t.Error("a closed output is no error")
	}
}

// nobodyReads is an output that nobody reads any more.
type nobodyReads struct{}

func (nobodyReads) Write([]byte) (int, error) { return 0, errors.New("closed") }

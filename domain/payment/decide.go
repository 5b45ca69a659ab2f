package payment

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
)

const maxReason = 500 // characters

// Methods returns the methods of the wire.
func Methods() []Method { return []Method{MethodCash, MethodCard, MethodUPI, MethodWallet} }

// ParseMethod returns the method named s, or an invalid_request that lists them.
func ParseMethod(s string) (Method, error) {
	if m := Method(s); slices.Contains(Methods(), m) {
		return m, nil
	}
	names := make([]string, 0, len(Methods()))
	for _, m := range Methods() {
		names = append(names, string(m))
	}
	return "", domain.Invalid("method", "must be one of %s", strings.Join(names, ", "))
}

// Refundable is what can still be given back, in minor units: what came in less what went out.
func (p Payment) Refundable() int64 { return p.Captured - p.Refunded }

// Live says whether a payment holds its order, so that no other is started: its money is still expected, or has come
// in and neither was nor has to be given back whole.
func (p Payment) Live() bool {
	return p.Status == StatusPending || p.Captured > p.Refunded+p.RefundDue
}

// Start asks for a new payment of an order.
type Start struct {
	PaymentID   uuid.UUID
	Order       order.Order
	Method      string
	Reference   string // the provider's name for it; ignored for cash, as is CheckoutURL
	CheckoutURL string
}

// Start decides on a new payment of the whole order; the state must be that of none. That no other is live is the
// order's decision, see [order.Order.OpenPayment].
func (p Payment) Start(cmd Start) ([]domain.Event, error) {
	if p.Version > 0 {
		return nil, domain.Errorf(domain.CodeVersionConflict, "payment %s exists already: start a new one", p.ID)
	}
	method, err := ParseMethod(cmd.Method)
	if err != nil {
		return nil, err
	}
	if err := cmd.Order.CheckPayable(); err != nil {
		return nil, err
	}
	if method == MethodCash {
		cmd.Reference, cmd.CheckoutURL = "", ""
	}
	return []domain.Event{Started{
		Of: Of{
			PaymentID: cmd.PaymentID, OrderID: cmd.Order.ID, OrderNumber: cmd.Order.OrderNumber,
			CustomerID: cmd.Order.CustomerID, Method: method, Currency: cmd.Order.Currency,
		},
		Amount: cmd.Order.TotalAmount, Reference: cmd.Reference, CheckoutURL: cmd.CheckoutURL,
	}}, nil
}

// Collect decides whether cash came in. Admins may say so, and the courier to whom the order is assigned.
func (p Payment) Collect(by domain.Actor, assigned bool) ([]domain.Event, error) {
	if err := p.checkExists(); err != nil {
		return nil, err
	}
	if by.Role != domain.RoleAdmin && (by.Role != domain.RoleDelivery || !assigned) {
		return nil, domain.Errorf(domain.CodeForbidden, "only an admin or the courier to whom the order is assigned may collect cash: ask one of them to")
	}
	if p.Method != MethodCash {
		return nil, p.refuseStep(StatusCaptured, "it is paid by "+string(p.Method)+": wait for the provider to say that the money came in")
	}
	if p.Status != StatusPending {
		return nil, p.refuseStep(StatusCaptured, "only a pending payment is collected, start a new one if there is still something to pay")
	}
	return []domain.Event{Captured{Of: p.of(), Amount: p.Amount, CollectedBy: by.UserID}}, nil
}

// OrderCancelled decides what becomes of a payment whose order is cancelled: what was not paid is not to be paid any
// more, and what was is to be given back. It is no event when neither is so, or when all is due already.
func (p Payment) OrderCancelled(reason string) ([]domain.Event, error) {
	if err := p.checkExists(); err != nil {
		return nil, err
	}
	if p.Status == StatusPending {
		return []domain.Event{Voided{Of: p.of(), Reason: reason}}, nil
	}
	return p.due(reason), nil
}

// due is the event that all of what came in is to be given back, none when it is or was.
func (p Payment) due(reason string) []domain.Event {
	amount := p.Refundable() - p.RefundDue
	if amount <= 0 {
		return nil
	}
	return []domain.Event{RefundDue{Of: p.of(), Amount: amount, Reason: reason}}
}

func (p Payment) of() Of {
	return Of{
		PaymentID: p.ID, OrderID: p.OrderID, OrderNumber: p.OrderNumber,
		CustomerID: p.CustomerID, Method: p.Method, Currency: p.Currency,
	}
}

func (p Payment) checkExists() error {
	if p.Version == 0 {
		return domain.Errorf(domain.CodeNotFound, "there is no such payment: look up those of the order")
	}
	return nil
}

// refuseStep says that a payment does not become to, and why. Nothing else can be reached in its place: what
// a payment is follows from what happened to the money.
func (p Payment) refuseStep(to Status, why string) error {
	return domain.Errorf(domain.CodeInvalidTransition, "payment %s is %s and does not become %s: %s", p.ID, p.Status, to, why).
		With("from", p.Status).With("to", to).With("allowed", []Status{})
}

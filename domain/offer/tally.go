package offer

import (
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// TallyStreamType is the type of a tally's stream in the log; see [TallyID].
const TallyStreamType = "offer_tally"

// Scope is whose uses a tally counts.
type Scope string

// The scopes.
const (
	ScopeAll      Scope = "all"
	ScopeCustomer Scope = "customer"
)

// Tally is the state of a tally: how often the offer was used, by whoever the tally is for. The newest event is
// enough to know it.
type Tally struct {
	Uses int64
}

// TallyID is the id of the stream of an offer's tally: of one customer, or, with an empty customerID, of all.
func TallyID(code, customerID string) uuid.UUID {
	return uuid.NewSHA1(StreamID(code), []byte(customerID))
}

// Apply returns the state after an event. An event of another kind changes nothing.
func (t Tally) Apply(e domain.Event, _ time.Time) Tally {
	switch e := e.(type) {
	case Counted:
		t.Uses = e.Uses
	case Returned:
		t.Uses = e.Uses
	}
	return t
}

// Count is the event that an order uses the offer. Whether one more use is left is the offer's decision.
func (t Tally) Count(code string, scope Scope, customerID string, orderID uuid.UUID) []domain.Event {
	return []domain.Event{Counted{
		Code: code, Scope: scope, CustomerID: customerID, OrderID: orderID, Uses: t.Uses + 1,
	}}
}

// Return is the event that an order which had used the offer was cancelled. It is none when no use is counted.
func (t Tally) Return(code string, scope Scope, customerID string, orderID uuid.UUID) []domain.Event {
	if t.Uses <= 0 {
		return nil
	}
	return []domain.Event{Returned{
		Code: code, Scope: scope, CustomerID: customerID, OrderID: orderID, Uses: t.Uses - 1,
	}}
}

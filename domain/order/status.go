package order

import "github.com/orderlog/orderlog/domain"

// Status is where an order is in its life.
type Status string

// The life of an order. Delivered and cancelled are final.
const (
	StatusPlaced         Status = "placed"
	StatusConfirmed      Status = "confirmed"
	StatusPreparing      Status = "preparing"
	StatusReady          Status = "ready"
	StatusOutForDelivery Status = "out_for_delivery"
	StatusDelivered      Status = "delivered"
	StatusCancelled      Status = "cancelled"
)

// step is the way on from a status, and what the customer is told when it is taken and
// nobody wrote a message.
type step struct {
	to      Status
	message string
}

var steps = map[Status]step{
	StatusPlaced:         {StatusConfirmed, "Your order has been confirmed"},
	StatusConfirmed:      {StatusPreparing, "Your order is being prepared"},
	StatusPreparing:      {StatusReady, "Your order is ready"},
	StatusReady:          {StatusOutForDelivery, "Your order is out for delivery"},
	StatusOutForDelivery: {StatusDelivered, "Your order has been delivered"},
}

// ParseStatus returns the status named s, or an invalid_request that lists them.
func ParseStatus(s string) (Status, error) {
	switch st := Status(s); st {
	case StatusPlaced, StatusConfirmed, StatusPreparing, StatusReady,
		StatusOutForDelivery, StatusDelivered, StatusCancelled:
		return st, nil
	}
	return "", domain.Invalid("status",
		"must be one of confirmed, preparing, ready, out_for_delivery, delivered")
}

// Next returns the statuses an order may be moved to from s, none when s is final.
// Cancelling is asked for on its own.
func (s Status) Next() []Status {
	if st, ok := steps[s]; ok {
		return []Status{st.to}
	}
	return []Status{}
}

// Final says whether an order stays in s for ever.
func (s Status) Final() bool { return s == StatusDelivered || s == StatusCancelled }

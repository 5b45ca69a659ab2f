package business

import "github.com/orderlog/orderlog/domain"

// Opened says that the business takes orders from now on.
type Opened struct {
	BusinessName string `json:"businessName"`
	Message      string `json:"message"`
}

// Closed says that the business takes no orders from now on.
type Closed struct {
	BusinessName string `json:"businessName"`
	Message      string `json:"message"`
}

// EventType is "business.opened".
func (Opened) EventType() string { return "business.opened" }

// EventType is "business.closed".
func (Closed) EventType() string { return "business.closed" }

func init() {
	domain.Register[Opened](1)
	domain.Register[Closed](1)
}

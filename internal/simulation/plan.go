package simulation

import "math/rand/v2"

// plan is what is to become of one order. The seed decides it, whatever the server does.
type plan struct {
	customer int
	lines    []line
	note     string
	offer    bool   // the customer has a code
	asks     bool   // and asks first what it is worth
	method   string // of payment
	payment  payPlan
	twice    bool // the provider sends what it says twice
	follows  bool // the customer watches the order
	tracks   bool // and the courier, on a map
	watched  bool // an admin opens the order
	moves    bool // it is given to another courier before it leaves
	cashLast bool // cash is taken after the door was closed, not before
	cancelAt string
	refund   refundPlan
	reads    bool // the customer looks into the inbox
	rests    bool // the courier has a break afterwards
}

type line struct {
	dish     int
	quantity int
}

// payPlan is how an online payment goes.
type payPlan int

const (
	payWorks  payPlan = iota
	payFails          // first, and works the second time
	payBroken         // never works, and the customer gives up
	payLate           // works when the order is cancelled already
)

// refundPlan is what is given back after the delivery.
type refundPlan int

const (
	refundNone refundPlan = iota
	refundPart            // an admin is sorry
	refundAll
	refundByProvider // a charge back
)

// planOrder decides an order. Half of the evening's orders are as ordinary as can be.
func planOrder(rng *rand.Rand, customers, dishes int) plan {
	chance := func(percent int) bool { return rng.IntN(100) < percent }
	p := plan{
		customer: rng.IntN(customers),
		offer:    chance(30), asks: chance(50),
		method:  []string{"cod", "cod", "card", "card", "upi", "wallet"}[rng.IntN(6)],
		twice:   chance(20),
		follows: chance(50), tracks: chance(40), watched: chance(8), moves: chance(8), cashLast: chance(50),
		reads: chance(30), rests: chance(6),
	}
	for range 1 + rng.IntN(4) {
		p.lines = append(p.lines, line{rng.IntN(dishes), 1 + rng.IntN(3)})
	}
	if chance(25) {
		p.note = []string{"Extra spicy", "No onions, please", "Ring twice", "Second floor, left"}[rng.IntN(4)]
	}
	online := p.method != "cod"
	switch n := rng.IntN(100); {
	case n < 6:
		p.cancelAt = "placed"
	case n < 10:
		p.cancelAt = "confirmed"
	case n < 13:
		p.cancelAt = "preparing"
	case n < 15:
		p.cancelAt = "ready"
	case n < 17:
		p.cancelAt = "out_for_delivery"
	}
	switch n := rng.IntN(100); {
	case !online:
	case n < 12:
		p.payment = payFails
	case n < 16:
		p.payment, p.cancelAt = payBroken, "placed"
	case n < 20:
		p.payment, p.cancelAt = payLate, "placed"
	}
	switch n := rng.IntN(100); {
	case n < 6:
		p.refund = refundPart
	case n < 8:
		p.refund = refundAll
	case n < 10 && online:
		p.refund = refundByProvider
	}
	return p
}

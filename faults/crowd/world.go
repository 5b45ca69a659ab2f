package crowd

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/orderlog/orderlog/domain"
)

// world is what the users know, from the answers that they got. It may be behind what is true, and is not used to judge.
type world struct {
	admins    []*user
	couriers  []*courier
	customers []*user

	mu       sync.Mutex
	open     bool
	seq      int64 // the newest that anybody was answered
	products []string
	orders   []*order
	offers   []*offer
	entries  []entry // of inboxes, not read yet
}

// order is what is known of one.
type order struct {
	id       string
	customer *user
	status   string
	agent    *courier // nil: none
	payment  *payment // the newest; nil: none
	total    int64
	busy     bool // somebody is at it
}

func (o *order) over() bool { return o.status == "delivered" || o.status == "cancelled" }

type payment struct {
	id         string
	order      *order
	method     string
	status     string
	amount     int64
	refundable int64
}

type courier struct {
	*user
	status string // as the courier chose it
	order  *order // that it carries; nil: none
	busy   bool   // somebody is at it
}

type offer struct {
	code      string
	left      int64 // uses, as far as is known
	withdrawn bool
}

type entry struct {
	id    string
	owner *user
}

// newWorld makes the people for so many devices: some admins, a fifth couriers, the rest customers. Some have two.
func newWorld(devices int, rng *rand.Rand) *world {
	w := &world{}
	person := func(kind string, n int, role domain.Role) *user {
		return &user{id: fmt.Sprintf("%s-%d", kind, n), name: fmt.Sprintf("%s %s", kind, names[rng.IntN(len(names))]), role: role}
	}
	for n := range max(2, devices/40) {
		w.admins = append(w.admins, person("admin", n+1, domain.RoleAdmin))
	}
	for n := range max(3, devices/5) {
		w.couriers = append(w.couriers, &courier{user: person("courier", n+1, domain.RoleDelivery), status: "offline"})
	}
	for n := range max(4, devices*6/10) {
		w.customers = append(w.customers, person("customer", n+1, domain.RoleCustomer))
	}
	return w
}

var names = []string{"Ann", "Bo", "Cleo", "Dan", "Eve", "Finn", "Gita", "Hugo", "Ida", "José", "Kim", "Łucja", "Mai", "Nils", "Ö."}

// fit is one of those that a condition holds for; nil: none. mu is held.
func fit[T any](all []T, which uint64, holds func(T) bool) (found T, ok bool) {
	var fits []T
	for _, one := range all {
		if holds(one) {
			fits = append(fits, one)
		}
	}
	if len(fits) == 0 {
		return found, false
	}
	return fits[which%uint64(len(fits))], true
}

// keep bounds what is remembered: nobody looks at old orders any more. mu is held.
func (w *world) keep() {
	const orders, live = 1200, 250
	if len(w.orders) < orders {
		return
	}
	kept := w.orders[:0]
	for i, o := range w.orders {
		if !o.over() || o.busy || i >= len(w.orders)-live {
			kept = append(kept, o)
		}
	}
	clear(w.orders[len(kept):])
	w.orders = kept
}

// live is how many orders are not at their end. mu is held.
func (w *world) live() (n int) {
	for _, o := range w.orders {
		if !o.over() {
			n++
		}
	}
	return n
}

// sees notes how far an answer was.
func (w *world) sees(seq int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq = max(w.seq, seq)
}

// orderBody is what of an order's answer counts here.
type orderBody struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	TotalAmount int64  `json:"totalAmount"`
	AgentID     string `json:"agentId"`
	PaymentID   string `json:"paymentId"`
}

// learn takes in how an order is. mu is held.
func (w *world) learn(o *order, b orderBody) {
	o.status, o.total = b.Status, b.TotalAmount
	if o.agent != nil && (o.agent.id != b.AgentID || o.over()) {
		if o.agent.order == o {
			o.agent.order = nil
		}
		o.agent = nil
	}
	if b.AgentID == "" || o.over() {
		return
	}
	for _, c := range w.couriers {
		if c.id == b.AgentID {
			o.agent, c.order = c, o
		}
	}
}

// paymentBody is what of a payment's answer counts here.
type paymentBody struct {
	ID       string `json:"id"`
	Method   string `json:"method"`
	Status   string `json:"status"`
	Amount   int64  `json:"amount"`
	Captured int64  `json:"captured"`
	Refunded int64  `json:"refunded"`
}

// learn takes in how a payment is. The world's mu is held.
func (p *payment) learn(b paymentBody) {
	p.method, p.status, p.amount, p.refundable = b.Method, b.Status, b.Amount, b.Captured-b.Refunded
}

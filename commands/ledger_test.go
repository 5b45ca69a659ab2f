package commands_test

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

// ledger is what the log says happened.
type ledger struct {
	orders   map[uuid.UUID]order.Order
	payments map[uuid.UUID]payment.Payment
	couriers map[string]courier.Courier
	uses     map[used]int64
}

// read folds a log, and complains of an order that leaves a final state.
func read(log []eventstore.Recorded) (*ledger, error) {
	l := &ledger{map[uuid.UUID]order.Order{}, map[uuid.UUID]payment.Payment{}, map[string]courier.Courier{}, map[used]int64{}}
	for _, r := range log {
		e, err := domain.Decode(r.Type, r.Data)
		if err != nil {
			return nil, err
		}
		switch r.Stream.Type {
		case order.StreamType:
			before := l.orders[r.Stream.ID]
			after := before.Apply(e, r.RecordedAt)
			final := before.Status == order.StatusDelivered || before.Status == order.StatusCancelled
			if final && (after.Status != before.Status || after.AgentID != before.AgentID) {
				return nil, fmt.Errorf("seq %d takes an order that is %s to %s, courier %q to %q", r.Seq, before.Status, after.Status, before.AgentID, after.AgentID)
			}
			l.orders[r.Stream.ID] = after
		case payment.StreamType:
			l.payments[r.Stream.ID] = l.payments[r.Stream.ID].Apply(e, r.RecordedAt)
		case courier.StreamType:
			for _, name := range townCouriers {
				if courier.StreamID(name) == r.Stream.ID {
					l.couriers[name] = l.couriers[name].Apply(e, r.RecordedAt)
				}
			}
		case offer.TallyStreamType:
			switch e := e.(type) {
			case offer.Counted:
				l.count(e.Scope, e.Code, e.CustomerID, e.Uses)
			case offer.Returned:
				l.count(e.Scope, e.Code, e.CustomerID, e.Uses)
			}
		}
	}
	return l, nil
}

func (l *ledger) count(scope offer.Scope, code, customer string, uses int64) {
	if scope == offer.ScopeAll {
		customer = ""
	}
	l.uses[used{code, customer}] = uses
}

// used is an offer, and who used it: "" is all.
type used struct{ code, customer string }

// check says what of a ledger cannot be.
func (l *ledger) check() error {
	keptOf := map[uuid.UUID]int{} // payments an order that count for something
	for id, p := range l.payments {
		if p.Refunded < 0 || p.RefundDue < 0 || p.Captured < 0 || p.Captured > p.Amount || p.Refunded+p.RefundDue > p.Captured {
			return fmt.Errorf("payment %s: captured %d of %d, refunded %d, due %d", id, p.Captured, p.Amount, p.Refunded, p.RefundDue)
		}
		kept := p.Captured - p.Refunded - p.RefundDue
		if l.orders[p.OrderID].Status == order.StatusCancelled && (kept != 0 || p.Status == payment.StatusPending) {
			return fmt.Errorf("payment %s of a cancelled order is %s, and %d of it is neither refunded nor due", id, p.Status, kept)
		}
		if kept > 0 || p.Status == payment.StatusPending {
			keptOf[p.OrderID]++
		}
	}
	for id, n := range keptOf {
		if n > 1 {
			return fmt.Errorf("order %s has %d live payments", id, n)
		}
	}
	carries := map[string]uuid.UUID{}
	counted := map[used]int64{}
	for id, o := range l.orders {
		if o.TotalAmount != o.Subtotal-o.Discount || o.Discount < 0 || o.Discount > o.Subtotal {
			return fmt.Errorf("order %s: subtotal %d, discount %d, total %d", id, o.Subtotal, o.Discount, o.TotalAmount)
		}
		if o.OfferCode != "" && o.Status != order.StatusCancelled {
			counted[used{o.OfferCode, ""}]++
			counted[used{o.OfferCode, o.CustomerID}]++
		}
		if o.AgentID == "" || o.Status.Final() {
			continue
		}
		if other, taken := carries[o.AgentID]; taken {
			return fmt.Errorf("%s carries the orders %s and %s", o.AgentID, other, id)
		}
		carries[o.AgentID] = id
	}
	for name, c := range l.couriers {
		id, carrying := carries[name]
		if carrying != (c.CurrentOrder != nil) || (carrying && *c.CurrentOrder != id) {
			return fmt.Errorf("%s carries %v, the orders say %v", name, c.CurrentOrder, id)
		}
	}
	for u, n := range counted {
		if most := map[bool]int64{true: offerUses, false: offerPerOne}[u.customer == ""]; u.code == "TENTH" && n > most {
			return fmt.Errorf("%d orders of %q use the offer, at most %d may", n, u.customer, most)
		}
	}
	for u, n := range l.uses {
		if counted[u] != n {
			return fmt.Errorf("offer %s was used by %q %d times, the tally says %d", u.code, u.customer, counted[u], n)
		}
	}
	return nil
}

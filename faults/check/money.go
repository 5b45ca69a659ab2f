package check

import "time"

// moneyRule: of each payment, what came in is what was given back and what is kept; of each order, no more is kept than
// it costs, there is at most one live payment, and nothing is kept when it was cancelled.
type moneyRule struct {
	f       *findings
	refunds map[[2]string]int64 // the seq of each refund, by payment and id
	// Within a commit the books need not balance yet.
	at      time.Time
	touched map[string]int64 // orders, and the seq that touched them
}

func newMoneyRule(f *findings) *moneyRule {
	return &moneyRule{f: f, refunds: map[[2]string]int64{}, touched: map[string]int64{}}
}

func (r *moneyRule) event(e *event, w *world) {
	if !e.at.Equal(r.at) {
		r.balance(w)
		r.at = e.at
	}
	b := &e.body
	switch e.typ {
	case paymentOpened:
		r.f.look(ruleMoney)
		if o := w.orders[b.OrderID]; o != nil && o.payment != "" {
			r.f.add(ruleMoney, "order %s has payment %s at seq %d, and %s is live", b.OrderID, b.PaymentID, e.seq, o.payment)
		}
		r.touched[b.OrderID] = e.seq
	case paymentStarted:
		r.touched[b.OrderID] = e.seq
		if o := w.orders[b.OrderID]; o == nil || o.total != b.Amount {
			r.f.add(ruleMoney, "payment %s of order %s asks for %d at seq %d, which is not the order's total", b.PaymentID, b.OrderID, b.Amount, e.seq)
		}
	case paymentCaptured:
		r.touched[b.OrderID] = e.seq
		if p := w.payments[b.PaymentID]; p == nil || p.captured > 0 || b.Amount != p.amount {
			r.f.add(ruleMoney, "%d come in for payment %s at seq %d, which came in before or asks for something else", b.Amount, b.PaymentID, e.seq)
		}
	case paymentRefunded:
		r.refunded(e, w)
	case paymentDue, refundFailed, orderCancelled:
		r.touched[b.OrderID] = e.seq
	}
}

func (r *moneyRule) refunded(e *event, w *world) {
	b := &e.body
	r.f.look(ruleMoney)
	r.touched[b.OrderID] = e.seq
	p := w.payments[b.PaymentID]
	if p == nil || b.Amount <= 0 || p.refunded+b.Amount > p.captured {
		r.f.add(ruleMoney, "%d are given back of payment %s at seq %d, more than came in and was not given back", b.Amount, b.PaymentID, e.seq)
		return
	}
	if _, counted := p.refunds[b.RefundID]; counted {
		r.f.add(ruleMoney, "refund %s of payment %s is given back a second time at seq %d", b.RefundID, b.PaymentID, e.seq)
	}
}

// balance looks at the orders that the last commit touched.
func (r *moneyRule) balance(w *world) {
	for id, seq := range r.touched {
		o := w.orders[id]
		if o == nil {
			continue
		}
		r.f.look(ruleMoney)
		var kept int64
		for _, pid := range o.payments {
			p := w.payments[pid]
			if p.refundDue < 0 || p.kept() < 0 {
				r.f.add(ruleMoney, "payment %s after seq %d: %d came in, %d are given back and %d are due", pid, seq, p.captured, p.refunded, p.refundDue)
			}
			kept += p.kept()
			if o.status == "cancelled" && (p.kept() > 0 || p.status() == "pending") {
				r.f.add(ruleMoney, "order %s is cancelled after seq %d, and payment %s is %s and keeps %d", id, seq, pid, p.status(), p.kept())
			}
		}
		if kept > o.total {
			r.f.add(ruleMoney, "order %s of %d keeps %d after seq %d", id, o.total, kept, seq)
		}
	}
	clear(r.touched)
}

func (r *moneyRule) end(w *world) { r.balance(w) }

// offerRule: no offer is used more often than its terms let it at that moment, each order that names one has counted a
// use of it in both tallies, and gives it back when it is cancelled.
type offerRule struct {
	f    *findings
	uses map[string]int // by the order: counted less returned, over both tallies
}

func newOfferRule(f *findings) *offerRule { return &offerRule{f: f, uses: map[string]int{}} }

func (r *offerRule) event(e *event, w *world) {
	if e.typ != offerUseCounted && e.typ != offerUseReturned {
		return
	}
	r.f.look(ruleOffers)
	b := &e.body
	o := w.offer(b.Code)
	uses, most := o.uses, o.maxUses
	if b.Scope != "all" {
		uses, most = o.usesOf[b.CustomerID], o.maxUsesPerUser
	}
	by := int64(1)
	if e.typ == offerUseReturned {
		by = -1
	}
	r.uses[b.OrderID] += int(by)
	if b.Uses != uses+by {
		r.f.add(ruleOffers, "offer %s is said to be used %d times (%s) at seq %d, it is %d", b.Code, b.Uses, b.Scope, e.seq, uses+by)
	}
	if by > 0 && most > 0 && uses+by > most {
		r.f.add(ruleOffers, "offer %s may be used %d times (%s %s), and is used %d times at seq %d", b.Code, most, b.Scope, b.CustomerID, uses+by, e.seq)
	}
}

func (r *offerRule) end(w *world) {
	for id, o := range w.orders {
		want := 0
		if o.offer != "" && o.status != "cancelled" {
			want = 2 // of all and of the customer's
		}
		if r.uses[id] != want {
			r.f.add(ruleOffers, "order %s is %s with offer %q, and counts in %d tallies and not in %d", id, o.status, o.offer, r.uses[id], want)
		}
	}
}

// inboxRule: each change of an order and each outcome of a payment makes one entry for the customer.
type inboxRule struct {
	f      *findings
	due    map[string]cause // by the event's id
	before map[string]int64 // entries, by the event that caused them
}

type cause struct {
	seq      int64
	typ      string
	customer string
}

func newInboxRule(f *findings) *inboxRule {
	return &inboxRule{f: f, due: map[string]cause{}, before: map[string]int64{}}
}

func (r *inboxRule) event(e *event, _ *world) {
	switch e.typ {
	case orderPlaced, orderChanged, orderAssigned, orderCancelled, paymentCaptured, paymentFailed, paymentRefunded:
		r.due[e.id] = cause{e.seq, e.typ, e.body.CustomerID}
	case inboxEntered:
		if !e.reaction() {
			return
		}
		r.f.look(ruleInbox)
		c, known := r.due[e.meta.CausationID]
		first, again := r.before[e.meta.CausationID]
		switch {
		case again:
			r.f.add(ruleInbox, "event %s has an entry at seq %d and another at seq %d", e.meta.CausationID, first, e.seq)
		case !known:
			r.f.add(ruleInbox, "the entry at seq %d is because of %s, which is nothing to tell a customer of", e.seq, e.meta.CausationID)
		case c.customer != e.body.UserID:
			r.f.add(ruleInbox, "the entry at seq %d for %s is because of seq %d, which is of %s", e.seq, e.body.UserID, c.seq, c.customer)
		}
		r.before[e.meta.CausationID] = e.seq
		delete(r.due, e.meta.CausationID)
	}
}

func (r *inboxRule) end(*world) {
	for _, c := range r.due {
		r.f.add(ruleInbox, "seq %d (%s) has no entry in the inbox of %s", c.seq, c.typ, c.customer)
	}
}

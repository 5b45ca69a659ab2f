package check

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/orderlog/orderlog/faults/history"
)

// readRule: what users read is what the log says up to the seq that came with it, and is as new as they asked for.
type readRule struct {
	f     *findings
	reads []history.Read // by the seq they are true for
}

func newReadRule(h *history.History, f *findings) *readRule {
	r := &readRule{f: f}
	for _, read := range h.Reads() {
		found := read.Status == http.StatusOK
		if found || read.Status == http.StatusNotFound {
			r.reads = append(r.reads, read)
		}
		if (found || read.Status == http.StatusNotFound) && read.MinSeq > 0 {
			f.look(ruleMinSeq)
			if read.Seq < read.MinSeq {
				f.add(ruleMinSeq, "%s %s was read by %s from node %d at %s with min_seq %d, and the answer is of %d",
					read.What, read.Subject, read.User, read.Node, read.Ended, read.MinSeq, read.Seq)
			}
		}
	}
	slices.SortStableFunc(r.reads, func(a, b history.Read) int { return cmp.Compare(a.Seq, b.Seq) })
	return r
}

func (r *readRule) event(e *event, w *world) { r.upTo(e.seq, w) }

func (r *readRule) end(w *world) {
	r.upTo(w.seq+1, w)
	for _, read := range r.reads {
		r.f.add(ruleReads, "%s %s was read with X-Seq %d, which the log has not reached", read.What, read.Subject, read.Seq)
	}
}

// upTo looks at the reads that are of a time before seq.
func (r *readRule) upTo(seq int64, w *world) {
	for len(r.reads) > 0 && r.reads[0].Seq < seq {
		read := r.reads[0]
		r.reads = r.reads[1:]
		if read.Status == http.StatusNotFound && read.Seq == 0 {
			continue // it does not say what it is true for
		}
		r.f.look(ruleReads)
		body := read.Body
		if read.Status == http.StatusNotFound {
			body = nil
		}
		compare(w, read.What, read.Subject, body, func(field string, got, want any) {
			r.f.add(ruleReads, "%s %s was read by %s from node %d at %s: after seq %d its %s is %v and not %v",
				read.What, read.Subject, read.User, read.Node, read.Ended, read.Seq, field, want, got)
		})
	}
}

// compare holds a document of a read model against the world.
func compare(w *world, what, subject string, doc json.RawMessage, differs func(field string, got, want any)) {
	want, exists, known := w.document(what, subject)
	if !known {
		differs("kind", what, "one that the checker knows")
		return
	}
	if exists != (doc != nil) {
		differs("being there", doc != nil, exists)
		return
	}
	if !exists {
		return
	}
	var got map[string]any
	if err := json.Unmarshal(doc, &got); err != nil {
		differs("form", err, "an object")
		return
	}
	for field, value := range want {
		if !same(value, got[field]) {
			differs(field, got[field], value)
		}
	}
}

// document is what the fields of a read model have to be that the world knows.
func (w *world) document(what, subject string) (fields map[string]any, exists, known bool) {
	switch what {
	case "order":
		o := w.orders[subject]
		if o == nil || o.status == "" {
			return nil, false, true
		}
		return map[string]any{
			"orderNumber": o.number, "customerId": o.customer, "agentId": o.agent, "status": o.status, "paymentId": o.payment,
			"subtotal": o.subtotal, "discount": o.discount, "totalAmount": o.total, "offerCode": o.offer,
		}, true, true
	case "payment":
		p := w.payments[subject]
		if p == nil {
			return nil, false, true
		}
		return map[string]any{
			"orderId": p.order, "status": p.status(), "amount": p.amount, "captured": p.captured, "refunded": p.refunded, "refundDue": p.refundDue,
		}, true, true
	case "courier":
		c := w.couriers[subject]
		if c == nil || c.status == "" {
			return nil, false, true
		}
		order := any(nil)
		if c.order != "" {
			order = c.order
		}
		return map[string]any{"status": c.status, "currentOrder": order}, true, true
	case "offer":
		o := w.offers[offerKey(subject)]
		if o == nil || o.code == "" {
			return nil, false, true
		}
		return map[string]any{
			"code": o.code, "description": o.description, "discountValue": o.discountValue, "maxUses": o.maxUses,
			"withdrawn": o.withdrawn, "uses": o.uses,
		}, true, true
	}
	return nil, false, false
}

// viewRule: at the end the read models' tables are what the log says.
type viewRule struct {
	f    *findings
	rows []viewRow
}

type viewRow struct {
	what, subject string
	doc           json.RawMessage
}

func newViewRule(f *findings) *viewRule { return &viewRule{f: f} }

func (r *viewRule) add(row viewRow) { r.rows = append(r.rows, row) }

func (r *viewRule) event(*event, *world) {}

func (r *viewRule) end(w *world) {
	seen := map[string]int{}
	for _, row := range r.rows {
		r.f.look(ruleViews)
		seen[row.what]++
		compare(w, row.what, row.subject, row.doc, func(field string, got, want any) {
			r.f.add(ruleViews, "%s %s in the read model has %s %v, by the log it is %v", row.what, row.subject, field, got, want)
		})
	}
	orders := 0
	for _, o := range w.orders {
		if o.status != "" {
			orders++
		}
	}
	for what, n := range map[string]int{"order": orders, "payment": len(w.payments)} {
		if seen[what] != n {
			r.f.add(ruleViews, "the read model has %d of %s, and the log %d", seen[what], what, n)
		}
	}
}

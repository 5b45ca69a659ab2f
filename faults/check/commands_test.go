package check

import (
	"testing"

	"github.com/orderlog/orderlog/faults/history"
)

// Whatever it is that came of a command, it came once.
func TestAWebhookIsNotCountedTwice(t *testing.T) {
	t.Parallel()
	for _, typ := range kinds["payment.webhook"].makes {
		h, f := history.New(1), newFindings()
		h.AddCommand(&history.Command{ID: id(1), Name: "payment.webhook", Subject: payment1, Attempts: []history.Attempt{{}}})
		r := newCommandRule(h, f)
		for seq := range int64(2) {
			r.event(&event{seq: seq + 1, typ: typ, meta: meta{CorrelationID: id(1)}, body: body{PaymentID: payment1}}, newWorld())
		}
		if r.end(newWorld()); len(f.told()) != 1 || f.told()[0].Rule != ruleOnce {
			t.Errorf("two of %s: %v", typ, f.told())
		}
	}
}

// The refunds that the provider tells of before the capture come in with it, each once.
func TestACaptureBringsTheRefundsBeforeIt(t *testing.T) {
	t.Parallel()
	for second, violations := range map[string]int{"re_2": 0, "re_1": 1} {
		h, f := history.New(1), newFindings()
		h.AddCommand(&history.Command{ID: id(1), Name: "payment.webhook", Subject: payment1, Attempts: []history.Attempt{{}}})
		r := newCommandRule(h, f)
		for i, e := range []event{
			{typ: paymentCaptured}, {typ: paymentRefunded, body: body{RefundID: "re_1"}}, {typ: paymentRefunded, body: body{RefundID: second}},
		} {
			e.seq, e.meta.CorrelationID, e.body.PaymentID = int64(i+1), id(1), payment1
			r.event(&e, newWorld())
		}
		if r.end(newWorld()); len(f.told()) != violations {
			t.Errorf("with %s: %v", second, f.told())
		}
	}
}

package plant

import "github.com/orderlog/orderlog/faults/patch"

// ofRules are mistakes in what is decided.
var ofRules = []Plant{
	{
		Name: "refund-twice", Rule: "money",
		What: "a refund is given back twice",
		Patches: []patch.Patch{{
			File: "domain/payment/refund.go",
			Old:  "	return []domain.Event{Refunded{Of: p.of(), RefundID: cmd.RefundID, Amount: amount, Reason: cmd.Reason}}, nil\n",
			New: "	refunded := Refunded{Of: p.of(), RefundID: cmd.RefundID, Amount: amount, Reason: cmd.Reason}\n" +
				"	return []domain.Event{refunded, refunded}, nil\n",
		}},
	},
	{
		Name: "courier-twice", Rule: "couriers",
		What: "a courier who carries an order is given another",
		Patches: []patch.Patch{{
			File: "domain/courier/decide.go",
			Old:  "	if c.Status != StatusOnline || c.CurrentOrder != nil {\n",
			New:  "	if c.Chosen != StatusOnline {\n",
		}},
	},
	{
		Name: "wrong-step", Rule: "steps",
		What: "an order skips steps when it is asked to",
		Patches: []patch.Patch{{
			File: "domain/order/progress.go",
			Old:  "	next, ok := steps[o.Status]\n	if !ok || next.to != to {\n",
			New:  "	next, ok := steps[o.Status]\n	if !ok {\n",
		}},
	},
}

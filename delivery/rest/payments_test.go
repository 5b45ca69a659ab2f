package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
)

func TestWhatPaymentCommandsAreAsked(t *testing.T) {
	t.Parallel()
	part := int64(250)
	cash := "/payments/" + cashID.String()
	commandsAre(t, []asked{
		{"POST", "/orders/" + orderID.String() + "/payments", "asha", `{"method":"upi"}`, commands.StartPayment{OrderID: orderID, Method: "upi"}},
		{"POST", cash + "/collect", "ravi", ``, commands.CollectPayment{PaymentID: cashID}},
		{"POST", cash + "/collect", "ravi", `{}`, commands.CollectPayment{PaymentID: cashID}},
		{"POST", cash + "/refund", "admin", `{"reason":"cold"}`, commands.RefundPayment{PaymentID: cashID, Reason: "cold"}},
		{"POST", cash + "/refund", "admin", `{"reason":"cold","amount":250}`, commands.RefundPayment{PaymentID: cashID, Amount: &part, Reason: "cold"}},
	})
}

func TestAPaymentIsFoundWhereItsAnswerSays(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	made := ask(t, h, "POST", prefix+"/orders/"+orderID.String()+"/payments", "asha", `{"method":"cod"}`, "Idempotency-Key: k")
	if made.status != 201 || made.header.Get("X-Seq") != "50" {
		t.Fatalf("got %d: %s", made.status, made.text)
	}
	read := ask(t, h, "GET", made.header.Get("Location"), "asha")
	if read.status != 200 || read.text != made.text || read.header.Get("X-Seq") != "42" {
		t.Errorf("got %d: %s, want %s", read.status, read.text, made.text)
	}
}

func TestPaymentRequestsThatAreNotValid(t *testing.T) {
	t.Parallel()
	start, refund := "/orders/"+orderID.String()+"/payments", "/payments/"+cardID.String()+"/refund"
	refusals(t, []invalid{
		{"POST", start, "asha", `{"method":"gold"}`, "body.method"},
		{"POST", start, "asha", `{"method":1}`, "body.method"},
		{"POST", start, "asha", `{}`, "body"},
		{"POST", start, "asha", ``, ""},
		{"POST", "/orders/7/payments", "asha", `{"method":"cod"}`, "path.id"},
		{"POST", "/payments/7/collect", "ravi", ``, "path.id"},
		{"POST", refund, "admin", `{"amount":1}`, "body"},
		{"POST", refund, "admin", `{"reason":"r","amount":0}`, "body.amount"},
		{"POST", refund, "admin", `{"reason":"r","amount":-1}`, "body.amount"},
		{"POST", refund, "admin", `{"reason":"r","amount":1.5}`, "body.amount"},
		{"POST", refund, "admin", `{"reason":"r","amount":"1"}`, "body.amount"},
		{"POST", refund, "admin", `{"reason":"r","amount":9223372036854775808}`, "body"},
		{"POST", refund, "admin", `{"reason":"r","amount":null}`, "body"}, // which is not "all of it"
		{"POST", refund, "admin", `{"reason":"r","Amount":1}`, "body.Amount"},
		{"POST", refund, "admin", `{"reason":["r"]}`, "body.reason"},
		{"GET", "/payments/pay_1", "asha", ``, "path.id"},
		{"GET", "/payments/" + cardID.String() + "?min_seq=x", "asha", ``, "query.min_seq"},
		{"GET", "/orders/7/payments", "asha", ``, "path.id"},
	})
}

func TestThePaymentsOfAnOrder(t *testing.T) {
	t.Parallel()
	path := prefix + "/orders/" + orderID.String() + "/payments"
	for token, want := range map[string]string{
		"asha": fmt.Sprint([]any{cashID, cardID}), "admin": fmt.Sprint([]any{cashID, cardID}),
		"ravi": fmt.Sprint([]any{cashID}), // what it has to collect, and not how else the customer tried to pay
	} {
		got := ask(t, newWorld().handler(t), "GET", path, token)
		var ids []any
		items, _ := got.body["items"].([]any)
		for _, i := range items {
			item, _ := i.(map[string]any)
			ids = append(ids, item["id"])
		}
		if fmt.Sprint(ids) != want {
			t.Errorf("%s sees %v, want %s", token, ids, want)
		}
		if next, there := got.body["next"]; !there || next != nil {
			t.Errorf("next must be null: %s", got.text)
		}
	}
	w := newWorld()
	w.payments = nil
	if got := ask(t, w.handler(t), "GET", path, "asha"); !strings.Contains(got.text, `"items":[]`) {
		t.Errorf("no payments must be an empty list: %s", got.text)
	}
	w = newWorld()
	unknown := ask(t, w.handler(t), "GET", strings.Replace(path, orderID.String(), unknownID.String(), 1), "asha")
	refused(t, unknown, 404, "not_found")
	refused(t, ask(t, w.handler(t), "GET", path, "ben"), 403, "forbidden")
	for _, q := range w.queries {
		if q != orderID { // the order; the payments would be a second query
			t.Errorf("asked for %v", q)
		}
	}
}

func TestACourierSeesOnlyTheCashItCollects(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	cash := prefix + "/payments/" + cashID.String()
	if got := ask(t, h, "GET", cash, "ravi"); got.status != 200 {
		t.Fatalf("got %d: %s", got.status, got.text)
	}
	w.order.AgentID = "courier2" // it was given to another
	refused(t, ask(t, h, "GET", cash, "ravi"), 403, "forbidden")
	w.order.AgentID = ""
	refused(t, ask(t, h, "GET", cash, "ravi"), 403, "forbidden")
	refused(t, ask(t, h, "GET", prefix+"/payments/"+unknownID.String(), "ravi"), 404, "not_found")
}

func TestWhatIsLeftToRefundIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = domain.Errorf(domain.CodeRefundExceeds, "only 400 are left").With("captured", 900).With("refunded", 500).With("refundable", 400)
	got := ask(t, w.handler(t), "POST", prefix+"/payments/"+cardID.String()+"/refund", "admin", `{"reason":"cold","amount":500}`)
	refused(t, got, 409, "refund_exceeds_capture")
	if got.body["captured"] != 900.0 || got.body["refunded"] != 500.0 || got.body["refundable"] != 400.0 {
		t.Errorf("got %s", got.text)
	}
	w.fail = domain.Errorf(domain.CodeProviderUnavailable, "the provider does not answer")
	got = ask(t, w.handler(t), "POST", prefix+"/orders/"+orderID.String()+"/payments", "asha", `{"method":"card"}`)
	refused(t, got, 503, "provider_unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/commands/commandstest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/paysandbox"
)

// kitchen is an open business with one product, of 450 INR, and an offer, on a log in memory and with the real
// commands. Reads are the world's.
type kitchen struct {
	*world
	service *commands.Service
	log     *commandstest.Store
}

func newKitchen(t testing.TB) *kitchen {
	t.Helper()
	k := &kitchen{world: newWorld(), log: &commandstest.Store{}}
	k.service = commands.New(k.log, &commandstest.Numbers{}, paysandbox.New(), commands.Options{Backoff: time.Nanosecond})
	k.happened(t, business.StreamType, business.StreamID, business.Opened{BusinessName: "Kitchen", Message: "Come in"})
	k.happened(t, menu.StreamType, productID, menu.Added{ProductID: productID, Name: "Dosa", Price: 450, Currency: "INR", Available: true})
	k.happened(t, offer.StreamType, offer.StreamID("HALF"), offer.Created{Terms: offer.Terms{
		Code: "HALF", Description: "Half off", DiscountType: offer.DiscountPercent, DiscountValue: 50,
	}})
	return k
}

// happened puts an event into the log.
func (k *kitchen) happened(t testing.TB, stream string, id uuid.UUID, e domain.Event) {
	t.Helper()
	typ, data, err := domain.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.log.Append(t.Context(), eventstore.Append{Streams: []eventstore.StreamAppend{{
		Stream: eventstore.StreamID{Type: stream, ID: id}, Expected: eventstore.AnyVersion,
		Events: []eventstore.NewEvent{{ID: uuid.Must(uuid.NewV7()), Type: typ, Data: json.RawMessage(data)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// open is the handler over the real commands.
func (k *kitchen) open(t *testing.T) http.Handler {
	t.Helper()
	return k.handler(t, func(c *Config) { c.Commands = k.service })
}

// An evening of one order, through everything that can be asked of it: what the operations make of a request is what
// the commands take, and what the commands refuse has its status.
func TestAnOrderFromItsOfferToItsRefund(t *testing.T) {
	t.Parallel()
	k := newKitchen(t)
	h := k.open(t)
	do := func(status int, method, path, token string, more ...string) map[string]any {
		t.Helper()
		got := ask(t, h, method, prefix+path, token, more...)
		if got.status != status {
			t.Fatalf("%s %s by %s: got %d, want %d: %s", method, path, token, got.status, status, got.text)
		}
		return got.body
	}
	hook := func(status int, body string) map[string]any {
		t.Helper()
		return do(status, "POST", "/payments/webhook", "", body, "X-Signature: "+paysandbox.Sign([]byte(webhookSecret), []byte(body)))
	}

	if got := do(200, "POST", "/offers/half/check", "asha", basket); got["discount"] != 450.0 || got["totalAmount"] != 450.0 {
		t.Errorf("checked: %v", got)
	}
	if got := do(200, "PATCH", "/offers/HALF", "admin", `{"endsAt":"2020-01-01T00:00:00Z"}`); got["endsAt"] == nil {
		t.Errorf("updated: %v", got)
	}
	if got := do(409, "POST", "/offers/HALF/check", "asha", basket); got["rule"] != "expired" {
		t.Errorf("over: %v", got)
	}
	if got := do(200, "PATCH", "/offers/HALF", "admin", `{"endsAt":null}`); got["endsAt"] != nil {
		t.Errorf("the end is still there: %v", got)
	}
	if got := do(409, "POST", "/offers", "admin", half); got["code"] != "offer_exists" {
		t.Errorf("made twice: %v", got)
	}
	order := do(201, "POST", "/orders", "asha", strings.Replace(place, "{", `{"offerCode":"half",`, 1))
	if order["discount"] != 450.0 || order["totalAmount"] != 450.0 || order["offerCode"] != "HALF" {
		t.Errorf("placed: %v", order)
	}
	id := "/orders/" + order["id"].(string)

	pay := do(201, "POST", id+"/payments", "asha", `{"method":"card"}`)
	if url, _ := pay["checkoutUrl"].(string); url == "" {
		t.Errorf("nowhere to pay: %v", pay)
	}
	do(403, "POST", id+"/payments", "ben", `{"method":"cod"}`)
	if got := do(409, "POST", id+"/payments", "asha", `{"method":"cod"}`); got["code"] != "payment_exists" || got["paymentId"] != pay["id"] {
		t.Errorf("started twice: %v", got)
	}
	event := func(name, typ string, amount int) string {
		return fmt.Sprintf(`{"eventId":%q,"paymentId":%q,"type":%q,"amount":%d,"currency":"INR"}`, name, pay["id"], typ, amount)
	}
	if got := hook(409, event("e1", "payment.captured", 449)); got["code"] != "amount_mismatch" {
		t.Errorf("too little: %v", got)
	}
	if got := hook(200, event("e1", "payment.captured", 450)); got["status"] != "captured" {
		t.Errorf("captured: %v", got)
	}
	before := len(k.log.Events())
	if got := hook(200, event("e1", "payment.refunded", 1)); got["refunded"] != 0.0 || len(k.log.Events()) != before {
		t.Errorf("a repeated event did something: %v", got)
	}
	do(409, "POST", "/payments/"+pay["id"].(string)+"/collect", "admin")
	if got := do(409, "POST", "/payments/"+pay["id"].(string)+"/refund", "admin", `{"amount":451,"reason":"cold"}`); got["refundable"] != 450.0 {
		t.Errorf("too much: %v", got)
	}
	if got := do(200, "POST", "/payments/"+pay["id"].(string)+"/refund", "admin", `{"amount":50,"reason":"cold"}`); got["refunded"] != 50.0 {
		t.Errorf("refunded: %v", got)
	}

	if got := do(409, "POST", id+"/assign", "admin", `{"agentId":"ravi"}`); got["code"] != "agent_unavailable" || got["agentId"] != "ravi" {
		t.Errorf("offline: %v", got)
	}
	do(200, "PATCH", "/delivery/status", "ravi", `{"status":"online"}`)
	if got := do(200, "POST", id+"/assign", "admin", `{"agentId":"ravi"}`); got["agentId"] != "ravi" {
		t.Errorf("assigned: %v", got)
	}
	point := strings.Replace(here, orderID.String(), order["id"].(string), 1)
	if got := do(200, "POST", "/delivery/location", "ravi", point); got["kept"] != true {
		t.Errorf("the first point: %v", got)
	}
	do(403, "POST", "/delivery/location", "courier2", point)
	do(200, "POST", id+"/cancel", "admin", `{"reason":"rain"}`)
	if got := do(409, "POST", "/delivery/location", "ravi", point); got["code"] != "order_not_active" {
		t.Errorf("after the end: %v", got)
	}

	entry := do(201, "POST", "/notifications", "admin", news)
	do(403, "PATCH", "/notifications/"+entry["id"].(string)+"/read", "ben")
	if got := do(200, "PATCH", "/notifications/"+entry["id"].(string)+"/read", "asha"); got["read"] != true {
		t.Errorf("read: %v", got)
	}
	if got := do(200, "POST", "/notifications/read-all", "asha"); got["unread"] != 0.0 {
		t.Errorf("read all: %v", got)
	}
	if got := do(200, "DELETE", "/offers/HALF", "admin"); got["withdrawn"] != true {
		t.Errorf("withdrawn: %v", got)
	}
	if got := do(409, "PATCH", "/offers/HALF", "admin", `{"maxUses":1}`); got["rule"] != "withdrawn" {
		t.Errorf("changed after all: %v", got)
	}
}

// Ids of one kind are taken for none of another.
func TestIDsOfOtherKinds(t *testing.T) {
	t.Parallel()
	k := newKitchen(t)
	h := k.open(t)
	product := productID.String()
	before := len(k.log.Events())
	for _, tc := range []struct{ method, path, token, body string }{
		{"POST", "/orders/" + product + "/assign", "admin", `{"agentId":"ravi"}`},
		{"POST", "/orders/" + product + "/payments", "asha", `{"method":"cod"}`},
		{"POST", "/orders/" + product + "/cancel", "admin", `{"reason":"r"}`},
		{"POST", "/payments/" + product + "/collect", "admin", ``},
		{"POST", "/payments/" + product + "/refund", "admin", `{"reason":"r"}`},
		{"PATCH", "/notifications/" + product + "/read", "asha", ``},
		{"POST", "/delivery/location", "ravi", strings.Replace(here, orderID.String(), product, 1)},
		{"POST", "/offers/HALF/check", "asha", strings.Replace(basket, product, orderID.String(), 1)},
		{"PATCH", "/products/" + orderID.String(), "admin", `{"price":1}`},
	} {
		refused(t, ask(t, h, tc.method, prefix+tc.path, tc.token, tc.body), 404, "not_found")
	}
	event := strings.Replace(captured, cardID.String(), product, 1)
	refused(t, ask(t, h, "POST", webhookPath, "", event, signature(webhookSecret, event)), 404, "not_found")
	if after := len(k.log.Events()); after != before {
		t.Errorf("%d events all the same", after-before)
	}
}

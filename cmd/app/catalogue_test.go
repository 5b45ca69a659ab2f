package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/paysandbox"
)

// has checks that an answer has all that is wanted. A list of what is wanted is of its items, one by one.
func (a answer) has(t *testing.T, want string) answer {
	t.Helper()
	var w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("the test is wrong: %s: %v", want, err)
	}
	if list, ok := w.([]any); ok {
		items, _ := a.body["items"].([]any)
		if len(items) != len(list) {
			t.Fatalf("got %v\nwant %s", items, want)
		}
		for i := range list {
			if !covers(items[i], list[i]) {
				t.Fatalf("got %v\nwant %s", items, want)
			}
		}
	} else if !covers(a.body, w) {
		t.Fatalf("got %v\nwant %s", a.body, want)
	}
	return a
}

// reads asks for something as it is after what was answered, or later.
func (s shop) reads(t *testing.T, after answer, token, path, want string) {
	t.Helper()
	a := s.ask(t, "GET", fmt.Sprintf("/api/v1%s&min_seq=%d", path, after.seq()), token, "").has(t, want)
	if a.seq() < after.seq() {
		t.Errorf("%s is of %d, want %d", path, a.seq(), after.seq())
	}
}

func (s shop) does(t *testing.T, status int, token, method, path, body, want string) answer {
	t.Helper()
	a := s.ask(t, method, "/api/v1"+path, token, body)
	if a.status != status {
		t.Fatalf("%s %s answered %d %v, want %d", method, path, a.status, a.body, status)
	}
	if status >= 400 {
		refused(t, a, status, fmt.Sprint(a.body["code"]))
	}
	return a.has(t, want)
}

func TestTheMenuAndTheBusiness(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	const tea = `{"name":"Chai","description":"Hot","price":150,"currency":"EUR","available":true}`
	added := s.does(t, 201, s.admin, "POST", "/products", tea, tea)
	one := "/products/" + added.body["id"].(string)
	s.reads(t, added, "", "/products?limit=50", `[{"name":"Margherita","price":950},{"name":"Chai","price":150}]`)
	s.reads(t, added, "", one+"?", tea)
	changed := s.does(t, 200, s.admin, "PATCH", one, `{"price":180,"available":false}`, `{"name":"Chai","price":180,"available":false}`)
	s.reads(t, changed, "", one+"?", `{"description":"Hot","price":180,"available":false}`)
	gone := s.does(t, 200, s.admin, "DELETE", one, "", `{"archived":true}`)
	s.reads(t, gone, "", "/products?limit=50", `[{"name":"Margherita"}]`)

	closed := s.does(t, 200, s.admin, "PATCH", "/business/status", `{"isOpen":false,"message":"sold out"}`, `{"isOpen":false,"message":"sold out"}`)
	s.reads(t, closed, "", "/business?", `{"isOpen":false,"message":"sold out","businessName":"Orderlog Kitchen"}`)
}

func TestOffersFromTheirBeginningToTheirEnd(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	const terms = `{"code":"Half","description":"Half off","discountType":"percent","discountValue":50,"minOrder":1000,"maxDiscount":600,"maxUses":2,"maxUsesPerUser":1}`
	made := s.does(t, 201, s.admin, "POST", "/offers", terms, terms)
	s.does(t, 409, s.admin, "POST", "/offers", terms, `{"code":"offer_exists"}`)
	s.reads(t, made, "", "/offers?limit=50", "["+terms+"]")
	s.reads(t, made, "", "/offers/HALF?", terms)
	basket := func(n int) string { return fmt.Sprintf(`{"items":[{"product":%q,"quantity":%d}]}`, s.product, n) }
	s.does(t, 200, s.ada, "POST", "/offers/half/check", basket(2), `{"code":"Half","subtotal":1900,"discount":600,"totalAmount":1300,"currency":"EUR"}`)
	s.does(t, 409, s.ada, "POST", "/offers/half/check", basket(1), `{"code":"offer_not_applicable","rule":"min_order","minOrder":1000}`)
	changed := s.does(t, 200, s.admin, "PATCH", "/offers/half", `{"maxDiscount":0}`, `{"code":"Half","discountValue":50,"maxDiscount":0,"minOrder":1000}`)
	s.reads(t, changed, "", "/offers/half?", `{"maxDiscount":0,"minOrder":1000}`)

	body := fmt.Sprintf(`{"items":[{"product":%q,"quantity":2}],"deliveryAddress":"Via Roma 1","paymentMethod":"cod","offerCode":"HALF"}`, s.product)
	placed := s.does(t, 201, s.ada, "POST", "/orders", body, `{"status":"placed","subtotal":1900,"discount":950,"totalAmount":950,"offerCode":"Half"}`)
	s.reads(t, placed, s.ada, "/orders/"+placed.body["id"].(string)+"?", `{"subtotal":1900,"discount":950,"totalAmount":950}`)
	s.reads(t, placed, "", "/offers/HALF?", `{"uses":1}`)
	s.does(t, 409, s.ada, "POST", "/orders", body, `{"code":"offer_not_applicable","rule":"max_uses_per_user"}`)

	gone := s.does(t, 200, s.admin, "DELETE", "/offers/Half", "", `{"withdrawn":true}`)
	s.reads(t, gone, "", "/offers?limit=50", `[]`)
	s.does(t, 409, s.bob, "POST", "/offers/Half/check", basket(2), `{"code":"offer_not_applicable","rule":"withdrawn"}`)
}

func TestCouriersAndWhereTheyAre(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	erin := tokenFor(t, "erin", domain.RoleDelivery)
	order := s.place(t, s.ada)
	assign := "/orders/" + order + "/assign"
	s.does(t, 409, s.admin, "POST", assign, `{"agentId":"dave"}`, `{"code":"agent_unavailable","agentId":"dave"}`)
	online := s.does(t, 200, s.dave, "PATCH", "/delivery/status", `{"status":"online"}`, `{"id":"dave","status":"online","currentOrder":null}`)
	s.reads(t, online, s.admin, "/delivery/agents?limit=50", `[{"id":"dave","name":"DAVE","status":"online","currentOrder":null}]`)
	s.does(t, 200, s.admin, "POST", assign, `{"agentId":"dave"}`, fmt.Sprintf(`{"id":%q,"agentId":"dave"}`, order))
	another := s.place(t, s.bob)
	s.does(t, 409, s.admin, "POST", "/orders/"+another+"/assign", `{"agentId":"dave"}`, `{"code":"agent_unavailable","agentId":"dave"}`)

	// Assigning again moves the order.
	s.does(t, 200, erin, "PATCH", "/delivery/status", `{"status":"online"}`, `{"status":"online"}`)
	moved := s.does(t, 200, s.admin, "POST", assign, `{"agentId":"erin"}`, `{"agentId":"erin"}`)
	s.reads(t, moved, s.dave, "/delivery/agents/dave?", `{"id":"dave","status":"online","currentOrder":null}`)
	s.reads(t, moved, s.admin, "/delivery/agents/erin?", fmt.Sprintf(`{"id":"erin","status":"busy","currentOrder":%q}`, order))
	s.reads(t, moved, s.admin, "/delivery/agents?status=busy", `[{"id":"erin"}]`)
	s.reads(t, moved, erin, "/orders/"+order+"?", `{"agentId":"erin"}`)

	point := fmt.Sprintf(`{"orderId":%q,"latitude":48.2,"longitude":16.37,"speed":4.5}`, order)
	kept := s.does(t, 200, erin, "POST", "/delivery/location", point, fmt.Sprintf(`{"orderId":%q,"kept":true}`, order))
	s.does(t, 403, s.dave, "POST", "/delivery/location", point, `{"code":"forbidden"}`) // any more
	for _, token := range []string{s.ada, erin, s.admin} {
		s.reads(t, kept, token, "/delivery/orders/"+order+"/track?limit=50", `[{"agentId":"erin","location":{"lat":48.2,"lng":16.37},"speed":4.5}]`)
	}
}

func TestPaymentsOverREST(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	order := s.place(t, s.ada)
	payments := "/orders/" + order + "/payments"
	cash := s.does(t, 201, s.ada, "POST", payments, `{"method":"cod"}`,
		fmt.Sprintf(`{"orderId":%q,"method":"cod","status":"pending","amount":1900,"currency":"EUR","captured":0,"refunded":0}`, order))
	id := cash.body["id"].(string)
	s.does(t, 409, s.ada, "POST", payments, `{"method":"card"}`, fmt.Sprintf(`{"code":"payment_exists","paymentId":%q}`, id))
	s.reads(t, cash, s.ada, payments+"?", fmt.Sprintf(`[{"id":%q,"status":"pending"}]`, id))
	s.does(t, 200, s.dave, "PATCH", "/delivery/status", `{"status":"online"}`, `{}`)
	s.does(t, 200, s.admin, "POST", "/orders/"+order+"/assign", `{"agentId":"dave"}`, `{}`)
	s.does(t, 200, s.dave, "POST", "/payments/"+id+"/collect", "", `{"status":"captured","captured":1900,"collectedBy":"dave"}`)
	s.does(t, 409, s.admin, "POST", "/payments/"+id+"/refund", `{"amount":1901,"reason":"cold"}`,
		`{"code":"refund_exceeds_capture","captured":1900,"refunded":0,"refundable":1900}`)
	part := s.does(t, 200, s.admin, "POST", "/payments/"+id+"/refund", `{"amount":400,"reason":"cold"}`, `{"captured":1900,"refunded":400}`)
	s.reads(t, part, s.ada, "/payments/"+id+"?", `{"captured":1900,"refunded":400}`)
	s.does(t, 200, s.admin, "POST", "/payments/"+id+"/refund", `{"reason":"all of it"}`, `{"refunded":1900}`)

	// The provider says what becomes of a card: once.
	card := s.does(t, 201, s.admin, "POST", payments, `{"method":"card"}`, `{"method":"card","status":"pending"}`)
	if url, _ := card.body["checkoutUrl"].(string); url == "" {
		t.Errorf("nowhere to pay: %v", card.body)
	}
	hook := func(status int, event, kind string, amount int, secret, want string) answer {
		t.Helper()
		body := fmt.Sprintf(`{"eventId":%q,"paymentId":%q,"type":%q,"amount":%d,"currency":"EUR"}`, event, card.body["id"], kind, amount)
		a := s.ask(t, "POST", "/api/v1/payments/webhook", "", body, "X-Signature", paysandbox.Sign([]byte(secret), []byte(body)))
		if a.status != status {
			t.Fatalf("the provider is answered %d %v, want %d", a.status, a.body, status)
		}
		return a.has(t, want)
	}
	captured := uuid.NewString()
	hook(401, captured, "payment.captured", 1900, "another secret, of 32 bytes at least", `{"code":"invalid_signature"}`)
	hook(409, captured, "payment.captured", 1899, jwtSecret, `{"code":"amount_mismatch"}`)
	first := hook(200, captured, "payment.captured", 1900, jwtSecret, `{"status":"captured","captured":1900}`)
	again := hook(200, captured, "payment.refunded", 1900, jwtSecret, `{"captured":1900,"refunded":0}`) // whatever it says
	if first.header.Get("Idempotent-Replayed") != "" || again.header.Get("Idempotent-Replayed") != "true" || again.seq() != first.seq() {
		t.Errorf("first %d %v, again %d %v", first.seq(), first.header, again.seq(), again.header)
	}
	s.reads(t, first, s.ada, payments+"?", fmt.Sprintf(`[{"id":%q,"refunded":1900},{"id":%q,"captured":1900,"refunded":0}]`, id, card.body["id"]))
}

func TestTheInboxOverREST(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	var last answer
	for _, title := range []string{"One", "Two", "Three"} {
		entry := fmt.Sprintf(`{"userId":"ada","title":%q,"message":"There is cake","type":"info"}`, title)
		last = s.does(t, 201, s.admin, "POST", "/notifications", entry, entry)
	}
	id := last.body["id"].(string)
	s.reads(t, last, s.ada, "/notifications?limit=50", `[{"title":"Three","read":false},{"title":"Two","read":false},{"title":"One","read":false}]`)
	s.reads(t, last, s.bob, "/notifications?limit=50", `[]`)
	s.does(t, 403, s.bob, "PATCH", "/notifications/"+id+"/read", "", `{"code":"forbidden"}`)
	read := s.does(t, 200, s.ada, "PATCH", "/notifications/"+id+"/read", "", fmt.Sprintf(`{"id":%q,"read":true}`, id))
	s.reads(t, read, s.ada, "/notifications?unread=true", `[{"title":"Two"},{"title":"One"}]`)
	s.reads(t, read, s.ada, "/notifications?unread=false", `[{"title":"Three","read":true}]`)
	all := s.does(t, 200, s.ada, "POST", "/notifications/read-all", "", `{"unread":0}`)
	s.reads(t, all, s.ada, "/notifications?unread=true", `[]`)
}

func TestWhoIsConnected(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	for _, token := range []string{s.ada, s.ada, s.dave} {
		k := s.register(t, token, `,"lastSeq":0`)
		k.hears(`{"event":"registered"}`)
		k.hears(`{"event":"business:status:update"}`)
	}
	s.does(t, 200, s.admin, "GET", "/socket/status", "", `{"connectedUsers":["ada","dave"],"totalConnections":3}`)
	a := s.does(t, 200, s.admin, "GET", "/metrics/socket", "", `{"connectedUsers":2,"eventMetrics":{"business:status:update":3}}`)
	if uptime, ok := a.body["uptime"].(float64); !ok || uptime < 0 || uptime > 600 {
		t.Errorf("up for %v", a.body["uptime"])
	}
}

func TestWhatIsServedForThoseWhoWatchAndDevelop(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	described := s.ask(t, "GET", "/asyncapi.json", "", "").has(t, `{"asyncapi":"3.0.0"}`)
	components, _ := described.body["components"].(map[string]any)
	messages, _ := components["messages"].(map[string]any)
	names := map[any]bool{}
	for _, m := range messages {
		names[m.(map[string]any)["name"]] = true
	}
	for event := range channelsOf {
		if !names[event] {
			t.Errorf("the AsyncAPI document has no %s", event)
		}
	}

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("metrics are answered %d %s, %v", response.StatusCode, response.Header.Get("Content-Type"), err)
	}
	if !strings.Contains(string(text), "\norderlog_log_head_seq 2\n") {
		t.Error("the metrics do not say that two things have happened")
	}
}

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// channelsOf are those that carry each event to clients. A word in capitals stands for an id.
var channelsOf = map[string]string{
	"business:status:update":   "all",
	"order:new":                "role:admin role:delivery",
	"order:status:update":      "user:CUSTOMER role:admin user:AGENT order:ID",
	"order:assigned":           "user:AGENT order:ID role:admin user:CUSTOMER",
	"order:cancelled":          "user:CUSTOMER role:admin user:AGENT order:ID",
	"delivery:status:update":   "role:admin delivery:AGENT",
	"delivery:location:update": "user:CUSTOMER role:admin order:ID delivery:AGENT",
	"payment:received":         "role:admin user:CUSTOMER order:ID",
	"payment:failed":           "role:admin user:CUSTOMER order:ID",
	"payment:refunded":         "role:admin user:CUSTOMER order:ID",
	"notification:new":         "user:CUSTOMER",
	"offer:new":                "role:customer role:admin",
	"offer:updated":            "role:customer role:admin",
	"offer:withdrawn":          "role:customer role:admin",
}

// toldAs is how clients are told of what is in the log; of anything else they are not told.
var toldAs = map[string]string{
	"business.opened": "business:status:update", "business.closed": "business:status:update",
	"order.placed": "order:new", "order.status_changed": "order:status:update", "order.assigned": "order:assigned", "order.cancelled": "order:cancelled",
	"courier.status_changed": "delivery:status:update", "courier.order_taken": "delivery:status:update", "courier.order_released": "delivery:status:update",
	"courier.located":  "delivery:location:update",
	"payment.captured": "payment:received", "payment.failed": "payment:failed", "payment.refunded": "payment:refunded",
	"inbox.entered": "notification:new",
	"offer.created": "offer:new", "offer.updated": "offer:updated", "offer.withdrawn": "offer:withdrawn",
}

// TestEveryEventReachesItsChannelsAndNobodyElse lets everything happen once that clients are told of, before the eyes of
// the order's customer and courier, others like them and an admin, in the rooms they may join and out of them. Each gets
// what its channels carry, in order, once, and nothing else: live, when it comes back, and in its feed.
func TestEveryEventReachesItsChannelsAndNobodyElse(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := shop{
		server: start(t, serverSettings(t, url)), admin: tokenFor(t, "boss", domain.RoleAdmin), dave: tokenFor(t, "dave", domain.RoleDelivery),
		ada: tokenFor(t, "ada", domain.RoleCustomer), bob: tokenFor(t, "bob", domain.RoleCustomer),
	}
	erin := tokenFor(t, "erin", domain.RoleDelivery)

	ada, adaInOrder, adaWithDave := s.ear(t, s.ada), s.ear(t, s.ada), s.ear(t, s.ada)
	dave, daveInOrder, daveWithDave := s.ear(t, s.dave), s.ear(t, s.dave), s.ear(t, s.dave)
	boss, bossInOrder, bossWithDave := s.ear(t, s.admin), s.ear(t, s.admin), s.ear(t, s.admin)
	bob, other := s.ear(t, s.bob), s.ear(t, erin)
	ears := map[string]*ear{
		"ada": ada, "ada in the order's room": adaInOrder, "ada in dave's room": adaWithDave,
		"dave": dave, "dave in the order's room": daveInOrder, "dave in his room": daveWithDave,
		"an admin": boss, "an admin in the order's room": bossInOrder, "an admin in dave's room": bossWithDave,
		"another customer": bob, "another courier": other,
	}

	data := map[string][]string{} // of each event, as often as it happens
	tell := func(event, format string, args ...any) {
		data[event] = append(data[event], fmt.Sprintf(format, args...))
	}
	entry := func(title string) { tell("notification:new", `{"title":%q,"type":"order"}`, title) }

	s.product = s.openShop(t)
	tell("business:status:update", `{"isOpen":true,"businessName":"Orderlog Kitchen","message":"We are open and taking orders"}`)
	s.must(t, 201, "POST", "/api/v1/offers", s.admin,
		map[string]any{"code": "TENTH", "description": "A tenth off", "discountType": "percent", "discountValue": 10})
	tell("offer:new", `{"code":"TENTH","description":"A tenth off","discountType":"percent","discountValue":10}`)
	s.must(t, 200, "PATCH", "/api/v1/offers/TENTH", s.admin, map[string]any{"discountValue": 12})
	tell("offer:updated", `{"code":"TENTH","description":"A tenth off","discountType":"percent","discountValue":12}`)
	s.must(t, 200, "DELETE", "/api/v1/offers/TENTH", s.admin, nil)
	tell("offer:withdrawn", `{"code":"TENTH","description":"A tenth off","discountType":"percent","discountValue":12}`)

	daveWithDave.join("delivery", "dave")
	bossWithDave.join("delivery", "dave")
	s.must(t, 200, "PATCH", "/api/v1/delivery/status", s.dave, map[string]any{"status": "online"})
	tell("delivery:status:update", `{"deliveryBoyId":"dave","status":"online","currentOrder":null}`)

	placed := s.must(t, 201, "POST", "/api/v1/orders", s.ada, orderOf(s.product))
	order, of := placed.body["id"].(string), fmt.Sprintf(`"orderId":%q,"orderNumber":%q`, placed.body["id"], placed.body["orderNumber"])
	tell("order:new", `{%s,"customerName":"ADA","totalAmount":1900,"currency":"EUR",`+
		`"items":[{"product":%q,"name":"Margherita","quantity":2,"unitPrice":950,"total":1900}]}`, of, s.product)
	entry("Order received")
	adaInOrder.join("order", order)
	bossInOrder.join("order", order)

	s.move(t, order, "confirmed")
	tell("order:status:update", `{%s,"status":"confirmed","message":"Your order has been confirmed"}`, of)
	entry("Order confirmed")
	s.must(t, 200, "POST", "/api/v1/orders/"+order+"/assign", s.admin, map[string]any{"agentId": "dave"})
	tell("order:assigned", `{%s,"agentId":"dave"}`, of)
	tell("delivery:status:update", `{"deliveryBoyId":"dave","status":"busy","currentOrder":%q}`, order)
	entry("Courier assigned")
	daveInOrder.join("order", order)
	adaWithDave.join("delivery", "dave")
	for _, stranger := range []*ear{bob, other} {
		stranger.isRefused("join:order", `{"orderId":"`+order+`"}`)
		stranger.isRefused("join:delivery", `{"deliveryId":"dave"}`)
	}
	s.move(t, order, "preparing") // now that there is a courier to be told
	tell("order:status:update", `{%s,"status":"preparing","message":"Your order is being prepared"}`, of)
	entry("Order preparing")

	dave.ask("delivery:location", fmt.Sprintf(`{"orderId":%q,"latitude":48.2,"longitude":16.37,"speed":4.2,"heading":90,"accuracy":8}`, order),
		fmt.Sprintf(`{"data":{"orderId":%q,"kept":true}}`, order))
	tell("delivery:location:update", `{"orderId":%q,"deliveryBoyId":"dave","location":{"lat":48.2,"lng":16.37},"speed":4.2,"heading":90,"accuracy":8}`, order)

	offline := s.must(t, 200, "PATCH", "/api/v1/delivery/status", s.dave, map[string]any{"status": "offline"}).seq()
	tell("delivery:status:update", `{"deliveryBoyId":"dave","status":"offline","currentOrder":%q}`, order)
	adaWithDave.hearsUntil(offline)
	daveWithDave.hearsUntil(offline)
	daveWithDave.leave("delivery", "dave")

	pay := func(event, kind string) (payment string) {
		payment = s.must(t, 201, "POST", "/api/v1/orders/"+order+"/payments", s.ada, map[string]any{"method": "card"}).body["id"].(string)
		body := fmt.Sprintf(`{"eventId":%q,"paymentId":%q,"type":%q,"amount":1900,"currency":"EUR"}`, uuid.NewString(), payment, kind)
		a := s.ask(t, "POST", "/api/v1/payments/webhook", "", body, "X-Signature", paysandbox.Sign([]byte(jwtSecret), []byte(body)))
		if a.status != 200 {
			t.Fatalf("the provider is answered %d %v", a.status, a.body)
		}
		tell(event, `{%s,"paymentId":%q,"amount":1900,"currency":"EUR","paymentMethod":"card"}`, of, payment)
		return payment
	}
	pay("payment:failed", "payment.failed")
	tell("notification:new", `{"title":"Payment failed","type":"payment"}`)
	payment := pay("payment:received", "payment.captured")
	tell("notification:new", `{"title":"Payment received","type":"payment"}`)
	daveInOrder.hear(func(f news) bool { return f.Event == "payment:received" })
	daveInOrder.leave("order", order)
	s.must(t, 200, "POST", "/api/v1/payments/"+payment+"/refund", s.admin, map[string]any{"amount": 700, "reason": "cold"})
	tell("payment:refunded", `{%s,"paymentId":%q,"amount":700,"currency":"EUR","paymentMethod":"card","reason":"cold"}`, of, payment)
	tell("notification:new", `{"title":"Payment refunded","type":"payment"}`)

	s.must(t, 200, "POST", "/api/v1/orders/"+order+"/cancel", s.admin, map[string]any{"reason": "burnt"})
	tell("order:cancelled", `{%s,"reason":"burnt","refundDue":1200}`, of)
	tell("delivery:status:update", `{"deliveryBoyId":"dave","status":"offline","currentOrder":null}`)
	entry("Order cancelled")
	s.inbox(t, s.ada, 8) // the entries follow by themselves, and what is said next comes after them
	written := s.must(t, 201, "POST", "/api/v1/notifications", s.admin,
		map[string]any{"userId": "ada", "title": "Sorry", "message": "There is cake", "type": "info"})
	tell("notification:new", `{"id":%q,"title":"Sorry","message":"There is cake","type":"info"}`, written.body["id"])
	s.must(t, 200, "PATCH", "/api/v1/delivery/status", s.dave, map[string]any{"status": "online"})
	tell("delivery:status:update", `{"deliveryBoyId":"dave","status":"online","currentOrder":null}`)
	last := s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": false, "message": "sold out"}).seq()
	tell("business:status:update", `{"isOpen":false,"businessName":"Orderlog Kitchen","message":"sold out"}`)

	all := logOf(t, url, order, data)
	// What takes the right to a room away is already not told there.
	adaWithDave.loses("delivery:dave", all[slices.IndexFunc(all, func(h happening) bool { return h.kind == "courier.order_released" })].seq)
	for who, e := range ears {
		e.hearsUntil(last)
		e.check(who, all)
	}
	for who, e := range map[string]*ear{"ada": ada, "dave": dave, "an admin": boss, "another customer": bob, "another courier": other} {
		e.checkFeed(who, s.must(t, 200, "GET", fmt.Sprintf("/api/v1/feed?limit=200&min_seq=%d", last), e.token, nil).body)
		again := s.ear(t, e.token)
		again.hearsUntil(last)
		again.check(who+", back again", all)
	}
	boss.saysTheSame("an admin", s.url, "boss", domain.RoleAdmin, last)
	ada.saysTheSame("ada", s.url, "ada", domain.RoleCustomer, last)
	dave.saysTheSame("dave", s.url, "dave", domain.RoleDelivery, last)
	for who, e := range map[string]*ear{"ada": s.ear(t, s.ada, "order:"+order), "dave": s.ear(t, s.dave, "order:"+order, "delivery:dave")} {
		e.hearsUntil(last)
		e.check(who+", back again with rooms", all)
	}
}

// happening is an event of the log and what clients are to be told of it.
type happening struct {
	seq               int64
	kind, event, data string
	channels          []string
}

// logOf reads what happened, as far as anybody is told of it. All of data must have happened, and nothing else.
func logOf(t *testing.T, url, order string, data map[string][]string) (all []happening) {
	t.Helper()
	rows, err := pgtest.Pool(t, url).Query(t.Context(), `SELECT seq, type FROM events ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	agent := "" // nobody, until the order has one
	var h happening
	_, err = pgx.ForEachRow(rows, []any{&h.seq, &h.kind}, func() error {
		if h.event = toldAs[h.kind]; h.event == "" {
			return nil
		}
		if len(data[h.event]) == 0 {
			return fmt.Errorf("%s was told once more than expected, as seq %d", h.event, h.seq)
		}
		h.data, data[h.event] = data[h.event][0], data[h.event][1:]
		if h.event == "order:assigned" {
			agent = "user:dave"
		}
		h.channels = strings.Fields(strings.NewReplacer("user:CUSTOMER", "user:ada", "user:AGENT", agent,
			"delivery:AGENT", "delivery:dave", "order:ID", "order:"+order).Replace(channelsOf[h.event]))
		all = append(all, h)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for event := range channelsOf {
		if missing, there := data[event]; !there || len(missing) > 0 {
			t.Fatalf("%s did not happen: %s", event, missing)
		}
	}
	return all
}

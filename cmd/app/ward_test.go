package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// ward is a shop and everybody who may want something of it.
type ward struct {
	shop
	tokens [len(askers)]string
	pool   *pgxpool.Pool
}

func newWard(t *testing.T) *ward {
	t.Helper()
	url := pgtest.Database(t)
	s := openedShopOn(t, url)
	old, err := auth.Sign([]byte(jwtSecret), auth.Identity{UserID: "ada", Role: domain.RoleCustomer, Name: "ADA", ExpiresAt: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	erin := tokenFor(t, "erin", domain.RoleDelivery)
	return &ward{shop: s, pool: pgtest.Pool(t, url), tokens: [...]string{"", old, s.ada, s.bob, s.dave, erin, s.admin}}
}

// carried is an order of ada's that dave carries, ready to go out, with cash to be collected, and an entry of ada's inbox.
type carried struct{ order, payment, entry string }

func (w *ward) carried(t *testing.T) carried {
	t.Helper()
	w.free(t)
	order := w.place(t, w.ada)
	for _, status := range []string{"confirmed", "preparing", "ready"} {
		w.move(t, order, status)
	}
	w.must(t, 200, "PATCH", "/api/v1/delivery/status", w.dave, map[string]any{"status": "online"})
	w.must(t, 200, "POST", "/api/v1/orders/"+order+"/assign", w.admin, map[string]any{"agentId": "dave"})
	payment := w.must(t, 201, "POST", "/api/v1/orders/"+order+"/payments", w.ada, map[string]any{"method": "cod"})
	entry := w.must(t, 201, "POST", "/api/v1/notifications", w.admin,
		map[string]any{"userId": "ada", "title": "Hello", "message": "There is cake", "type": "info"})
	w.settle(t, entry.seq())
	return carried{order, payment.body["id"].(string), entry.body["id"].(string)}
}

// free takes dave's order off his hands, if he has one.
func (w *ward) free(t *testing.T) {
	t.Helper()
	seen := w.must(t, 200, "PATCH", "/api/v1/business/status", w.admin, map[string]any{"isOpen": true}).seq()
	a, err := w.call(t.Context(), "GET", fmt.Sprintf("/api/v1/delivery/agents/dave?min_seq=%d", seen), w.admin, nil)
	if err != nil {
		t.Fatal(err)
	}
	if order, _ := a.body["currentOrder"].(string); order != "" {
		w.must(t, 200, "POST", "/api/v1/orders/"+order+"/cancel", w.admin, map[string]any{"reason": "the test goes on"})
	}
}

// settle waits until reads show an event.
func (w *ward) settle(t *testing.T, seq int64) {
	t.Helper()
	w.must(t, 200, "GET", fmt.Sprintf("/api/v1/business?min_seq=%d", seq), w.admin, nil)
}

// caused is how many events came of a request.
func (w *ward) caused(t *testing.T, id string) (n int) {
	t.Helper()
	err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE meta->>'correlationId' = $1`, id).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// online is a courier who waits for an order.
func (w *ward) online(t *testing.T) string {
	t.Helper()
	name := "courier-" + uuid.NewString()
	w.must(t, 200, "PATCH", "/api/v1/delivery/status", tokenFor(t, name, domain.RoleDelivery), map[string]any{"status": "online"})
	return name
}

func (w *ward) added(t *testing.T) string {
	t.Helper()
	return w.must(t, 201, "POST", "/api/v1/products", w.admin,
		map[string]any{"name": "Chai", "description": "", "price": 150, "currency": "EUR", "available": true}).body["id"].(string)
}

func (w *ward) offered(t *testing.T) string {
	t.Helper()
	a := w.must(t, 201, "POST", "/api/v1/offers", w.admin, offerOf(newCode()))
	w.settle(t, a.seq())
	return a.body["code"].(string)
}

func newCode() string { return "C" + strings.ToUpper(uuid.NewString()[:13]) }

func offerOf(code string) map[string]any {
	return map[string]any{"code": code, "description": "A tenth off", "discountType": "percent", "discountValue": 10}
}

func here(order string) map[string]any {
	return map[string]any{"orderId": order, "latitude": 48.2, "longitude": 16.37, "speed": 4.2, "heading": 90}
}

// webhookOfAFreshPayment is the provider's message that a card payment was captured.
func webhookOfAFreshPayment(t *testing.T, w *ward) request {
	order := w.place(t, w.ada)
	p := w.must(t, 201, "POST", "/api/v1/orders/"+order+"/payments", w.ada, map[string]any{"method": "card"})
	return request{"/api/v1/payments/webhook", map[string]any{
		"eventId": uuid.NewString(), "paymentId": p.body["id"], "type": "payment.captured",
		"amount": p.body["amount"], "currency": p.body["currency"],
	}}
}

// signature is the header of the provider's messages.
func (w *ward) signature(r request) []string {
	if !strings.HasSuffix(r.path, "/webhook") {
		return nil
	}
	return []string{"X-Signature", paysandbox.Sign([]byte(jwtSecret), []byte(r.text()))}
}

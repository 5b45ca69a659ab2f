package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Who asks, in the order of the columns below. Ada ordered, and dave carries her order.
var askers = [...]string{"no token", "expired", "ada", "bob", "dave", "erin", "admin"}

const (
	nobody = iota
	expired
	theCustomer
	anotherCustomer
	theCourier
	anotherCourier
	theAdmin
)

// may is what the seven of them are answered: a status.
type may [len(askers)]int

// The usual columns; ok is the status of an answer that is none of a refusal.
func everybodyMay(ok int) may   { return may{ok, 401, ok, ok, ok, ok, ok} }
func anyUserMay(ok int) may     { return may{401, 401, ok, ok, ok, ok, ok} }
func adminsMay(ok int) may      { return may{401, 401, 403, 403, 403, 403, ok} }
func customersMay(ok int) may   { return may{401, 401, ok, ok, 403, 403, 403} }
func couriersMay(ok int) may    { return may{401, 401, 403, 403, ok, ok, 403} }
func partiesMay(ok int) may     { return may{401, 401, ok, 403, ok, 403, ok} }  // the order's customer and courier, admins
func payersMay(ok int) may      { return may{401, 401, ok, 403, 403, 403, ok} } // the order's customer, admins
func deliverersMay(ok int) may  { return may{401, 401, 403, 403, ok, 403, ok} } // the order's courier, admins
func theCourierMay(ok int) may  { return may{401, 401, 403, 403, ok, 403, 403} }
func theCustomerMay(ok int) may { return may{401, 401, ok, 403, 403, 403, 403} }

// request is what is asked.
type request struct {
	path string
	body any
}

// text is the body as it is sent.
func (r request) text() string {
	if r.body == nil {
		return ""
	}
	text, err := json.Marshal(r.body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// permission is a row: who is answered what. ask makes a request that would do, if it may.
type permission struct {
	may may
	ask func(t *testing.T, w *ward) request
}

// at asks for a path with a body, which may be nil.
func at(path string, body any) func(*testing.T, *ward) request {
	return func(*testing.T, *ward) request { return request{path, body} }
}

// of asks about a fresh order of ada's that dave carries.
func of(path string, body func(o carried) any) func(*testing.T, *ward) request {
	return func(t *testing.T, w *ward) request {
		o := w.carried(t)
		path := strings.NewReplacer("{order}", o.order, "{payment}", o.payment, "{entry}", o.entry).Replace(path)
		if body == nil {
			return request{path, nil}
		}
		return request{path, body(o)}
	}
}

// ofAudited asks about a fresh order of ada's, once the audit has come to it.
func ofAudited(path string) func(*testing.T, *ward) request {
	return func(t *testing.T, w *ward) request {
		placed := w.must(t, 201, "POST", "/api/v1/orders", w.ada, orderOf(w.product))
		path := strings.ReplaceAll(path, "{order}", placed.body["id"].(string))
		return request{fmt.Sprintf("%s?min_seq=%d", path, placed.seq()), nil}
	}
}

func plain(v map[string]any) func(carried) any { return func(carried) any { return v } }

// The whole of the REST side. An operation that the server describes and that is not here fails the test.
var permissions = map[string]permission{
	"GET /health":       {everybodyMayAlso(200), at("/health", nil)},
	"GET /ready":        {everybodyMayAlso(200), at("/ready", nil)},
	"GET /metrics":      {everybodyMayAlso(200), at("/metrics", nil)},
	"GET /openapi.json": {everybodyMayAlso(200), at("/openapi.json", nil)},

	"GET /api/v1/business":          {everybodyMay(200), at("/api/v1/business", nil)},
	"PATCH /api/v1/business/status": {adminsMay(200), at("/api/v1/business/status", map[string]any{"isOpen": true})},

	"GET /api/v1/products":      {everybodyMay(200), at("/api/v1/products", nil)},
	"GET /api/v1/products/{id}": {everybodyMay(200), func(_ *testing.T, w *ward) request { return request{"/api/v1/products/" + w.product, nil} }},
	"POST /api/v1/products": {adminsMay(201), at("/api/v1/products",
		map[string]any{"name": "Chai", "description": "", "price": 150, "currency": "EUR", "available": true})},
	"PATCH /api/v1/products/{id}": {adminsMay(200), func(t *testing.T, w *ward) request {
		return request{"/api/v1/products/" + w.added(t), map[string]any{"price": 1}}
	}},
	"DELETE /api/v1/products/{id}": {adminsMay(200), func(t *testing.T, w *ward) request { return request{"/api/v1/products/" + w.added(t), nil} }},

	"POST /api/v1/orders":              {customersMay(201), func(_ *testing.T, w *ward) request { return request{"/api/v1/orders", orderOf(w.product)} }},
	"GET /api/v1/orders":               {anyUserMay(200), at("/api/v1/orders", nil)},
	"GET /api/v1/orders/{id}":          {partiesMay(200), of("/api/v1/orders/{order}", nil)},
	"PATCH /api/v1/orders/{id}/status": {deliverersMay(200), of("/api/v1/orders/{order}/status", plain(map[string]any{"status": "out_for_delivery"}))},
	"POST /api/v1/orders/{id}/cancel": {payersMay(200), func(t *testing.T, w *ward) request {
		return request{"/api/v1/orders/" + w.place(t, w.ada) + "/cancel", map[string]any{"reason": "changed my mind"}}
	}},
	"POST /api/v1/orders/{id}/assign": {adminsMay(200), func(t *testing.T, w *ward) request {
		return request{"/api/v1/orders/" + w.place(t, w.ada) + "/assign", map[string]any{"agentId": w.online(t)}}
	}},

	"POST /api/v1/orders/{id}/payments": {payersMay(201), func(t *testing.T, w *ward) request {
		return request{"/api/v1/orders/" + w.place(t, w.ada) + "/payments", map[string]any{"method": "card"}}
	}},
	"GET /api/v1/orders/{id}/payments":   {partiesMay(200), of("/api/v1/orders/{order}/payments", nil)}, // its courier: to know what to collect
	"GET /api/v1/payments/{id}":          {partiesMay(200), of("/api/v1/payments/{payment}", nil)},
	"POST /api/v1/payments/webhook":      {everybodyMay(200), webhookOfAFreshPayment},
	"POST /api/v1/payments/{id}/collect": {deliverersMay(200), of("/api/v1/payments/{payment}/collect", nil)},
	"POST /api/v1/payments/{id}/refund": {adminsMay(200), func(t *testing.T, w *ward) request {
		o := w.carried(t)
		w.must(t, 200, "POST", "/api/v1/payments/"+o.payment+"/collect", w.admin, nil)
		return request{"/api/v1/payments/" + o.payment + "/refund", map[string]any{"amount": 1, "reason": "cold"}}
	}},

	"PATCH /api/v1/delivery/status":          {couriersMay(200), at("/api/v1/delivery/status", map[string]any{"status": "online"})},
	"GET /api/v1/delivery/agents":            {adminsMay(200), at("/api/v1/delivery/agents", nil)},
	"GET /api/v1/delivery/agents/{id}":       {deliverersMay(200), of("/api/v1/delivery/agents/dave", nil)}, // a courier reads of itself
	"POST /api/v1/delivery/location":         {theCourierMay(200), of("/api/v1/delivery/location", func(o carried) any { return here(o.order) })},
	"GET /api/v1/delivery/orders/{id}/track": {partiesMay(200), of("/api/v1/delivery/orders/{order}/track", nil)},

	"GET /api/v1/offers":        {everybodyMay(200), at("/api/v1/offers", nil)},
	"GET /api/v1/offers/{code}": {everybodyMay(200), func(t *testing.T, w *ward) request { return request{"/api/v1/offers/" + w.offered(t), nil} }},
	"POST /api/v1/offers":       {adminsMay(201), func(*testing.T, *ward) request { return request{"/api/v1/offers", offerOf(newCode())} }},
	"PATCH /api/v1/offers/{code}": {adminsMay(200), func(t *testing.T, w *ward) request {
		return request{"/api/v1/offers/" + w.offered(t), map[string]any{"discountValue": 5}}
	}},
	"DELETE /api/v1/offers/{code}": {adminsMay(200), func(t *testing.T, w *ward) request { return request{"/api/v1/offers/" + w.offered(t), nil} }},
	"POST /api/v1/offers/{code}/check": {customersMay(200), func(t *testing.T, w *ward) request {
		return request{"/api/v1/offers/" + w.offered(t) + "/check", map[string]any{"items": orderOf(w.product)["items"]}}
	}},

	"GET /api/v1/notifications":             {anyUserMay(200), at("/api/v1/notifications", nil)},
	"POST /api/v1/notifications":            {adminsMay(201), at("/api/v1/notifications", map[string]any{"userId": "ada", "title": "Hello", "message": "There is cake", "type": "info"})},
	"PATCH /api/v1/notifications/{id}/read": {theCustomerMay(200), of("/api/v1/notifications/{entry}/read", nil)},
	"POST /api/v1/notifications/read-all":   {anyUserMay(200), at("/api/v1/notifications/read-all", nil)},

	"GET /api/v1/audit/orders/{id}":        {adminsMay(200), ofAudited("/api/v1/audit/orders/{order}")},
	"GET /api/v1/audit/orders/{id}/state":  {adminsMay(200), ofAudited("/api/v1/audit/orders/{order}/state")},
	"GET /api/v1/audit/events":             {adminsMay(200), at("/api/v1/audit/events", nil)},
	"GET /api/v1/audit/events/{seq}/proof": {adminsMay(200), at("/api/v1/audit/events/1/proof", nil)},
	"GET /api/v1/audit/verify":             {adminsMay(200), at("/api/v1/audit/verify", nil)},
	"GET /api/v1/audit/checkpoint":         {adminsMay(200), at("/api/v1/audit/checkpoint?min_seq=1", nil)},

	"GET /api/v1/feed":           {anyUserMay(200), at("/api/v1/feed", nil)},
	"GET /api/v1/events":         {anyUserMay(200), at("/api/v1/events", nil)},
	"POST /api/v1/events/ticket": {anyUserMay(201), at("/api/v1/events/ticket", nil)},
	"GET /api/v1/socket/status":  {adminsMay(200), at("/api/v1/socket/status", nil)},
	"GET /api/v1/metrics/socket": {adminsMay(200), at("/api/v1/metrics/socket", nil)},
}

// everybodyMayAlso is for what is outside of the API and looks at no token.
func everybodyMayAlso(ok int) may { return may{ok, ok, ok, ok, ok, ok, ok} }

func TestWhoMayAskForWhat(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	described := w.operations(t)
	for _, operation := range described {
		if _, ok := permissions[operation]; !ok {
			t.Errorf("%s has no row: say who may ask for it", operation)
		}
	}
	for _, operation := range slices.Sorted(maps.Keys(permissions)) {
		row := permissions[operation]
		method, pattern, _ := strings.Cut(operation, " ")
		if strings.HasPrefix(pattern, "/api/") && !slices.Contains(described, operation) {
			t.Errorf("%s has a row and is not there", operation)
		}
		var asked request
		for i, who := range askers {
			if asked.path == "" {
				asked = row.ask(t, w)
			}
			id := uuid.NewString()
			a := w.ask(t, method, asked.path, w.tokens[i], asked.text(), append(w.signature(asked), "X-Request-Id", id)...)
			if a.status != row.may[i] {
				t.Errorf("%s as %s is answered %d %v, want %d", operation, who, a.status, a.body, row.may[i])
			}
			if a.status < 300 && method != "GET" {
				asked = request{} // it is done: the next one needs another
			}
			if a.status == 401 || a.status == 403 {
				want := map[int][]any{401: {"unauthenticated", "token_expired"}, 403: {"forbidden"}}[a.status]
				if !slices.Contains(want, a.body["code"]) {
					t.Errorf("%s as %s is refused as %v, want one of %v", operation, who, a.body["code"], want)
				}
				if n := w.caused(t, id); n > 0 {
					t.Errorf("%s as %s was refused, and yet %d events came of it", operation, who, n)
				}
			}
		}
	}
}

// operations are those the server describes, as "GET /path".
func (w *ward) operations(t *testing.T) []string {
	t.Helper()
	paths, _ := w.must(t, 200, "GET", "/openapi.json", w.admin, nil).body["paths"].(map[string]any)
	var all []string
	for path, methods := range paths {
		for method := range methods.(map[string]any) {
			if slices.Contains([]string{"get", "post", "patch", "put", "delete"}, method) {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("the server describes only %v", all)
	}
	slices.Sort(all)
	return all
}

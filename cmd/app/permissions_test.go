package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/internal/pgtest"
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

	"GET /api/v1/feed":           {anyUserMay(200), at("/api/v1/feed", nil)},
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

// The socket's events. A refusal is a code, "" is none; without a good token a connection is closed before anything.
var socketPermissions = map[string]struct {
	data func(o carried) any
	may  map[int]string
}{
	"register":          {nil, nil}, // how each of them begins
	"ping":              {nil, nil},
	"refresh":           {nil, nil},
	"join:order":        {func(o carried) any { return map[string]any{"orderId": o.order} }, map[int]string{anotherCustomer: "forbidden", anotherCourier: "forbidden"}},
	"leave:order":       {func(o carried) any { return map[string]any{"orderId": o.order} }, nil},
	"join:delivery":     {func(carried) any { return map[string]any{"deliveryId": "dave"} }, map[int]string{anotherCustomer: "forbidden", anotherCourier: "forbidden"}},
	"leave:delivery":    {func(carried) any { return map[string]any{"deliveryId": "dave"} }, nil},
	"delivery:location": {func(o carried) any { return here(o.order) }, map[int]string{theCustomer: "forbidden", anotherCustomer: "forbidden", anotherCourier: "forbidden", theAdmin: "forbidden"}},
}

func TestWhoMaySendWhatOverTheSocket(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	for _, name := range w.clientEvents(t) {
		if _, ok := socketPermissions[name]; !ok {
			t.Errorf("%s has no row: say who may send it", name)
		}
	}
	o := w.carried(t)
	for i, who := range askers {
		for _, name := range slices.Sorted(maps.Keys(socketPermissions)) {
			row := socketPermissions[name]
			data := any(map[string]any{"token": w.tokens[i]})
			if row.data != nil {
				data = row.data(o)
			}
			got := w.send(t, w.tokens[i], name, data)
			want := row.may[i]
			switch i {
			case nobody:
				want = "4401 unauthenticated"
			case expired:
				want = "4401 token_expired"
			}
			if got != want {
				t.Errorf("%s as %s: %q, want %q", name, who, got, want)
			}
		}
	}
}

// send registers with a token, sends one event, and returns how it was refused: the code of the answer, or the close.
func (w *ward) send(t *testing.T, token, event string, data any) string {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+"/ws", nil) //nolint:bodyclose // the dialer has read it
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	messages := []map[string]any{{"event": "register", "data": map[string]any{"token": token}, "id": 1}}
	if event != "register" {
		messages = append(messages, map[string]any{"event": event, "data": data, "id": 2})
	}
	for _, m := range messages {
		if err := conn.WriteJSON(m); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		var f struct {
			Ack   int                    `json:"ack"`
			Error *struct{ Code string } `json:"error"`
		}
		if err := conn.ReadJSON(&f); err != nil {
			if closed, ok := err.(*websocket.CloseError); ok { //nolint:errorlint // as the library returns it
				return fmt.Sprintf("%d %s", closed.Code, closed.Text)
			}
			t.Fatalf("%s: %v", event, err)
		}
		if f.Ack != len(messages) {
			continue
		}
		if f.Error != nil {
			return f.Error.Code
		}
		return ""
	}
}

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

// clientEvents are those of the socket that the server describes.
func (w *ward) clientEvents(t *testing.T) []string {
	t.Helper()
	var document struct {
		Operations map[string]struct {
			Action   string
			Messages []struct {
				Ref string `json:"$ref"`
			}
		}
		Components struct {
			Messages map[string]struct{ Name string }
		}
	}
	w.into(t, "/asyncapi.json", &document)
	var all []string
	for _, o := range document.Operations {
		for _, m := range o.Messages {
			if o.Action == "receive" {
				all = append(all, document.Components.Messages[path.Base(m.Ref)].Name)
			}
		}
	}
	if len(all) < 8 {
		t.Fatalf("the server describes only %v", all)
	}
	return all
}

// into reads a document that everybody may read.
func (w *ward) into(t *testing.T, path string, into any) {
	t.Helper()
	text, err := json.Marshal(w.ask(t, "GET", path, "", "").body)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

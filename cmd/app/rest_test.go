package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

const nobodysID = "0190c0de-0000-7000-8000-00000000000f"

// ask sends a request as it is: without a token when there is none, and a body that may be no JSON.
func (s *server) ask(t *testing.T, method, path, token, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	said := io.Reader(response.Body)
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		said = io.LimitReader(said, int64(len("retry: "))) // it has no end
	}
	text, err := io.ReadAll(said)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: map[string]any{}}
	_ = json.Unmarshal(text, &a.body) // not everything is JSON
	if err := s.rest.Check(method, path, a.status, a.header, text); err != nil {
		t.Error(err)
	}
	return a
}

// shop is a server with a pizza at 9.50 EUR on its menu, and those who use it.
type shop struct {
	*server
	product               string
	admin, ada, bob, dave string
}

func openedShop(t *testing.T) shop {
	t.Helper()
	return openedShopOn(t, pgtest.Database(t))
}

// openedShopOn is an opened shop on a database that the test also looks into.
func openedShopOn(t *testing.T, url string) shop {
	t.Helper()
	s := start(t, serverSettings(t, url))
	return shop{
		server: s, product: s.openShop(t), // seq 1 and 2
		admin: tokenFor(t, "boss", domain.RoleAdmin), dave: tokenFor(t, "dave", domain.RoleDelivery),
		ada: tokenFor(t, "ada", domain.RoleCustomer), bob: tokenFor(t, "bob", domain.RoleCustomer),
	}
}

func (s shop) place(t *testing.T, token string) (order string) {
	t.Helper()
	return s.must(t, 201, "POST", "/api/v1/orders", token, orderOf(s.product)).body["id"].(string)
}

func (s shop) move(t *testing.T, order, status string) answer {
	t.Helper()
	return s.must(t, 200, "PATCH", "/api/v1/orders/"+order+"/status", s.admin, map[string]any{"status": status})
}

// inbox waits until a user's inbox has so many entries, and returns what they are called, oldest first.
func (s *server) inbox(t *testing.T, token string, entries int) (titles []string) {
	t.Helper()
	parttest.Eventually(t, fmt.Sprintf("%d entries in the inbox", entries), func() bool {
		titles = nil
		for _, item := range s.must(t, 200, "GET", "/api/v1/notifications", token, nil).body["items"].([]any) {
			titles = append(titles, item.(map[string]any)["title"].(string))
		}
		return len(titles) >= entries
	})
	slices.Reverse(titles)
	return titles
}

// refused checks a problem: its status, its code, and that it says itself what it is.
func refused(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.body["code"] != code {
		t.Errorf("got %d %v, want %d %s", a.status, a.body, status, code)
	}
	if a.header.Get("Content-Type") != "application/problem+json" || a.body["status"] != float64(a.status) || a.body["title"] == "" {
		t.Errorf("no RFC 9457 problem: %s %v", a.header.Get("Content-Type"), a.body)
	}
}

func TestAnOrdersLife(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	orders := "/api/v1/orders"

	s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": false, "message": "back at six"})
	a := s.must(t, 409, "POST", orders, s.ada, orderOf(s.product))
	refused(t, a, 409, "business_closed")
	s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": true})

	// The price is the menu's, whatever the client says, and stays the one of the moment.
	body := orderOf(s.product)
	body["totalAmount"] = 1
	body["items"].([]map[string]any)[0]["price"] = 1
	placed := s.must(t, 201, "POST", orders, s.ada, body)
	for field, want := range map[string]any{
		"status": "placed", "subtotal": 1900.0, "discount": 0.0, "totalAmount": 1900.0, "currency": "EUR", "customerName": "ADA",
	} {
		if placed.body[field] != want {
			t.Errorf("%s is %v, want %v", field, placed.body[field], want)
		}
	}
	if placed.body["orderNumber"] == "" || len(placed.body["items"].([]any)) != 1 {
		t.Errorf("got %v", placed.body)
	}
	s.must(t, 200, "PATCH", "/api/v1/products/"+s.product, s.admin, map[string]any{"price": 1})
	one := orders + "/" + placed.body["id"].(string)

	// Every command's answer says how far a read must be to show it.
	seq := placed.seq()
	for _, step := range []string{"confirmed", "preparing", "ready", "out_for_delivery", "delivered"} {
		for _, wrong := range []string{"placed", "delivered", "cancelled"} {
			if wrong == step {
				continue
			}
			a := s.must(t, 409, "PATCH", one+"/status", s.admin, map[string]any{"status": wrong})
			refused(t, a, 409, "invalid_transition")
			if allowed := fmt.Sprint(a.body["allowed"]); allowed != "["+step+"]" {
				t.Errorf("before %s, %s is refused and allowed are %s", step, wrong, allowed)
			}
		}
		a := s.move(t, placed.body["id"].(string), step)
		if a.body["status"] != step || a.seq() <= seq {
			t.Errorf("got %v at %d after %d", a.body["status"], a.seq(), seq)
		}
		seq = a.seq()
		read := s.must(t, 200, "GET", fmt.Sprintf("%s?min_seq=%d", one, seq), s.ada, nil)
		if read.body["status"] != step || read.seq() < seq || read.body["totalAmount"] != 1900.0 {
			t.Errorf("read %v at %d", read.body, read.seq())
		}
	}
	refused(t, s.must(t, 409, "POST", one+"/cancel", s.admin, map[string]any{"reason": "late"}), 409, "invalid_transition")

	want := "Order received, Order confirmed, Order preparing, Order ready, Order out for delivery, Order delivered"
	if got := strings.Join(s.inbox(t, s.ada, 6), ", "); got != want {
		t.Errorf("ada's inbox has %s\nwant %s", got, want)
	}
	if got := s.inbox(t, s.bob, 0); len(got) > 0 {
		t.Errorf("bob's inbox has %v", got)
	}
}

func TestWhoMayCancelAndUntilWhen(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	steps := []string{"confirmed", "preparing", "ready", "out_for_delivery", "delivered"}
	for _, tc := range []struct {
		who, token string
		last       string // the last status it can be cancelled from
	}{{"its customer", s.ada, "confirmed"}, {"an admin", s.admin, "out_for_delivery"}} {
		for i := range len(steps) + 1 {
			order, at := s.place(t, s.ada), "placed"
			for _, step := range steps[:i] {
				s.move(t, order, step)
				at = step
			}
			want := 409
			if i <= slices.Index(steps, tc.last)+1 {
				want = 200
			}
			a := s.must(t, want, "POST", "/api/v1/orders/"+order+"/cancel", tc.token, map[string]any{"reason": "changed my mind"})
			if want == 200 && a.body["status"] != "cancelled" {
				t.Errorf("%s at %s: %v", tc.who, at, a.body)
			}
			if want == 409 {
				refused(t, a, 409, "invalid_transition")
			}
		}
	}
}

func TestARepeatedRequestIsAnsweredAgainAndDoneOnce(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	place := func(token string, body map[string]any, key string) answer {
		a, err := s.call(t.Context(), "POST", "/api/v1/orders", token, body, "Idempotency-Key", key)
		if err != nil {
			t.Error(err)
		}
		return a
	}
	// Twenty at once are one, with one entry in the inbox behind it.
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = place(s.ada, orderOf(s.product), "a") })
	}
	wg.Wait()
	first := 0
	for _, a := range answers {
		if a.status != 201 || a.body["id"] != answers[0].body["id"] || a.seq() != 3 {
			t.Errorf("got %d %v at %d", a.status, a.body["id"], a.seq())
		}
		if a.header.Get("Idempotent-Replayed") != "true" {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d were answered as the first", first)
	}

	s.await(t, 4)

	other := orderOf(s.product)
	other["note"] = "no onions"
	refused(t, place(s.ada, other, "a"), 422, "idempotency_mismatch")
	if a := place(s.bob, orderOf(s.product), "a"); a.status != 201 || a.header.Get("Idempotent-Replayed") != "" || a.seq() != 5 {
		t.Errorf("another user's key is another: %d %v at %d", a.status, a.body, a.seq())
	}
	// The first answer is given again whatever has become of the world.
	s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": false})
	if a := place(s.ada, orderOf(s.product), "a"); a.status != 201 || a.body["id"] != answers[0].body["id"] || a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("got %d %v", a.status, a.body)
	}
	// A refusal is no answer to keep.
	refused(t, place(s.ada, orderOf(s.product), "b"), 409, "business_closed")
	s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": true})
	if a := place(s.ada, orderOf(s.product), "b"); a.status != 201 {
		t.Errorf("got %d %v", a.status, a.body)
	}
	if got := s.inbox(t, s.ada, 2); len(got) != 2 {
		t.Errorf("of two orders ada's inbox has %v", got)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	order := "/api/v1/orders/" + s.place(t, s.ada)
	product := func(available bool) string {
		return s.must(t, 201, "POST", "/api/v1/products", s.admin, map[string]any{
			"name": "Calzone", "description": "", "price": 1100, "currency": "EUR", "available": available,
		}).body["id"].(string)
	}
	off, gone := product(false), product(true)
	s.must(t, 200, "DELETE", "/api/v1/products/"+gone, s.admin, nil)
	of := func(product string) string {
		return fmt.Sprintf(`{"items":[{"product":%q,"quantity":1}],"deliveryAddress":"Via Roma 1","paymentMethod":"cod"}`, product)
	}
	good := of(s.product)
	expired := output(t, []string{"token", "--user", "ada", "--role", "customer", "--ttl", "1ns"}, serverSettings(t, "postgres://x"))

	for name, tc := range map[string]struct {
		token, method, path, body string
		status                    int
		code                      string
	}{
		"no token":                      {"", "GET", "/api/v1/orders", "", 401, "unauthenticated"},
		"no token for the feed":         {"", "GET", "/api/v1/feed", "", 401, "unauthenticated"},
		"a token that is none":          {"x", "GET", "/api/v1/orders", "", 401, "unauthenticated"},
		"a token without signature":     {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwicm9sZSI6ImFkbWluIiwiZXhwIjo0MDAwMDAwMDAwfQ.", "GET", "/api/v1/orders", "", 401, "unauthenticated"},
		"a token that has expired":      {expired, "GET", "/api/v1/orders", "", 401, "token_expired"},
		"a customer opens":              {s.ada, "PATCH", "/api/v1/business/status", `{"isOpen":true}`, 403, "forbidden"},
		"a customer adds to the menu":   {s.ada, "POST", "/api/v1/products", `{}`, 403, "forbidden"},
		"an admin orders":               {s.admin, "POST", "/api/v1/orders", good, 403, "forbidden"},
		"another's order":               {s.bob, "GET", order, "", 403, "forbidden"},
		"another's orders":              {s.bob, "GET", "/api/v1/orders?customer=ada", "", 403, "forbidden"},
		"a courier without it":          {s.dave, "GET", order, "", 403, "forbidden"},
		"a courier moves it":            {s.dave, "PATCH", order + "/status", `{"status":"confirmed"}`, 403, "forbidden"},
		"a customer moves it":           {s.ada, "PATCH", order + "/status", `{"status":"confirmed"}`, 403, "forbidden"},
		"another cancels":               {s.bob, "POST", order + "/cancel", `{"reason":"x"}`, 403, "forbidden"},
		"an unknown path":               {s.ada, "GET", "/api/v1/pizzas", "", 404, "not_found"},
		"an unknown order":              {s.ada, "GET", "/api/v1/orders/" + nobodysID, "", 404, "not_found"},
		"an unknown product":            {s.ada, "POST", "/api/v1/orders", of(nobodysID), 404, "not_found"},
		"an offer there is none of":     {s.ada, "POST", "/api/v1/orders", strings.Replace(good, "{", `{"offerCode":"SAVE",`, 1), 404, "offer_not_found"},
		"a wrong method":                {s.ada, "PUT", "/api/v1/orders", good, 405, "method_not_allowed"},
		"a product that is off":         {s.ada, "POST", "/api/v1/orders", of(off), 409, "product_unavailable"},
		"a product that is gone":        {s.ada, "POST", "/api/v1/orders", of(gone), 409, "product_unavailable"},
		"no JSON":                       {s.ada, "POST", "/api/v1/orders", `{"items":`, 400, "invalid_request"},
		"no body":                       {s.ada, "POST", "/api/v1/orders", "", 400, "invalid_request"},
		"no items":                      {s.ada, "POST", "/api/v1/orders", `{"items":[],"deliveryAddress":"x","paymentMethod":"cod"}`, 400, "invalid_request"},
		"none of a thing":               {s.ada, "POST", "/api/v1/orders", strings.Replace(good, ":1}", ":0}", 1), 400, "invalid_request"},
		"a quantity in words":           {s.ada, "POST", "/api/v1/orders", strings.Replace(good, ":1}", `:"1"}`, 1), 400, "invalid_request"},
		"an unknown way to pay":         {s.ada, "POST", "/api/v1/orders", strings.Replace(good, "cod", "gold", 1), 400, "invalid_request"},
		"an unknown status":             {s.admin, "PATCH", order + "/status", `{"status":"eaten"}`, 400, "invalid_request"},
		"cancelled for no reason":       {s.ada, "POST", order + "/cancel", `{}`, 400, "invalid_request"},
		"half a cent":                   {s.admin, "PATCH", "/api/v1/products/" + s.product, `{"price":0.5}`, 400, "invalid_request"},
		"an id that is none":            {s.ada, "GET", "/api/v1/orders/7", "", 400, "invalid_request"},
		"a limit of 0":                  {s.ada, "GET", "/api/v1/orders?limit=0", "", 400, "invalid_request"},
		"a limit of 201":                {s.ada, "GET", "/api/v1/products?limit=201", "", 400, "invalid_request"},
		"a cursor that is none":         {s.ada, "GET", "/api/v1/orders?cursor=x", "", 400, "invalid_request"},
		"a body that is too large":      {s.ada, "POST", "/api/v1/orders", good + strings.Repeat(" ", 64<<10), 413, "message_too_large"},
		"a seq that has not come (2 s)": {s.ada, "GET", "/api/v1/orders?min_seq=1000", "", 503, "projection_behind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, s.ask(t, tc.method, tc.path, tc.token, tc.body), tc.status, tc.code)
		})
	}
	t.Run("a form", func(t *testing.T) {
		t.Parallel()
		a := s.ask(t, "POST", "/api/v1/orders", s.ada, good, "Content-Type", "application/x-www-form-urlencoded")
		refused(t, a, 415, "unsupported_media_type")
	})
}

func TestListsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	var adas []string
	for range 5 {
		adas = append(adas, s.place(t, s.ada))
		s.place(t, s.bob)
	}
	s.move(t, adas[0], "confirmed")
	const last = 2 + 2*11 // each of the eleven changes makes an entry in an inbox
	s.await(t, last)
	read := func(token, query string) (ids []string) {
		t.Helper()
		for cursor := ""; ; {
			a := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/orders?min_seq=%d&limit=2&cursor=%s&%s", last, cursor, query), token, nil)
			if a.seq() != last {
				t.Errorf("read at %d, want %d", a.seq(), last)
			}
			for _, item := range a.body["items"].([]any) {
				ids = append(ids, item.(map[string]any)["id"].(string))
			}
			next, more := a.body["next"].(string)
			if !more {
				return ids
			}
			cursor = next
		}
	}
	slices.Reverse(adas) // newest first
	for _, tc := range []struct {
		who, token, query string
		want              []string
	}{
		{"a customer, its own", s.ada, "", adas},
		{"an admin, a customer's", s.admin, "customer=ada", adas},
		{"by status", s.ada, "status=confirmed", adas[4:]},
		{"by another status", s.ada, "status=placed", adas[:4]},
		{"before there were any", s.ada, "to=2020-01-01T00:00:00Z", nil},
		{"since there are any", s.ada, "from=2020-01-01T00:00:00Z", adas},
		{"a courier without any", s.dave, "", nil},
	} {
		if got := read(tc.token, tc.query); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.who, got, tc.want)
		}
	}
	if got := read(s.admin, ""); len(got) != 10 {
		t.Errorf("an admin sees %d of 10", len(got))
	}
}

func TestWhatStandsOutsideTheAPI(t *testing.T) {
	t.Parallel()
	s := start(t, serverSettings(t, pgtest.Database(t)))
	for path, contentType := range map[string]string{
		"/health": "application/json", "/ready": "application/json", "/docs": "text/html; charset=utf-8", "/openapi.json": "application/openapi+json",
	} {
		a := s.ask(t, "GET", path, "", "")
		if got := a.header.Get("Content-Type"); a.status != 200 || got != contentType {
			t.Errorf("%s answered %d %s", path, a.status, got)
		}
	}
	// Nothing has happened yet: that is a state too.
	a := s.ask(t, "GET", "/api/v1/business", "", "")
	if a.status != 200 || a.body["isOpen"] != false || a.header.Get("X-Seq") != "0" {
		t.Errorf("got %d %v at %s", a.status, a.body, a.header.Get("X-Seq"))
	}
	for origin, allowed := range map[string]string{"http://localhost:3000": "http://localhost:3000", "https://evil.example": ""} {
		a := s.ask(t, "GET", "/api/v1/business", "", "", "Origin", origin)
		if got := a.header.Get("Access-Control-Allow-Origin"); got != allowed {
			t.Errorf("%s is allowed as %q", origin, got)
		}
	}
	a = s.ask(t, "OPTIONS", "/api/v1/orders", "", "", "Origin", "http://localhost:3000", "Access-Control-Request-Method", "POST")
	for _, header := range []string{"Authorization", "Content-Type", "Idempotency-Key", "X-Min-Seq"} {
		if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), header) {
			t.Errorf("a script may not send %s", header)
		}
	}
	if exposed := s.ask(t, "GET", "/health", "", "", "Origin", "http://localhost:3000").header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "X-Seq") {
		t.Errorf("a script may read only %s", exposed)
	}
}

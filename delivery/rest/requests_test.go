package rest

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

func TestRequestsThatAreNotValid(t *testing.T) {
	t.Parallel()
	orders, products := prefix+"/orders", prefix+"/products"
	one := products + "/" + productID.String()
	for name, tc := range map[string]struct {
		method, path, token string
		more                []string
		location            string // of the first fault
	}{
		"broken JSON":                   {"POST", orders, "asha", []string{`{"items":`}, "body"},
		"something after the JSON":      {"POST", orders, "asha", []string{place + "{}"}, "body"},
		"no body":                       {"POST", orders, "asha", nil, ""},
		"not an object":                 {"POST", orders, "asha", []string{`[]`}, "body"},
		"a field in other letters":      {"PATCH", prefix + "/business/status", "admin", []string{`{"IsOpen":true}`}, "body"},
		"a missing field":               {"POST", orders, "asha", []string{strings.Replace(place, `"deliveryAddress":"12 Hill Rd",`, "", 1)}, "body"},
		"a product that is no UUID":     {"POST", orders, "asha", []string{strings.Replace(place, productID.String(), "dosa", 1)}, "body.items[0].product"},
		"no items":                      {"POST", orders, "asha", []string{`{"items":[],"deliveryAddress":"x","paymentMethod":"cod"}`}, "body.items"},
		"items that are null":           {"POST", orders, "asha", []string{`{"items":null,"deliveryAddress":"x","paymentMethod":"cod"}`}, "body.items"},
		"a quantity of 0":               {"POST", orders, "asha", []string{strings.Replace(place, ":2}", ":0}", 1)}, "body.items[0].quantity"},
		"half a thing":                  {"POST", orders, "asha", []string{strings.Replace(place, ":2}", ":1.5}", 1)}, "body.items[0].quantity"},
		"an unknown payment method":     {"POST", orders, "asha", []string{strings.Replace(place, "cod", "gold", 1)}, "body.paymentMethod"},
		"a number as text":              {"PATCH", one, "admin", []string{`{"price":"90"}`}, "body.price"},
		"a number that fits nowhere":    {"PATCH", one, "admin", []string{`{"price":1e30}`}, "body"},
		"a body that is no UTF-8":       {"PATCH", one, "admin", []string{"{\"name\":\"\xff\"}"}, "body"},
		"an id that is no UUID":         {"GET", orders + "/7", "asha", nil, "path.id"},
		"an unknown status":             {"PATCH", orders + "/" + orderID.String() + "/status", "admin", []string{`{"status":"eaten"}`}, "body.status"},
		"a filter by an unknown status": {"GET", orders + "?status=eaten", "admin", nil, "query.status"},
		"a filter with a zero byte":     {"GET", orders + "?customer=a%00b", "admin", nil, "query.customer"},
		"a time that is none":           {"GET", orders + "?from=yesterday", "admin", nil, "query.from"},
		"from after to":                 {"GET", orders + "?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "admin", nil, "query.from"},
		"a limit of 0":                  {"GET", orders + "?limit=0", "admin", nil, "query.limit"},
		"a limit of 201":                {"GET", products + "?limit=201", "", nil, "query.limit"},
		"a limit that is no number":     {"GET", prefix + "/feed?limit=x", "asha", nil, "query.limit"},
		"a negative lastSeq":            {"GET", prefix + "/feed?lastSeq=-1", "asha", nil, "query.lastSeq"},
		"a lastSeq that is no number":   {"GET", prefix + "/feed?lastSeq=1.5", "asha", nil, "query.lastSeq"},
		"a negative min_seq":            {"GET", prefix + "/business?min_seq=-1", "", nil, "query.min_seq"},
		"a min_seq that is no number":   {"GET", prefix + "/business", "", []string{"X-Min-Seq: soon"}, "header.X-Min-Seq"},
		"an empty idempotency key":      {"POST", orders, "asha", []string{place, "Idempotency-Key: "}, "header.Idempotency-Key"},
		"a key of 256 characters":       {"POST", orders, "asha", []string{place, "Idempotency-Key: " + strings.Repeat("k", 256)}, "header.Idempotency-Key"},
		"a key with a space":            {"POST", orders, "asha", []string{place, "Idempotency-Key: a b"}, "header.Idempotency-Key"},
		"a key that is not ASCII":       {"POST", orders, "asha", []string{place, "Idempotency-Key: schlüssel"}, "header.Idempotency-Key"},
		"two keys":                      {"POST", orders, "asha", []string{place, "Idempotency-Key: a", "Idempotency-Key: b"}, "header.Idempotency-Key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			got := ask(t, w.handler(t), tc.method, tc.path, tc.token, tc.more...)
			refused(t, got, 400, "invalid_request")
			if got.body["detail"] == "" {
				t.Error("says nothing")
			}
			if tc.location != "" {
				faults, _ := got.body["errors"].([]any)
				if len(faults) == 0 {
					t.Fatalf("no errors: %s", got.text)
				}
				fault, _ := faults[0].(map[string]any)
				if fault["location"] != tc.location || fault["message"] == "" {
					t.Errorf("got %v, want a fault at %s", fault, tc.location)
				}
			}
			for _, inside := range []string{"Go ", "struct", "rest.", `"value"`} {
				if strings.Contains(got.text, inside) {
					t.Errorf("shows the program's inside: %s", got.text)
				}
			}
			if len(w.cmds)+len(w.queries) > 0 {
				t.Error("went on all the same")
			}
		})
	}
}

func TestRightsComeBeforeTheForm(t *testing.T) {
	t.Parallel()
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "asha", `{"broken":`), 403, "forbidden")
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "", `{"broken":`), 401, "unauthenticated")
	form := "Content-Type: text/plain"
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "", `{}`, form), 401, "unauthenticated")
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "asha", "{\"\xff\"", form), 403, "forbidden")
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "admin", `{}`, form), 415, "unsupported_media_type")
}

func TestBodies(t *testing.T) {
	t.Parallel()
	pad := func(n int) string { return place + strings.Repeat(" ", n-len(place)) }
	for name, tc := range map[string]struct {
		more   []string
		status int
		code   string
	}{
		"64 KiB":                 {[]string{pad(64 << 10)}, 201, ""},
		"one byte more":          {[]string{pad(64<<10 + 1)}, 413, "message_too_large"},
		"JSON with its charset":  {[]string{place, "Content-Type: application/json; charset=utf-8"}, 201, ""},
		"JSON by another name":   {[]string{place, "Content-Type: application/vnd.shop+json"}, 201, ""},
		"a form":                 {[]string{place, "Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		"a type that is none":    {[]string{place, "Content-Type: ;"}, 415, "unsupported_media_type"},
		"compressed":             {[]string{place, "Content-Encoding: gzip"}, 415, "unsupported_media_type"},
		"an Accept for anything": {[]string{place, "Accept: text/html"}, 201, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, newWorld().handler(t), "POST", prefix+"/orders", "asha", tc.more...)
			if tc.code != "" {
				refused(t, got, tc.status, tc.code)
			} else if got.status != tc.status || got.header.Get("Content-Type") != "application/json" {
				t.Fatalf("got %d %s: %s", got.status, got.header.Get("Content-Type"), got.text)
			}
		})
	}
}

// A body that never ends is cut off by the server and not read to its end.
func TestABodyWithoutLength(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(newWorld().handler(t))
	defer srv.Close()
	endless := io.MultiReader(strings.NewReader(`{"note":"`), neverEnding('x'))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+prefix+"/orders", endless)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer asha")
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("got %s", resp.Status)
	}
	srv.Client().CloseIdleConnections()
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for _, path := range []string{"/", "/api/v1/", "/api/v1/nothing", "/api/v1/orders/", "/openapi-3.0.json", "/schemas/Order.json"} {
		refused(t, ask(t, h, "GET", path, ""), 404, "not_found")
	}
	for path, allow := range map[string]string{prefix + "/orders": "GET, HEAD, POST", prefix + "/business/status": "PATCH", "/health": "GET, HEAD"} {
		got := ask(t, h, "PUT", path, "")
		refused(t, got, 405, "method_not_allowed")
		if got.header.Get("Allow") != allow {
			t.Errorf("%s allows %q, want %q", path, got.header.Get("Allow"), allow)
		}
	}
	refused(t, ask(t, h, "GET", prefix+"/orders/"+unknownID.String(), "asha"), 404, "not_found")
	refused(t, ask(t, h, "GET", prefix+"/products/"+unknownID.String(), ""), 404, "not_found")
}

func TestErrorsOfTheCommands(t *testing.T) {
	t.Parallel()
	step := domain.Errorf(domain.CodeInvalidTransition, "no").With("from", "placed").With("allowed", []string{"confirmed"}).
		With("status", 200).With("code", "fine").With("detail", "fine")
	for name, tc := range map[string]struct {
		err    error
		status int
		code   string
		retry  bool
		logged bool
	}{
		"a refusal":             {domain.Errorf(domain.CodeBusinessClosed, "closed"), 409, "business_closed", false, false},
		"a wrong step":          {step, 409, "invalid_transition", false, false},
		"a key used otherwise":  {domain.Errorf(domain.CodeIdempotencyMismatch, "no"), 422, "idempotency_mismatch", false, false},
		"too much at once":      {domain.Errorf(domain.CodeOverloaded, "no"), 503, "overloaded", true, false},
		"an unknown outcome":    {domain.Errorf(domain.CodeOutcomeUnknown, "?").WithCause(errSecret), 503, "outcome_unknown", true, false},
		"something unexpected":  {errSecret, 500, "internal", false, true},
		"internal by its code":  {domain.Errorf(domain.CodeInternal, "hunter2").WithCause(errSecret), 500, "internal", false, true},
		"a code without a row":  {domain.Errorf("surprise", "boo"), 500, "surprise", false, false},
		"a broken connection":   {errors.Join(errSecret, io.ErrUnexpectedEOF), 503, "unavailable", true, true},
		"PostgreSQL shuts down": {sqlState("57P01"), 503, "unavailable", true, true},
		"a wrong statement":     {sqlState("42601"), 500, "internal", false, true},
		"a stopped appender":    {domain.Errorf(domain.CodeUnavailable, "stopping").WithCause(eventstore.ErrClosed), 503, "unavailable", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.fail = tc.err
			got := ask(t, w.handler(t), "POST", prefix+"/orders", "asha", place)
			refused(t, got, tc.status, tc.code)
			if (got.header.Get("Retry-After") != "") != tc.retry {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
			if strings.Contains(got.text, "hunter2") {
				t.Errorf("shows what went wrong inside: %s", got.text)
			}
			if strings.Contains(w.log.String(), "a request failed") != tc.logged {
				t.Errorf("log: %s", w.log.String())
			}
		})
	}
	w := newWorld()
	w.fail = step
	got := ask(t, w.handler(t), "POST", prefix+"/orders", "asha", place)
	refused(t, got, 409, "invalid_transition") // members cannot replace the problem's own
	if allowed, _ := got.body["allowed"].([]any); len(allowed) != 1 || got.body["from"] != "placed" || got.body["detail"] != "no" {
		t.Errorf("members are missing: %s", got.text)
	}
}

type sqlState string

func (s sqlState) Error() string    { return "password=hunter2 " + string(s) }
func (s sqlState) SQLState() string { return string(s) }

func TestAFieldTheDomainRefusesIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = domain.Invalid("items[0].quantity", "must be 1 to 999")
	got := ask(t, w.handler(t), "POST", prefix+"/orders", "asha", place)
	refused(t, got, 400, "invalid_request")
	if !strings.Contains(got.text, `"errors":[{"location":"body.items[0].quantity","message":"must be 1 to 999"}]`) {
		t.Error(got.text)
	}
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.panics = true
	got := ask(t, w.handler(t), "POST", prefix+"/orders", "asha", place)
	refused(t, got, 500, "internal")
	if strings.Contains(got.text, "secret of the house") {
		t.Error("shows the panic")
	}
	if !strings.Contains(w.log.String(), "secret of the house") || !strings.Contains(w.log.String(), got.header.Get("X-Request-Id")) {
		t.Errorf("the log does not tell of it: %s", w.log.String())
	}
}

func TestCommandsKnowWhoAsksAndFromWhere(t *testing.T) {
	t.Parallel()
	w := newWorld()
	id := uuid.NewString()
	got := ask(t, w.handler(t), "POST", prefix+"/orders", "asha", place, "X-Request-Id: "+id, "Idempotency-Key: k-1")
	if got.status != 201 || got.header.Get("Location") != prefix+"/orders/"+orderID.String() || got.header.Get("X-Seq") != "50" {
		t.Fatalf("got %d %v", got.status, got.header)
	}
	req := w.requests[0]
	want := commands.Request{
		Actor: domain.Actor{UserID: "asha", Role: domain.RoleCustomer, Name: "Asha"}, Key: "k-1",
		CorrelationID: id, RemoteAddr: "192.0.2.7", Fingerprint: req.Fingerprint,
	}
	if req.Actor != want.Actor || req.Key != want.Key || req.CorrelationID != want.CorrelationID || req.RemoteAddr != want.RemoteAddr {
		t.Errorf("got %+v, want %+v", req, want)
	}
	if got.header.Get("X-Request-Id") != id {
		t.Errorf("another request id: %s", got.header.Get("X-Request-Id"))
	}
	cmd, _ := w.cmds[0].(commands.PlaceOrder)
	if len(cmd.Items) != 1 || cmd.Items[0] != (commands.OrderItem{Product: productID.String(), Quantity: 2}) || cmd.DeliveryAddress != "12 Hill Rd" || cmd.PaymentMethod != "cod" {
		t.Errorf("got %+v", cmd)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for _, given := range []string{"", "7", "'; drop table events", "urn:uuid:" + uuid.NewString(), "{" + uuid.NewString() + "}"} {
		more := []string{}
		if given != "" {
			more = append(more, "X-Request-Id: "+given)
		}
		got := ask(t, h, "GET", "/health", "", more...).header.Get("X-Request-Id")
		if _, err := uuid.Parse(got); err != nil || got == given {
			t.Errorf("%q was answered with %q", given, got)
		}
	}
}

func TestTheFingerprintIsOfWhatIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	pid := prefix + "/products/" + productID.String()
	ask(t, h, "PATCH", pid, "admin", `{"price":1}`)
	ask(t, h, "PATCH", pid, "admin", `{"price":1}`, "X-Request-Id: "+uuid.NewString(), "Content-Type: application/json")
	ask(t, h, "PATCH", pid, "admin", `{"price":2}`)
	ask(t, h, "PATCH", pid, "admin", `{ "price":1}`)
	ask(t, h, "PATCH", prefix+"/products/"+unknownID.String(), "admin", `{"price":1}`)
	ask(t, h, "DELETE", pid, "admin", `{"price":1}`)
	first := w.requests[0].Fingerprint
	if len(first) != 32 {
		t.Fatalf("%d bytes", len(first))
	}
	for i, r := range w.requests[1:] {
		if same := bytes.Equal(r.Fingerprint, first); same != (i == 0) {
			t.Errorf("request %d: same fingerprint: %v", i+1, same)
		}
	}
}

func TestAReplayLooksLikeTheFirstAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld()
	first := ask(t, w.handler(t), "POST", prefix+"/orders", "asha", place, "Idempotency-Key: k")
	w.replayed = true
	again := ask(t, w.handler(t), "POST", prefix+"/orders", "asha", place, "Idempotency-Key: k")
	if again.status != first.status || again.text != first.text || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("first %d %s, again %d %s", first.status, first.text, again.status, again.text)
	}
	if first.header.Get("Idempotent-Replayed") != "" || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("first %q, again %q", first.header.Get("Idempotent-Replayed"), again.header.Get("Idempotent-Replayed"))
	}
}

func TestWhatCommandsAreAsked(t *testing.T) {
	t.Parallel()
	price, off := int64(1), false
	for _, tc := range []struct {
		method, path, body string
		want               any
	}{
		{"PATCH", "/business/status", `{"isOpen":true,"message":"hi"}`, commands.SetBusinessStatus{IsOpen: true, BusinessName: "Kitchen", Message: "hi"}},
		{"PATCH", "/business/status", `{"isOpen":false}`, commands.SetBusinessStatus{BusinessName: "Kitchen"}},
		{"POST", "/products", `{"name":"Dosa","price":9000,"currency":"INR"}`, commands.AddProduct{Name: "Dosa", Price: 9000, Currency: "INR", Available: true}},
		{"POST", "/products", `{"name":"Dosa","description":"d","price":0,"currency":"INR","available":false}`, commands.AddProduct{Name: "Dosa", Description: "d", Currency: "INR"}},
		{"PATCH", "/products/" + productID.String(), `{"price":1,"available":false}`, commands.UpdateProduct{ProductID: productID, Price: &price, Available: &off}},
		{"PATCH", "/products/" + productID.String(), `{"price":1,"available":false,"name":null}`, commands.UpdateProduct{ProductID: productID, Price: &price, Available: &off}},
		{"DELETE", "/products/" + productID.String(), ``, commands.ArchiveProduct{ProductID: productID}},
		{"PATCH", "/orders/" + orderID.String() + "/status", `{"status":"placed","message":"m"}`, commands.ChangeOrderStatus{OrderID: orderID, Status: "placed", Message: "m"}},
		{"PATCH", "/business/status", `{"isOpen":true,"since":[1]}`, commands.SetBusinessStatus{IsOpen: true, BusinessName: "Kitchen"}}, // what nobody knows is passed over
		{"POST", "/orders/" + orderID.String() + "/cancel", `{"reason":"late"}`, commands.CancelOrder{OrderID: orderID, Reason: "late"}},
	} {
		t.Run(tc.method+tc.path+tc.body, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			h := w.handler(t, func(c *Config) { c.BusinessName = "Kitchen" })
			if got := ask(t, h, tc.method, prefix+tc.path, "admin", tc.body); len(w.cmds) != 1 {
				t.Fatalf("got %d: %s", got.status, got.text)
			}
			if !sameJSON(t, w.cmds[0], tc.want) {
				t.Errorf("got %+v, want %+v", w.cmds[0], tc.want)
			}
		})
	}
}

func TestAPriceFromTheClientChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	body := strings.Replace(place, `"quantity"`, `"price":1,"unitPrice":1,"quantity"`, 1)
	body = strings.Replace(body, "{", `{"totalAmount":1,`, 1)
	h := w.handler(t)
	ask(t, h, "POST", prefix+"/orders", "asha", place)
	if got := ask(t, h, "POST", prefix+"/orders", "asha", body); got.status != 201 || len(w.cmds) != 2 {
		t.Fatalf("got %d: %s", got.status, got.text)
	}
	if !sameJSON(t, w.cmds[1], w.cmds[0]) {
		t.Errorf("got %+v, want %+v", w.cmds[1], w.cmds[0])
	}
}

func TestARequestMayNotTakeForEver(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.block = true
	h := w.handler(t, func(c *Config) { c.RequestTimeout = 10 * time.Millisecond })
	refused(t, ask(t, h, "GET", prefix+"/business", ""), 503, "unavailable")
}

func TestAnAnswerCutShortDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := &server{cfg: Config{Logger: slog.New(slog.NewTextHandler(&w.log, nil)), RequestTimeout: time.Minute}, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /half", func(out http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(out, `{"items":[`)
		panic("no more")
	})
	srv := httptest.NewServer(s)
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/half", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		return // cut off before its headers
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Fatalf("looks whole: %s", body)
	}
}

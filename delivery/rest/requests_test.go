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
	commandsAre(t, []asked{
		{"PATCH", "/business/status", "admin", `{"isOpen":true,"message":"hi"}`, commands.SetBusinessStatus{IsOpen: true, BusinessName: "Kitchen", Message: "hi"}},
		{"PATCH", "/business/status", "admin", `{"isOpen":false}`, commands.SetBusinessStatus{BusinessName: "Kitchen"}},
		{"POST", "/products", "admin", `{"name":"Dosa","price":9000,"currency":"INR"}`, commands.AddProduct{Name: "Dosa", Price: 9000, Currency: "INR", Available: true}},
		{"POST", "/products", "admin", `{"name":"Dosa","description":"d","price":0,"currency":"INR","available":false}`, commands.AddProduct{Name: "Dosa", Description: "d", Currency: "INR"}},
		{"PATCH", "/products/" + productID.String(), "admin", `{"price":1,"available":false}`, commands.UpdateProduct{ProductID: productID, Price: &price, Available: &off}},
		{"PATCH", "/products/" + productID.String(), "admin", `{"price":1,"available":false,"name":null}`, commands.UpdateProduct{ProductID: productID, Price: &price, Available: &off}},
		{"DELETE", "/products/" + productID.String(), "admin", ``, commands.ArchiveProduct{ProductID: productID}},
		{"PATCH", "/orders/" + orderID.String() + "/status", "admin", `{"status":"placed","message":"m"}`, commands.ChangeOrderStatus{OrderID: orderID, Status: "placed", Message: "m"}},
		{"PATCH", "/business/status", "admin", `{"isOpen":true}`, commands.SetBusinessStatus{IsOpen: true, BusinessName: "Kitchen"}},
		{"POST", "/orders/" + orderID.String() + "/cancel", "admin", `{"reason":"late"}`, commands.CancelOrder{OrderID: orderID, Reason: "late"}},
	})
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

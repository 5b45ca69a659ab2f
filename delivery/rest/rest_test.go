package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/openapitest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay"
	"github.com/orderlog/orderlog/replay/proofs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	orderID   = uuid.MustParse("0190c0de-0000-7000-8000-000000000001")
	productID = uuid.MustParse("0190c0de-0000-7000-8000-000000000002")
	cashID    = uuid.MustParse("0190c0de-0000-7000-8000-000000000003")
	cardID    = uuid.MustParse("0190c0de-0000-7000-8000-000000000004")
	entryID   = uuid.MustParse("0190c0de-0000-7000-8000-000000000005")
	unknownID = uuid.MustParse("0190c0de-0000-7000-8000-00000000000f")
	logID     = uuid.MustParse("0190c0de-0000-7000-8000-0000000000aa")
	someTime  = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
)

const webhookSecret = "a secret of the provider's and ours"

// people are the tokens the fake verifier knows.
var people = map[string]auth.Identity{
	"admin":    {UserID: "boss", Role: domain.RoleAdmin, Name: "Boss"},
	"asha":     {UserID: "asha", Role: domain.RoleCustomer, Name: "Asha"},
	"ben":      {UserID: "ben", Role: domain.RoleCustomer},
	"ravi":     {UserID: "ravi", Role: domain.RoleDelivery},
	"courier2": {UserID: "courier2", Role: domain.RoleDelivery},
}

// world is everything behind the handler.
type world struct {
	mu       sync.Mutex
	log      bytes.Buffer
	requests []commands.Request
	cmds     []any
	queries  []any
	channels []string

	fail     error // of every command and read
	panics   bool
	replayed bool
	reached  int64 // the views' and the feed's position
	waited   []int64
	order    order.Order
	payments []payment.Payment // in cash, then by card
	offer    offer.Offer
	entry    inbox.Entry
	more     string // Next of lists
	feed     []projections.Notification
	bounds   projections.Bounds
	ready    Readiness
	readyErr error
	block    bool // reads wait for their context's end

	listeners []listener
	stream    func(http.ResponseWriter, *http.Request) error // nil: one that ends at once

	walks    []replay.Query                             // what was asked of Each
	meet     func(ctx context.Context, seq int64) error // before each event of Each
	proved   []int64
	lagging  int                   // how many proofs are asked for too early
	verified []proofs.Verification // the answers, one after the other; the last one again and again
}

func newWorld() *world {
	return &world{
		reached: 42,
		order:   order.Order{ID: orderID, OrderNumber: "OL-1", CustomerID: "asha", AgentID: "ravi", Status: order.StatusPlaced, Items: []order.Item{}},
		payments: []payment.Payment{
			{ID: cashID, OrderID: orderID, CustomerID: "asha", Method: payment.MethodCash, Status: payment.StatusPending, Refunds: []payment.Refund{}},
			{ID: cardID, OrderID: orderID, CustomerID: "asha", Method: payment.MethodCard, Status: payment.StatusFailed, Refunds: []payment.Refund{}},
		},
		offer:  offer.Offer{Terms: offer.Terms{Code: "HALF", Description: "Half off", DiscountType: offer.DiscountPercent, DiscountValue: 50}},
		entry:  inbox.Entry{ID: entryID, UserID: "asha", Title: "Hello", Message: "There is soup", Type: "news"},
		bounds: projections.Bounds{LogID: logID, Position: 42, Head: 45},
		ready:  Readiness{Ready: true, Components: []Component{{Name: "database", Ready: true}}},

		verified: []proofs.Verification{whole(42)},
	}
}

func (w *world) Verify(_ context.Context, raw string) (auth.Identity, error) {
	switch raw {
	case "expired":
		return auth.Identity{}, auth.ErrTokenExpired
	case "nokeys":
		return auth.Identity{}, auth.ErrUnavailable
	}
	id, ok := people[raw]
	if !ok {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	return id, nil
}

func (w *world) handler(t testing.TB, change ...func(*Config)) http.Handler {
	t.Helper()
	cfg := Config{
		Verifier: w, Commands: w, Views: w, Feed: w, Ready: w, Audit: w, Proofs: w, Events: w, Tickets: w, Origins: []string{"https://shop.example"},
		WebhookSecret: []byte(webhookSecret),
		Logger:        slog.New(slog.NewTextHandler(&w.log, nil)), MinSeqWait: 10 * time.Millisecond,
	}
	for _, c := range change {
		c(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// described is the API's own document, which every answer is held to.
func described(t *testing.T) *openapitest.Checker {
	t.Helper()
	checker, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return checker
}

var document = sync.OnceValues(func() (*openapitest.Checker, error) {
	w := newWorld()
	h, err := New(Config{Verifier: w, Commands: w, Views: w, Feed: w, Ready: w})
	if err != nil {
		return nil, err
	}
	out := httptest.NewRecorder()
	h.ServeHTTP(out, httptest.NewRequest(http.MethodGet, "/openapi.json", http.NoBody))
	return openapitest.Load(out.Body.Bytes())
})

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (r reply) code() string {
	code, _ := r.body["code"].(string)
	return code
}

// ask sends a request. What follows the path is headers, "Name: value", and a body, which begins with anything else.
func ask(t *testing.T, h http.Handler, method, path, token string, more ...string) reply {
	t.Helper()
	return askFrom(t, h, "192.0.2.7", method, path, token, more...)
}

// askFrom is ask from another address.
func askFrom(t *testing.T, h http.Handler, address, method, path, token string, more ...string) reply {
	t.Helper()
	var body io.Reader = http.NoBody
	headers := http.Header{}
	for _, m := range more {
		if name, value, ok := strings.Cut(m, ": "); ok && !strings.ContainsAny(name, "{[\" ") {
			headers.Add(name, value)
		} else {
			body = strings.NewReader(m)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, body)
	r.Header = headers
	r.RemoteAddr = net.JoinHostPort(address, "4711")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	out := reply{status: w.Code, header: w.Result().Header, text: w.Body.String()}
	if err := described(t).Check(method, path, out.status, out.header, w.Body.Bytes()); err != nil {
		t.Error(err)
	}
	if kind := out.header.Get("Content-Type"); strings.Contains(kind, "json") && !strings.Contains(kind, "ndjson") {
		if err := json.Unmarshal(w.Body.Bytes(), &out.body); err != nil {
			t.Fatalf("%s %s: not JSON: %s", method, path, out.text)
		}
	}
	return out
}

// refused holds what every refusal must have.
func refused(t *testing.T, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.code() != code {
		t.Fatalf("got %d %s, want %d %s: %s", r.status, r.code(), status, code, r.text)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if r.body["status"] != float64(status) || r.body["title"] == "" || r.body["type"] == "" {
		t.Errorf("not an RFC 9457 problem: %s", r.text)
	}
}

// faultAt holds that the first fault a refusal names is at a location; "" for any.
func faultAt(t *testing.T, r reply, location string) {
	t.Helper()
	if location == "" {
		return
	}
	faults, _ := r.body["errors"].([]any)
	if len(faults) == 0 {
		t.Fatalf("no errors: %s", r.text)
	}
	fault, _ := faults[0].(map[string]any)
	if fault["location"] != location || fault["message"] == "" {
		t.Errorf("got %v, want a fault at %s", fault, location)
	}
}

// asked is a request and the command it must become.
type asked struct {
	method, path, token, body string
	want                      any
}

func commandsAre(t *testing.T, all []asked) {
	t.Helper()
	for _, a := range all {
		t.Run(a.method+a.path+a.body, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			h := w.handler(t, func(c *Config) { c.BusinessName = "Kitchen" })
			if got := ask(t, h, a.method, prefix+a.path, a.token, a.body); len(w.cmds) != 1 {
				t.Fatalf("got %d: %s", got.status, got.text)
			}
			if !sameJSON(t, w.cmds[0], a.want) {
				t.Errorf("got %+v, want %+v", w.cmds[0], a.want)
			}
		})
	}
}

// invalid is a request that must be refused as invalid, at a location, or anywhere for "".
type invalid struct{ method, path, token, body, location string }

func refusals(t *testing.T, all []invalid) {
	t.Helper()
	for _, i := range all {
		t.Run(i.method+i.path+i.body, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			got := ask(t, w.handler(t), i.method, prefix+i.path, i.token, i.body)
			refused(t, got, 400, "invalid_request")
			faultAt(t, got, i.location)
			for _, inside := range []string{"Go ", "struct", "rest.", `"value"`, ":  "} {
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

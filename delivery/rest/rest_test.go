package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	orderID   = uuid.MustParse("0190c0de-0000-7000-8000-000000000001")
	productID = uuid.MustParse("0190c0de-0000-7000-8000-000000000002")
	unknownID = uuid.MustParse("0190c0de-0000-7000-8000-00000000000f")
	logID     = uuid.MustParse("0190c0de-0000-7000-8000-0000000000aa")
	someTime  = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
)

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
	more     string // Next of lists
	feed     []projections.Notification
	bounds   projections.Bounds
	ready    Readiness
	readyErr error
	block    bool // reads wait for their context's end
}

func newWorld() *world {
	return &world{
		reached: 42,
		order:   order.Order{ID: orderID, OrderNumber: "OL-1", CustomerID: "asha", AgentID: "ravi", Status: order.StatusPlaced, Items: []order.Item{}},
		bounds:  projections.Bounds{LogID: logID, Position: 42, Head: 45},
		ready:   Readiness{Ready: true, Components: []Component{{Name: "database", Ready: true}}},
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

func command[T any](w *world, req commands.Request, cmd any, value T) (commands.Outcome[T], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics {
		panic("secret of the house")
	}
	w.requests, w.cmds = append(w.requests, req), append(w.cmds, cmd)
	return commands.Outcome[T]{Value: value, Seq: 50, Replayed: w.replayed}, w.fail
}

func (w *world) SetBusinessStatus(_ context.Context, req commands.Request, cmd commands.SetBusinessStatus) (commands.Outcome[business.Business], error) {
	return command(w, req, cmd, business.Business{IsOpen: cmd.IsOpen, Message: cmd.Message})
}

func (w *world) AddProduct(_ context.Context, req commands.Request, cmd commands.AddProduct) (commands.Outcome[menu.Product], error) {
	return command(w, req, cmd, menu.Product{ID: productID, Name: cmd.Name})
}

func (w *world) UpdateProduct(_ context.Context, req commands.Request, cmd commands.UpdateProduct) (commands.Outcome[menu.Product], error) {
	return command(w, req, cmd, menu.Product{ID: cmd.ProductID})
}

func (w *world) ArchiveProduct(_ context.Context, req commands.Request, cmd commands.ArchiveProduct) (commands.Outcome[menu.Product], error) {
	return command(w, req, cmd, menu.Product{ID: cmd.ProductID, Archived: true})
}

func (w *world) PlaceOrder(_ context.Context, req commands.Request, cmd commands.PlaceOrder) (commands.Outcome[order.Order], error) {
	return command(w, req, cmd, w.order)
}

func (w *world) ChangeOrderStatus(_ context.Context, req commands.Request, cmd commands.ChangeOrderStatus) (commands.Outcome[order.Order], error) {
	return command(w, req, cmd, w.order)
}

func (w *world) CancelOrder(_ context.Context, req commands.Request, cmd commands.CancelOrder) (commands.Outcome[order.Order], error) {
	return command(w, req, cmd, w.order)
}

func (w *world) query(ctx context.Context, q any) error {
	if w.block {
		<-ctx.Done()
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queries = append(w.queries, q)
	return w.fail
}

func (w *world) Business(ctx context.Context) (business.Business, int64, error) {
	return business.Business{IsOpen: true, BusinessName: "Kitchen"}, 42, w.query(ctx, "business")
}

func (w *world) Product(ctx context.Context, id uuid.UUID) (menu.Product, int64, error) {
	if id != productID {
		return menu.Product{}, 42, domain.Errorf(domain.CodeNotFound, "there is no product %s", id)
	}
	return menu.Product{ID: id, Name: "Dosa"}, 42, w.query(ctx, id)
}

func (w *world) Products(ctx context.Context, q projections.ProductQuery) (projections.List[menu.Product], error) {
	return projections.List[menu.Product]{Items: []menu.Product{{ID: productID}}, Next: w.more, Seq: 42}, w.query(ctx, q)
}

func (w *world) Order(ctx context.Context, id uuid.UUID) (order.Order, int64, error) {
	if id != orderID {
		return order.Order{}, 42, domain.Errorf(domain.CodeNotFound, "there is no order %s", id)
	}
	return w.order, 42, w.query(ctx, id)
}

func (w *world) Orders(ctx context.Context, q projections.OrderQuery) (projections.List[order.Order], error) {
	return projections.List[order.Order]{Items: nil, Next: w.more, Seq: 42}, w.query(ctx, q)
}

func (w *world) WaitFor(ctx context.Context, seq int64) error {
	w.mu.Lock()
	w.waited = append(w.waited, seq)
	w.mu.Unlock()
	if seq <= w.reached {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) ReadChannels(ctx context.Context, channels []string, after int64, limit int) (projections.Page, error) {
	if err := w.query(ctx, after); err != nil {
		return projections.Page{}, err
	}
	w.channels = channels
	if after < w.bounds.Floor {
		return projections.Page{}, projections.ErrExpired
	}
	page := projections.Page{Position: w.bounds.Position}
	for _, n := range w.feed {
		if n.Seq <= after || !slices.ContainsFunc(n.Channels, func(c string) bool { return slices.Contains(channels, c) }) {
			continue
		}
		if len(page.Items) == limit {
			page.More, page.Position = true, page.Items[limit-1].Seq
			break
		}
		page.Items = append(page.Items, n)
	}
	return page, nil
}

func (w *world) Bounds(context.Context) (projections.Bounds, error) { return w.bounds, w.fail }

func (w *world) Ready(context.Context) (Readiness, error) { return w.ready, w.readyErr }

func (w *world) handler(t *testing.T, change ...func(*Config)) http.Handler {
	t.Helper()
	cfg := Config{
		Verifier: w, Commands: w, Views: w, Feed: w, Ready: w, Origins: []string{"https://shop.example"},
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)), MinSeqWait: 10 * time.Millisecond,
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
	if strings.Contains(out.header.Get("Content-Type"), "json") {
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

const place = `{"items":[{"product":"0190c0de-0000-7000-8000-000000000002","quantity":2}],"deliveryAddress":"12 Hill Rd","paymentMethod":"cod"}`

func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	const ok, no = 0, http.StatusForbidden
	id := orderID.String()
	pid := productID.String()
	for _, tc := range []struct {
		method, path, body             string
		nobody, admin, asha, ben, ravi int // 0: let in
		done                           int
	}{
		{"GET", "/business", "", ok, ok, ok, ok, ok, 200},
		{"PATCH", "/business/status", `{"isOpen":true}`, 401, ok, no, no, no, 200},
		{"GET", "/products", "", ok, ok, ok, ok, ok, 200},
		{"GET", "/products?archived=true", "", no, ok, no, no, no, 200},
		{"GET", "/products/" + pid, "", ok, ok, ok, ok, ok, 200},
		{"POST", "/products", `{"name":"Dosa","price":9000,"currency":"INR"}`, 401, ok, no, no, no, 201},
		{"PATCH", "/products/" + pid, `{"price":1}`, 401, ok, no, no, no, 200},
		{"DELETE", "/products/" + pid, "", 401, ok, no, no, no, 200},
		{"POST", "/orders", place, 401, no, ok, ok, no, 201},
		{"GET", "/orders", "", 401, ok, ok, ok, ok, 200},
		{"GET", "/orders?customer=asha", "", 401, ok, ok, no, no, 200},
		{"GET", "/orders?agent=ravi", "", 401, ok, no, no, ok, 200},
		{"GET", "/orders/" + id, "", 401, ok, ok, no, ok, 200},
		{"PATCH", "/orders/" + id + "/status", `{"status":"confirmed"}`, 401, ok, no, no, ok, 200},
		{"POST", "/orders/" + id + "/cancel", `{"reason":"late"}`, 401, ok, ok, ok, no, 200},
		{"GET", "/feed", "", 401, ok, ok, ok, ok, 200},
	} {
		for token, want := range map[string]int{"": tc.nobody, "admin": tc.admin, "asha": tc.asha, "ben": tc.ben, "ravi": tc.ravi} {
			t.Run(tc.method+" "+tc.path+" by "+token, func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				got := ask(t, w.handler(t), tc.method, prefix+tc.path, token, tc.body)
				switch want {
				case 0:
					if got.status != tc.done {
						t.Fatalf("got %d, want %d: %s", got.status, tc.done, got.text)
					}
					if got.header.Get("X-Seq") == "" {
						t.Error("no X-Seq")
					}
				case http.StatusUnauthorized:
					refused(t, got, want, "unauthenticated")
				default:
					refused(t, got, want, "forbidden")
				}
				if want != 0 && len(w.cmds) > 0 {
					t.Error("carried out all the same")
				}
			})
		}
	}
}

func TestAnotherCouriersOrder(t *testing.T) {
	t.Parallel()
	refused(t, ask(t, newWorld().handler(t), "GET", prefix+"/orders/"+orderID.String(), "courier2"), 403, "forbidden")
}

func TestTokensThatAreNoGood(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for name, tc := range map[string]struct {
		header    []string
		code      string
		challenge string
	}{
		"none":         {nil, "unauthenticated", `Bearer realm="orderlog"`},
		"bad":          {[]string{"Authorization: Bearer forged"}, "unauthenticated", `error="invalid_token"`},
		"expired":      {[]string{"Authorization: Bearer expired"}, "token_expired", `error="invalid_token"`},
		"other scheme": {[]string{"Authorization: Basic YTpi"}, "unauthenticated", `Bearer`},
		"two":          {[]string{"Authorization: Bearer asha", "Authorization: Bearer admin"}, "unauthenticated", `Bearer`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, h, "GET", prefix+"/feed", "", tc.header...)
			refused(t, got, 401, tc.code)
			if !strings.Contains(got.header.Get("WWW-Authenticate"), tc.challenge) {
				t.Errorf("challenge %q", got.header.Get("WWW-Authenticate"))
			}
			if tc.header != nil { // also where no token is needed
				refused(t, ask(t, h, "GET", prefix+"/business", "", tc.header...), 401, tc.code)
				refused(t, ask(t, h, "GET", prefix+"/no/such/thing", "", tc.header...), 401, tc.code)
			}
		})
	}
	got := ask(t, h, "GET", prefix+"/business", "nokeys")
	refused(t, got, 503, "unavailable")
	if got.header.Get("Retry-After") == "" || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("an issuer that is out of reach is not the token's fault: %v", got.header)
	}
}

var errSecret = errors.New("password=hunter2 at db:5432")

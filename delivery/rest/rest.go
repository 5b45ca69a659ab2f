// Package rest is the way in over HTTP: the operations under /api/v1, /health and /ready, and their OpenAPI description.
//
// Guarantees:
//   - Every refusal is an RFC 9457 problem with a stable code, also for unknown paths, bodies that cannot be read and
//     panics; none of them shows what went wrong inside.
//   - Rights come from the token alone. A read shows a customer its own orders, a courier those assigned to it, an
//     admin all; what a command needs is decided by the commands themselves. The payment provider has no token: its
//     right is the signature over the bytes it sends, which is checked before anything looks at them.
//   - X-Seq on an answer is the seq up to which it includes every event and after which none. A client that reads and
//     then follows from it misses nothing.
//   - A command that carries an Idempotency-Key is carried out once, and a repeat of the same bytes is answered the same.
//   - Every wait and every body is bounded. An export of events may take as long as its client goes on reading; it ends
//     where the audit was when it began, and one that is cut short never looks whole. A stream of events lasts until its
//     client leaves, or Events ends it.
package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/gate"
	"github.com/orderlog/orderlog/projections"
)

// Verifier says whom a token speaks for; see auth.Verifier.
type Verifier interface {
	Verify(ctx context.Context, raw string) (auth.Identity, error)
}

// Shop reads what everybody may see. The seq beside an answer is the one it is true for.
type Shop interface {
	Business(ctx context.Context) (business.Business, int64, error)
	Product(ctx context.Context, id uuid.UUID) (menu.Product, int64, error)
	Products(ctx context.Context, q projections.ProductQuery) (projections.List[menu.Product], error)
}

// Orders reads orders, whosoever they are: what a caller may see is decided here.
type Orders interface {
	Order(ctx context.Context, id uuid.UUID) (order.Order, int64, error)
	Orders(ctx context.Context, q projections.OrderQuery) (projections.List[order.Order], error)
}

// Payments reads payments, whosoever they are.
type Payments interface {
	Payment(ctx context.Context, id uuid.UUID) (payment.Payment, int64, error)
	// OrderPayments are all payments of an order, oldest first; none for an order that does not exist.
	OrderPayments(ctx context.Context, orderID uuid.UUID) ([]payment.Payment, int64, error)
}

// Couriers reads who delivers, and where they were.
type Couriers interface {
	Courier(ctx context.Context, agentID string) (courier.Courier, int64, error)
	Couriers(ctx context.Context, q projections.CourierQuery) (projections.List[courier.Courier], error)
	Track(ctx context.Context, q projections.TrackQuery) (projections.List[projections.TrackPoint], error)
}

// Offers reads offers, by their codes in whatever case.
type Offers interface {
	Offer(ctx context.Context, code string) (offer.Offer, int64, error)
	Offers(ctx context.Context, q projections.OfferQuery) (projections.List[offer.Offer], error)
}

// Inbox reads users' inboxes.
type Inbox interface {
	Inbox(ctx context.Context, q projections.InboxQuery) (projections.InboxPage, error)
}

// Progress waits for the read models.
type Progress interface {
	// WaitFor returns nil once the read models include the event seq, or an error when ctx ends before.
	WaitFor(ctx context.Context, seq int64) error
}

// Views are the read models; see projections.Views.
type Views interface {
	Shop
	Orders
	Payments
	Couriers
	Offers
	Inbox
	Progress
}

// Feed reads the notification log; see projections.FeedLog.
type Feed interface {
	// ReadChannels answers projections.ErrExpired when some notifications after `after` are no longer held.
	ReadChannels(ctx context.Context, channels []string, after int64, limit int) (projections.Page, error)
	Bounds(ctx context.Context) (projections.Bounds, error)
}

// Sockets are the connections of this process. All of it is safe for concurrent use.
type Sockets interface {
	// ConnectedUsers are the ids of the users who are connected, each once, in any order; not all of very many. Users is
	// how many they are.
	ConnectedUsers() []string
	Users() int64
	// Connections is how many connections there are.
	Connections() int64
	// EventsSent is how often each event was handed to a connection since the start, by name.
	EventsSent() map[string]int64
}

// Readiness is how the program's parts are.
type Readiness struct {
	// Ready says whether the program should get requests.
	Ready      bool
	Components []Component
}

// Component is a part of the program that can be out of order.
type Component struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	// Detail says what is wrong, or where the part stands. Everybody can read it.
	Detail string `json:"detail,omitempty"`
}

// ReadinessChecker looks at the program's parts. An error counts as not ready; it is logged and not shown.
type ReadinessChecker interface {
	Ready(ctx context.Context) (Readiness, error)
}

// Config is what the handler needs. Verifier, Commands, Views, Feed and Ready are required.
type Config struct {
	Verifier Verifier
	Commands Commands
	Views    Views
	Feed     Feed
	Ready    ReadinessChecker
	Frame

	// Audit answers auditors. Nil: they are refused with 503.
	Audit Audit
	// Proofs shows that the log is whole. Nil: who asks for that is refused with 503.
	Proofs Proofs
	// Draining, when it is closed, ends the exports that are under way; to their clients they are broken off. Nil: never.
	Draining <-chan struct{}

	// Events are the streams at /events, and Tickets what opens them. Nil: they are refused with 503.
	Events  Events
	Tickets Tickets

	// Sockets are what /socket/status and /metrics/socket tell of. Nil: there are none.
	Sockets Sockets
	// WebhookSecret is the HMAC-SHA256 key of the payment provider's events. Empty: they are refused with 503.
	WebhookSecret []byte

	// BusinessName is what the business is called from its next opening or closing on. Empty: as it was.
	BusinessName string
	// Origins are the browser origins that may read answers, as a browser writes them, or "*". Empty: none.
	Origins []string
	// Logger takes what goes wrong, and at debug level every request. Nil: slog.Default().
	Logger *slog.Logger
	// Version is the program's, for the API's description. Empty: "dev".
	Version string
	// RequestTimeout bounds the work for one request, but not a stream of events. Zero: 15 s.
	RequestTimeout time.Duration
	// MinSeqWait bounds the wait for min_seq. Zero: 2 s.
	MinSeqWait time.Duration
	// VerifyWait bounds the wait for a verification of the log; one that takes longer goes on by itself. Zero: 10 s. It
	// should be less than RequestTimeout.
	VerifyWait time.Duration
}

// prefix is where the operations are.
const prefix = "/api/v1"

type server struct {
	cfg    Config
	mux    *http.ServeMux
	limits limits
	ready  readyLook
	gate   *gate.Gate
	bodies bodies // that are in memory
	// exports holds a place for each export that is under way.
	exports chan struct{}
}

// New makes the handler. It answers every path, so it belongs at "/" of a mux that sends /ws and the like elsewhere.
// The handler is safe for concurrent use and starts nothing of its own.
func New(cfg Config) (http.Handler, error) {
	if cfg.Verifier == nil || cfg.Commands == nil || cfg.Views == nil || cfg.Feed == nil || cfg.Ready == nil {
		return nil, errors.New("rest: Verifier, Commands, Views, Feed and Ready are needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.Logger = cfg.Logger.With("component", "rest")
	if cfg.Sockets == nil {
		cfg.Sockets = noSockets{}
	}
	if cfg.Events == nil {
		cfg.Events = noEvents{}
	}
	if cfg.Tickets == nil {
		cfg.Tickets = noEvents{}
	}
	if cfg.Audit == nil {
		cfg.Audit = noAudit{}
	}
	if cfg.Proofs == nil {
		cfg.Proofs = noProofs{}
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = 15 * time.Second
	}
	if cfg.MinSeqWait <= 0 {
		cfg.MinSeqWait = 2 * time.Second
	}
	if cfg.VerifyWait <= 0 {
		cfg.VerifyWait = 10 * time.Second
	}
	s := &server{cfg: cfg, mux: http.NewServeMux(), limits: newLimits(cfg.Frame), gate: newGate(cfg.MaxRequests), exports: make(chan struct{}, maxExports)}
	api := s.newAPI()
	s.business(api)
	s.products(api)
	s.orders(api)
	s.payments(api)
	s.webhook(api)
	s.couriers(api)
	s.offers(api)
	s.inbox(api)
	s.feed(api)
	s.events(api)
	s.audit(api)
	s.sockets(api)
	s.health(api)
	s.describe(api)
	return s, nil
}

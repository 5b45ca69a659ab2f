// Package rest is the way in over HTTP: the operations under /api/v1, /health and /ready, and their OpenAPI description.
//
// Guarantees:
//   - Every refusal is an RFC 9457 problem with a stable code, also for unknown paths, bodies that cannot be read and
//     panics; none of them shows what went wrong inside.
//   - Rights come from the token alone. A read shows a customer its own orders, a courier those assigned to it, an
//     admin all; what a command needs is decided by the commands themselves.
//   - X-Seq on an answer is the seq up to which it includes every event and after which none. A client that reads and
//     then follows from it misses nothing.
//   - A command that carries an Idempotency-Key is carried out once, and a repeat of the same bytes is answered the same.
//   - Every wait and every body is bounded.
package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/internal/auth"
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

// Progress waits for the read models.
type Progress interface {
	// WaitFor returns nil once the read models include the event seq, or an error when ctx ends before.
	WaitFor(ctx context.Context, seq int64) error
}

// Views are the read models; see projections.Views.
type Views interface {
	Shop
	Orders
	Progress
}

// Feed reads the notification log; see projections.FeedLog.
type Feed interface {
	// ReadChannels answers projections.ErrExpired when some notifications after `after` are no longer held.
	ReadChannels(ctx context.Context, channels []string, after int64, limit int) (projections.Page, error)
	Bounds(ctx context.Context) (projections.Bounds, error)
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

	// BusinessName is what the business is called from its next opening or closing on. Empty: as it was.
	BusinessName string
	// Origins are the browser origins that may read answers, as a browser writes them, or "*". Empty: none.
	Origins []string
	// Logger takes what goes wrong, and at debug level every request. Nil: slog.Default().
	Logger *slog.Logger
	// Version is the program's, for the API's description. Empty: "dev".
	Version string
	// RequestTimeout bounds the work for one request. Zero: 15 s.
	RequestTimeout time.Duration
	// MinSeqWait bounds the wait for min_seq. Zero: 2 s.
	MinSeqWait time.Duration
}

// prefix is where the operations are.
const prefix = "/api/v1"

type server struct {
	cfg    Config
	mux    *http.ServeMux
	limits limits
	ready  readyLook
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
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = 15 * time.Second
	}
	if cfg.MinSeqWait <= 0 {
		cfg.MinSeqWait = 2 * time.Second
	}
	s := &server{cfg: cfg, mux: http.NewServeMux(), limits: newLimits(cfg.Frame)}
	api := s.newAPI()
	s.business(api)
	s.products(api)
	s.orders(api)
	s.feed(api)
	s.health(api)
	if err := s.describe(api); err != nil {
		return nil, fmt.Errorf("rest: describe the API: %w", err)
	}
	return s, nil
}

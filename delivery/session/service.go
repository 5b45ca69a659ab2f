// Package session is what a connected client may do and is told, whatever it is connected by.
//
// A Session is a client's stream: everything that its channels carry after its cursor, in rising order of seq, each once,
// or a resync that says why that cannot be. Beside it the client joins rooms and leaves them. What it may see comes from its
// token alone, is checked when a room is joined, and ends with the event that takes the right away.
//
// A transport has two goroutines, or turns, for a session: one serves what the client says, by Do, and one writes, by Next
// and Answered. What Next gives is pulled, so a client that reads slowly costs a bounded queue, and loses nothing.
package session

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/gate"
)

// Verifier judges tokens. A token that it refuses is an auth.ErrUnauthenticated, and an auth.ErrTokenExpired when
// that is all that is wrong; any other error means that it cannot tell now.
type Verifier interface {
	Verify(ctx context.Context, token string) (auth.Identity, error)
}

// Access says who may follow what.
type Access interface {
	// CanSeeOrder says whether the user may see an order. An order that is not there is a domain.Error not_found.
	CanSeeOrder(ctx context.Context, user auth.Identity, orderID uuid.UUID) (bool, error)
	// CanSeeCourier says whether the user may follow a delivery agent, who is named by the user id, now. Both go by the
	// log and not by a read model: a right that an event has ended is not given once the event is in the log.
	// since is the seq from which on the user may follow the agent: what was before is of others. 0: it was always so.
	CanSeeCourier(ctx context.Context, user auth.Identity, agentID string) (since int64, ok bool, err error)
}

// Locator takes what couriers say of where they are.
type Locator interface {
	// ReportLocation says that the order which the user carries is at a point. remoteAddr is the client's IP address,
	// empty when it has none. A refusal is a domain.Error.
	ReportLocation(ctx context.Context, user auth.Identity, remoteAddr string, orderID uuid.UUID, p courier.Point) (Located, error)
}

// Config of a Service. Hub, Verifier and Access are required.
type Config struct {
	Hub      *delivery.Hub
	Verifier Verifier
	Access   Access
	// Locator takes what couriers say of where they are; nil: they are answered that it is unavailable.
	Locator Locator
	// Logger gets what goes wrong on this side. Default: slog.Default().
	Logger *slog.Logger

	// MaxUserConnections bounds the sessions of a user, over all transports. Default 500. Less than 0: any number.
	MaxUserConnections int
	// MaxWork is how many joins, registrations in rooms and reported places ask the database at a time; those beyond wait
	// for at most four fifths of ServeTimeout. Default 16.
	MaxWork int
	// MaxRooms bounds the rooms a session joins. Default 100.
	MaxRooms int
	// MaxJoinEvents and MaxJoinBytes bound the events in the answer to a join. Defaults 500 and 256 KiB.
	MaxJoinEvents, MaxJoinBytes int
	// ServeTimeout is how long an event of a client may keep its next one waiting, and how long a token may take to be
	// judged: the database may hang. Default 5 s.
	ServeTimeout time.Duration
	// CheckpointInterval is how long a session may be told nothing. Default 10 s.
	CheckpointInterval time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.MaxUserConnections == 0 {
		c.MaxUserConnections = 500
	}
	byDefault(&c.MaxWork, 16)
	byDefault(&c.MaxRooms, 100)
	byDefault(&c.MaxJoinEvents, 500)
	byDefault(&c.MaxJoinBytes, 256<<10)
	byDefault(&c.ServeTimeout, 5*time.Second)
	byDefault(&c.CheckpointInterval, 10*time.Second)
	return c
}

func byDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Service opens sessions and counts them, over all transports. It is safe for concurrent use.
type Service struct {
	cfg  Config
	gate *gate.Gate // to the database

	mu    sync.Mutex
	users map[string]int // sessions by user
	roles map[domain.Role]int64
}

// New returns a service.
func New(cfg Config) *Service {
	cfg = cfg.withDefaults()
	return &Service{
		cfg: cfg, gate: gate.New(cfg.MaxWork, maxWaiting, cfg.ServeTimeout-cfg.ServeTimeout/5),
		users: map[string]int{}, roles: map[domain.Role]int64{},
	}
}

// Authenticate judges a token, bare or as "Bearer TOKEN". Errors are a *domain.Error: unauthenticated, token_expired, or
// unavailable when it cannot be judged now, or not within Config.ServeTimeout, which is logged.
func (s *Service) Authenticate(ctx context.Context, token string) (auth.Identity, error) {
	if bare, ok := auth.Bearer(token); ok {
		token = bare
	}
	limited, cancel := context.WithTimeout(ctx, s.cfg.ServeTimeout)
	defer cancel()
	user, err := s.cfg.Verifier.Verify(limited, token)
	switch {
	case err == nil:
		return user, nil
	case errors.Is(err, auth.ErrTokenExpired):
		return auth.Identity{}, errTokenExpired
	case errors.Is(err, auth.ErrUnauthenticated):
		return auth.Identity{}, domain.Errorf(domain.CodeUnauthenticated, "the token is not accepted: get a new one").WithCause(err)
	}
	if ctx.Err() == nil {
		s.cfg.Logger.ErrorContext(ctx, "a token could not be judged", "error", err)
	}
	return auth.Identity{}, domain.Errorf(domain.CodeUnavailable, "the token cannot be judged now: try again in a moment").WithCause(err)
}

// Users is how many users have a session, each counted once.
func (s *Service) Users() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.users))
}

// maxOnline bounds what Online returns.
const maxOnline = 10_000

// Online returns the ids of the users that have a session, in order; of very many, the first 10,000.
func (s *Service) Online() []string {
	s.mu.Lock()
	users := slices.AppendSeq(make([]string, 0, len(s.users)), maps.Keys(s.users))
	s.mu.Unlock()
	slices.Sort(users)
	return users[:min(len(users), maxOnline)]
}

// Roles returns how many sessions there are of each role, without the anonymous ones; 0 of roles that had some.
func (s *Service) Roles() map[domain.Role]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.roles)
}

// count adds a session that was opened, or takes one off.
func (s *Service) count(x *Session, n int) {
	user, role := x.registered.UserID, x.registered.Role
	if user == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[role] += int64(n)
}

// enter counts a session of a user before it is opened, unless there are too many. Nobody may have any number.
func (s *Service) enter(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch most := s.cfg.MaxUserConnections; {
	case user == "":
		return true
	case most > 0 && s.users[user] >= most:
		return false
	}
	s.users[user]++
	return true
}

// leave takes back what enter has counted.
func (s *Service) leave(user string) {
	if user == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user]--; s.users[user] == 0 {
		delete(s.users, user)
	}
}

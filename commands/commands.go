// Package commands is what can be asked of Orderlog. A command checks who asks, loads
// the streams it depends on, lets package domain decide, and appends what was decided.
//
// Guarantees, for every command:
//
//   - All or nothing. Its events commit together, or it changed nothing; it returns
//     without an error only after they are durable.
//   - Consistent. It is decided on the streams as they are at its commit: if one that it
//     read was changed meanwhile, it is decided anew. Placing an order so depends on the
//     business being open and on the products' prices at the commit.
//   - Once. With Request.Key set, asking again changes nothing and gets the first
//     answer, also when both ask at the same time. A refusal is not kept: asking again
//     after one tries again.
//   - Rights come from Request.Actor alone, which the caller takes from the token.
//
// Refusals are *domain.Error. After every error but outcome_unknown nothing was stored.
package commands

import (
	"context"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

// Store is the log as commands need it; *eventstore.Store is one.
type Store interface {
	// Append commits all of it or none, as eventstore.Store.Append does.
	Append(ctx context.Context, a eventstore.Append) (eventstore.Result, error)
	// LookupKey returns what a key was used for; eventstore.ErrIdempotencyMismatch if
	// that was for something else.
	LookupKey(ctx context.Context, key eventstore.IdempotencyKey) (eventstore.Result, bool, error)
	// ReadStreams returns the whole of each stream that exists, in order.
	ReadStreams(ctx context.Context, ids []eventstore.StreamID) (map[eventstore.StreamID][]eventstore.Recorded, error)
}

var _ Store = (*eventstore.Store)(nil)

// OrderNumbers gives each order the number that people call it by.
type OrderNumbers interface {
	// NextOrderNumber returns a number that was never returned before. Numbers rise, but
	// some are never used.
	NextOrderNumber(ctx context.Context) (string, error)
}

// Options tune a Service. The zero value is ready for use.
type Options struct {
	// Attempts is how often a command is decided, the first time included, before a
	// stream that always changes meanwhile makes it fail with version_conflict. 0: 8.
	Attempts int
	// Backoff bounds the random wait before the second attempt; the bound doubles with
	// each further one, up to 64 times. 0: 2 ms.
	Backoff time.Duration
}

// Service carries out commands. It holds no state between them and is safe for
// concurrent use.
type Service struct {
	store   Store
	numbers OrderNumbers
	opts    Options
}

// New returns a Service on a log.
func New(store Store, numbers OrderNumbers, opts Options) *Service {
	if opts.Attempts <= 0 {
		opts.Attempts = 8
	}
	if opts.Backoff <= 0 {
		opts.Backoff = 2 * time.Millisecond
	}
	return &Service{store: store, numbers: numbers, opts: opts}
}

// Actor is who asks, as the token says.
type Actor = domain.Actor

// Request says who asks and from where. It becomes the meta of the command's events.
type Request struct {
	Actor Actor
	// Key makes the command safe to repeat; empty: it is not. Keys of different users
	// are apart. At most 255 characters.
	Key string
	// Fingerprint is a hash of what was asked, so that a key used for something else is
	// noticed. Empty: it is made from the command.
	Fingerprint []byte
	// CorrelationID ties together all that came of one request; made when empty.
	CorrelationID string
	// CausationID is the id of the event or message that led to this; may be empty.
	CausationID string
	// RemoteAddr is where the request came from; may be empty.
	RemoteAddr string
}

// Outcome is the answer to a command that was carried out.
type Outcome[T any] struct {
	// Value is the state after the command, as the read models will show it.
	Value T
	// Seq is the seq of the command's last event. If it needed none, it is a seq at which
	// Value was the state.
	Seq int64
	// Replayed says that the key was used before, and that this is the answer from then.
	Replayed bool
}

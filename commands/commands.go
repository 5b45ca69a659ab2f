// Package commands is what can be asked of Orderlog. A command checks who asks, loads
// the streams it depends on, lets package domain decide, and appends what was decided.
//
// Guarantees, for every command:
//
//   - All or nothing. Its events commit together, or it changed nothing; it returns
//     without an error only after they are durable.
//   - Consistent. It is decided on the streams as they are at its commit: if one that it
//     read was changed meanwhile, it is decided anew. Placing an order so depends on the
//     business being open, on the products' prices and on a use of the offer being left;
//     no courier carries two orders, and no order has two live payments.
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
	"github.com/orderlog/orderlog/domain/payment"
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
	// ReadLast returns the newest event of each stream that exists.
	ReadLast(ctx context.Context, ids []eventstore.StreamID) (map[eventstore.StreamID]eventstore.Last, error)
}

var _ Store = (*eventstore.Store)(nil)

// OrderNumbers gives each order the number that people call it by.
type OrderNumbers interface {
	// NextOrderNumber returns a number that was never returned before. Numbers rise, but
	// some are never used.
	NextOrderNumber(ctx context.Context) (string, error)
}

// PaymentProvider is who takes the customers' money, in all ways but cash. What becomes
// of a payment it tells by itself, see [Service.ProviderEvent].
type PaymentProvider interface {
	// OpenCheckout opens a page where a payment is made. Asking again for the same
	// payment opens no other.
	OpenCheckout(ctx context.Context, c payment.Checkout) (payment.Opened, error)
	// Refund gives money back and returns the provider's name for that. Asking again with
	// the same refund id gives nothing more back. [payment.ErrRefundRefused] if it never
	// will; after any other error asking again may help.
	Refund(ctx context.Context, r payment.ProviderRefund) (reference string, err error)
}

// Options tune a Service. The zero value is ready for use.
type Options struct {
	// Patience is how long a command is decided anew, from its first conflict on, before
	// a stream that always changes meanwhile makes it fail with version_conflict. The time
	// that it waits for its turn does not count. 0: 5 s.
	Patience time.Duration
	// Backoff bounds the random wait before the second attempt; the bound doubles with
	// each further one, up to 16 times. 0: 2 ms.
	Backoff time.Duration
	// ProviderTimeout bounds one call of the payment provider. 0: 5 s.
	ProviderTimeout time.Duration
	// Now is the clock by which offers begin and end. nil: time.Now.
	Now func() time.Time
}

// Service carries out commands. Between them it holds nothing but the lines of those that
// wait to change the same stream. It is safe for concurrent use.
type Service struct {
	store    Store
	numbers  OrderNumbers
	provider PaymentProvider
	opts     Options
	turns    turnstile
}

// New returns a Service on a log. It needs all of its arguments.
func New(store Store, numbers OrderNumbers, provider PaymentProvider, opts Options) *Service {
	if opts.Patience <= 0 {
		opts.Patience = 5 * time.Second
	}
	if opts.Backoff <= 0 {
		opts.Backoff = 2 * time.Millisecond
	}
	if opts.ProviderTimeout <= 0 {
		opts.ProviderTimeout = 5 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Service{store: store, numbers: numbers, provider: provider, opts: opts}
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

package commands

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

const (
	maxKey   = 255 // characters
	maxTrace = 255 // characters, of each of the ids and addresses kept with an event
)

// state is the state of an aggregate. Stamp fills in the times of one whose last event
// was applied with the zero time: an answer is stored together with its events, when
// their time is not known yet.
type state[S any] interface {
	applied[S]
	Stamp(at time.Time) S
}

// applied is what events make of a stream.
type applied[S any] interface {
	Apply(e domain.Event, at time.Time) S
}

// command describes a command to execute.
type command struct {
	name   string // in words, for errors: "place an order"
	roles  []domain.Role
	asked  any    // what the fingerprint is made of when the request has none
	reason string // kept with the events
	// contended is a stream that many may want to change at once: they do so one after another. The zero value is none.
	contended eventstore.StreamID
}

// change is what was decided.
type change[S any] struct {
	streams []eventstore.StreamAppend // events to add, and versions to hold to
	answer  S                         // unstamped if there are events
	seq     int64                     // without events: of the last event behind answer
}

func (c change[S]) empty() bool {
	return !slices.ContainsFunc(c.streams, func(s eventstore.StreamAppend) bool { return len(s.Events) > 0 })
}

// execute carries out a command: decide loads and decides, and is called again when what
// it loaded has changed before the commit.
func execute[S state[S]](
	ctx context.Context, s *Service, req Request, cmd command, decide func(context.Context) (change[S], error),
) (Outcome[S], error) {
	if err := req.check(cmd); err != nil {
		return Outcome[S]{}, err
	}
	meta, err := req.meta(cmd.reason)
	if err != nil {
		return Outcome[S]{}, err
	}
	key, err := req.idempotencyKey(cmd)
	if err != nil {
		return Outcome[S]{}, err
	}
	if out, found, err := lookup[S](ctx, s.store, key); found || err != nil {
		return out, err
	}
	tries := tries{service: s}
	defer tries.end()
	tries.turnIfFree(cmd.contended)
	for {
		c, err := decide(ctx)
		if err != nil {
			// The same request may have been carried out since the key was looked up, and be
			// the very reason of this refusal: an order is not confirmed twice.
			if out, found, lookupErr := lookup[S](ctx, s.store, key); found || lookupErr != nil {
				return out, lookupErr
			}
			return Outcome[S]{}, err
		}
		if c.empty() && key == nil {
			return Outcome[S]{Value: c.answer, Seq: c.seq}, nil
		}
		if taken, err := tries.turn(ctx, cmd.contended); err != nil {
			return Outcome[S]{}, err
		} else if taken {
			continue // what was decided on may be old by now
		}
		out, err := commit(ctx, s.store, c, meta, key)
		var conflict *eventstore.ConflictError
		if !errors.As(err, &conflict) {
			return out, err
		}
		if err := tries.again(ctx, conflict); err != nil {
			return Outcome[S]{}, err
		}
	}
}

func commit[S state[S]](
	ctx context.Context, store Store, c change[S], meta eventstore.Meta, key *eventstore.IdempotencyKey,
) (Outcome[S], error) {
	a := eventstore.Append{Streams: c.streams, Meta: meta, Key: key}
	if key != nil {
		answer, err := json.Marshal(c.answer)
		if err != nil {
			return Outcome[S]{}, fmt.Errorf("encode the answer: %w", err)
		}
		a.Answer = answer
	}
	res, err := store.Append(ctx, a)
	if err != nil {
		return Outcome[S]{}, refusal(err)
	}
	if res.Replayed {
		return replay[S](res)
	}
	return outcome(c.answer, res), nil
}

// lookup finds the answer to a request that was carried out before.
func lookup[S state[S]](ctx context.Context, store Store, key *eventstore.IdempotencyKey) (Outcome[S], bool, error) {
	if key == nil {
		return Outcome[S]{}, false, nil
	}
	res, found, err := store.LookupKey(ctx, *key)
	if err != nil {
		return Outcome[S]{}, false, readRefusal(err)
	}
	if !found {
		return Outcome[S]{}, false, nil
	}
	out, err := replay[S](res)
	return out, true, err
}

func replay[S state[S]](res eventstore.Result) (Outcome[S], error) {
	var answer S
	if err := json.Unmarshal(res.Answer, &answer); err != nil {
		return Outcome[S]{}, fmt.Errorf("decode the answer that was kept with the key: %w", err)
	}
	out := outcome(answer, res)
	out.Replayed = true
	return out, nil
}

func outcome[S state[S]](answer S, res eventstore.Result) Outcome[S] {
	if res.FirstSeq > 0 { // there were events, so the answer waits for their time
		answer = answer.Stamp(res.RecordedAt)
	}
	return Outcome[S]{Value: answer, Seq: res.LastSeq}
}

func (r Request) check(cmd command) error {
	if err := domain.CheckLine("user id", r.Actor.UserID, 1, domain.MaxUserID); err != nil {
		return domain.Errorf(domain.CodeUnauthenticated, "the token names no usable user: sign in again").WithCause(err)
	}
	if !slices.Contains(cmd.roles, r.Actor.Role) {
		return domain.Errorf(domain.CodeForbidden, "the role %s may not %s", r.Actor.Role, cmd.name)
	}
	if r.Key != "" {
		if err := domain.CheckLine("Idempotency-Key", r.Key, 1, maxKey); err != nil {
			return err
		}
	}
	for _, trace := range []struct{ field, text string }{
		{"correlationId", r.CorrelationID}, {"causationId", r.CausationID}, {"remoteAddr", r.RemoteAddr},
	} {
		if err := domain.CheckLine(trace.field, trace.text, 0, maxTrace); err != nil {
			return err
		}
	}
	return nil
}

func (r Request) meta(reason string) (eventstore.Meta, error) {
	correlation := r.CorrelationID
	if correlation == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return eventstore.Meta{}, fmt.Errorf("make a correlation id: %w", err)
		}
		correlation = id.String()
	}
	return eventstore.Meta{
		UserID: r.Actor.UserID, Role: string(r.Actor.Role), CorrelationID: correlation, CausationID: r.CausationID,
		IdempotencyKey: r.Key, RemoteAddr: r.RemoteAddr, Reason: reason,
	}, nil
}

func (r Request) idempotencyKey(cmd command) (*eventstore.IdempotencyKey, error) {
	if r.Key == "" {
		return nil, nil // no key is not an error
	}
	fingerprint := r.Fingerprint
	if len(fingerprint) == 0 {
		asked, err := json.Marshal(cmd.asked)
		if err != nil {
			return nil, fmt.Errorf("encode what was asked: %w", err)
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%T %s", cmd.asked, asked))
		fingerprint = sum[:]
	}
	scope := r.Actor.UserID
	if r.Actor.Role == domain.RoleSystem {
		scope = "system\n" + scope // no user has such an id, so none uses up the keys of the payment provider
	}
	return &eventstore.IdempotencyKey{Scope: scope, Key: r.Key, Fingerprint: fingerprint}, nil
}

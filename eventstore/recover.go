package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// findOutTimeout bounds how long the appender stands still to learn the outcome of a commit. Until it is
// known nothing else may be appended: a caller could be told of a conflict with its own event.
const findOutTimeout = time.Minute

// unknownOutcomeError: the connection was lost between sending COMMIT and hearing of it.
type unknownOutcomeError struct {
	oldHead int64  // the head was at least here
	batch   *batch // what holds if it was committed
	cause   error
}

func (e *unknownOutcomeError) Error() string {
	return "the commit's outcome is unknown: " + e.cause.Error()
}
func (e *unknownOutcomeError) Unwrap() error { return e.cause }

// findOut asks the database, until it answers, whether the batch was committed: its first event, or its
// first key, tells, because all of it commits together. What was not committed is tried again.
func (s *Store) findOut(ctx context.Context, batch []*request, unknown *unknownOutcomeError) ([]outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, findOutTimeout)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		committed, err := s.wasCommitted(ctx, batch, unknown, nil)
		switch {
		case err == nil && committed:
			return unknown.batch.outcomes, nil
		case err == nil:
			outcomes, err := s.transact(ctx, batch)
			if err == nil && slices.ContainsFunc(outcomes, contested) {
				// The lost statement may have been carried out between the look and the second try, which then
				// ran into it: nobody is to be told of a conflict with its own events.
				if committed, err = s.wasCommitted(ctx, batch, unknown, outcomes); committed {
					return unknown.batch.outcomes, nil
				}
				if err != nil {
					return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
				}
			}
			if !errors.As(err, &unknown) {
				return outcomes, err
			}
		}
		s.pool.Reset() // the connections that wait in it have seen the same
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, unknown)
		case <-time.After(wait):
		}
	}
}

func contested(out outcome) bool {
	var conflict *ConflictError
	return out.result.Replayed || errors.As(out.err, &conflict)
}

// wasCommitted looks for what the lost batch wrote. again is nil, or how a second try went: what that has stored itself
// says nothing about the first one, so only those are looked for that it ran into.
func (s *Store) wasCommitted(ctx context.Context, batch []*request, unknown *unknownOutcomeError, again []outcome) (committed bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// The server may still be at work on the lost connection's COMMIT: it holds the head until it is done.
		if _, err := tx.Exec(ctx, sqlAwaitHead); err != nil {
			return err
		}
		for i, r := range batch {
			out := unknown.batch.outcomes[i]
			if out.err != nil || out.result.Replayed {
				continue // wrote nothing
			}
			if again != nil && (r.events == 0 || !contested(again[i])) {
				continue // the second try has stored it, or has answered as whoever stored its key was answered
			}
			if r.events == 0 {
				committed, err = keyExists(ctx, tx, *r.Key, unknown.batch)
				return err
			}
			committed, err = eventExists(ctx, tx, r, out.result, unknown)
			return err
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for the events of a lost commit: %w", err)
	}
	return committed, nil
}

// eventExists looks for the first event of a request, which also tells where a batch stands that did not know.
func eventExists(ctx context.Context, tx pgx.Tx, r *request, result Result, unknown *unknownOutcomeError) (found bool, err error) {
	for _, sa := range r.Streams {
		if len(sa.Events) == 0 {
			continue
		}
		rows, err := tx.Query(ctx, sqlEventExists, sa.Stream.ID, sa.Events[0].ID, unknown.oldHead)
		if err != nil {
			return false, err
		}
		var seq int64
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&seq, &at}, func() error { found = true; return nil })
		if err == nil && found {
			unknown.batch.settle(seq-result.FirstSeq, at)
		}
		return found, err
	}
	return false, nil
}

// keyExists does the same by the key of a request without events.
func keyExists(ctx context.Context, tx pgx.Tx, k IdempotencyKey, b *batch) (found bool, err error) {
	rows, err := tx.Query(ctx, sqlLookupKeys, []string{k.Scope}, []string{k.Key})
	if err != nil {
		return false, err
	}
	err = scanKeys(rows, func(_ int, stored storedKey) {
		found = true
		b.settle(stored.result.LastSeq, stored.result.RecordedAt)
	})
	return found, err
}

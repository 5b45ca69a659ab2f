package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// findOutTimeout bounds how long the appender stands still to learn the outcome of a commit. Until it is
// known nothing else may be appended: a caller could be told of a conflict with its own event.
const findOutTimeout = time.Minute

// unknownOutcomeError: the connection was lost between sending COMMIT and hearing of it.
type unknownOutcomeError struct {
	oldHead  int64
	outcomes []outcome // what holds if it was committed
	cause    error
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
		committed, err := s.wasCommitted(ctx, batch, unknown)
		switch {
		case err == nil && committed:
			return unknown.outcomes, nil
		case err == nil:
			outcomes, err := s.transact(ctx, batch)
			if !errors.As(err, &unknown) {
				return outcomes, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, unknown)
		case <-time.After(wait):
		}
	}
}

func (s *Store) wasCommitted(ctx context.Context, batch []*request, unknown *unknownOutcomeError) (committed bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// The server may still be at work on the lost connection's COMMIT: it holds the head until it is done.
		if _, err := tx.Exec(ctx, sqlAwaitHead); err != nil {
			return err
		}
		for i, r := range batch {
			out := unknown.outcomes[i]
			if out.err != nil || out.result.Replayed {
				continue // wrote nothing
			}
			if r.events == 0 {
				committed, err = keyExists(ctx, tx, *r.Key)
				return err
			}
			committed, err = eventExists(ctx, tx, r, unknown.oldHead)
			return err
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for the events of a lost commit: %w", err)
	}
	return committed, nil
}

func eventExists(ctx context.Context, tx pgx.Tx, r *request, after int64) (bool, error) {
	for _, sa := range r.Streams {
		if len(sa.Events) == 0 {
			continue
		}
		rows, err := tx.Query(ctx, sqlEventExists, sa.Stream.ID, sa.Events[0].ID, after)
		if err != nil {
			return false, err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return len(found) > 0, err
	}
	return false, nil
}

func keyExists(ctx context.Context, tx pgx.Tx, k IdempotencyKey) (bool, error) {
	rows, err := tx.Query(ctx, sqlLookupKeys, []string{k.Scope}, []string{k.Key})
	if err != nil {
		return false, err
	}
	found := false
	err = scanKeys(rows, func(int, storedKey) { found = true })
	return found, err
}

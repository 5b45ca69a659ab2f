package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// request is an append on its way through the queue.
type request struct {
	Append
	meta          json.RawMessage
	events, bytes int
	taken         atomic.Bool  // whoever sets it, the appender or a caller that gives up, decides its fate
	done          chan outcome // buffered: the appender never waits for a caller
}

type outcome struct {
	result Result
	err    error
}

// take claims the request for the appender; abandon claims it for a caller that stops waiting.
func (r *request) take() bool    { return r.taken.CompareAndSwap(false, true) }
func (r *request) abandon() bool { return r.taken.CompareAndSwap(false, true) }

// runAppender is the only writer of the process: it drains whatever waits into one transaction after the
// other, so the lock on the head and the flush to disk are paid once a batch and not once an append.
func (s *Store) runAppender(ctx context.Context) error {
	defer s.refuseQueued()
	var held *request // taken from the queue, but too large for the batch before
	callers := 0
	for {
		first := held
		if first == nil {
			select {
			case <-ctx.Done():
				return nil
			case first = <-s.queue:
			}
		}
		var batch []*request
		batch, held = s.collect(first, callers)
		if len(batch) == 0 {
			continue
		}
		// A batch is finished even when the store is told to stop; commit bounds its own time.
		callers = s.commit(context.WithoutCancel(ctx), batch)
		if ctx.Err() != nil {
			if held != nil && held.take() {
				held.done <- outcome{err: ErrClosed}
			}
			return nil
		}
	}
}

// collect takes what waits behind first, up to the bounds of a batch. held is the request that did not fit; callers
// are those that waited or were answered when the batch before was done.
func (s *Store) collect(first *request, callers int) (batch []*request, held *request) {
	s.letCallersIn(callers)
	events, size := 0, 0
	for next := first; ; {
		if events > 0 && (events+next.events > s.opts.BatchEvents || size+next.bytes > s.opts.BatchBytes) {
			return batch, next
		}
		if next.take() {
			batch = append(batch, next)
			events += next.events
			size += next.bytes
		}
		if len(batch) >= s.opts.BatchEvents {
			return batch, nil
		}
		select {
		case next = <-s.queue:
		default:
			return batch, nil
		}
	}
}

// letCallersIn yields while the queue grows, until as many wait as may have come back. The callers that the last
// commit answered are runnable now; letting them run first puts their next appends into this batch and not into one
// after it. It costs a lone caller little, and makes batches of many callers larger.
func (s *Store) letCallersIn(callers int) {
	const patience = 64 // yields without a newcomer
	waiting := len(s.queue)
	for idle := 0; idle < patience && waiting < min(callers-1, cap(s.queue)); idle++ { // one is out of the queue
		runtime.Gosched()
		if n := len(s.queue); n > waiting {
			waiting, idle = n, 0
		}
	}
}

func (s *Store) refuseQueued() {
	for {
		select {
		case r := <-s.queue:
			if r.take() {
				r.done <- outcome{err: ErrClosed}
			}
		default:
			return
		}
	}
}

// commit stores a batch and answers each of its requests. It tells how many waited or were answered then.
func (s *Store) commit(ctx context.Context, batch []*request) (callers int) {
	start := time.Now()
	outcomes, err := s.transact(ctx, batch)
	var unknown *unknownOutcomeError
	if errors.As(err, &unknown) {
		s.log.WarnContext(ctx, "the connection was lost at a commit; finding out whether it happened", "appends", len(batch), "err", err)
		outcomes, err = s.findOut(ctx, batch, unknown)
	}
	if err != nil && len(batch) > 1 && isRefusal(err) {
		// One append that the database refuses must not fail those that wait beside it.
		s.log.WarnContext(ctx, "a batch was refused; its appends are tried one by one", "appends", len(batch), "err", err)
		for _, r := range batch {
			callers = s.commit(ctx, []*request{r})
		}
		return callers
	}
	stats, mismatches := BatchStats{Appends: len(batch), Duration: time.Since(start), Err: err}, 0
	for i := 0; err == nil && i < len(batch); i++ {
		var conflict *ConflictError
		switch out := outcomes[i]; {
		case errors.As(out.err, &conflict):
			stats.Conflicts++
		case errors.Is(out.err, ErrIdempotencyMismatch):
			mismatches++
		case out.result.Replayed:
			stats.Replays++
		case out.err == nil:
			stats.Events += batch[i].events
		}
	}
	s.counters.batch(stats, mismatches) // before anybody is answered, so that who looks then sees it
	callers = len(s.queue) + len(batch)
	for i, r := range batch {
		if err != nil {
			r.done <- outcome{err: failed(err)}
		} else {
			r.done <- outcomes[i]
		}
	}
	if s.opts.Observe != nil {
		s.opts.Observe(stats)
	}
	return callers
}

// isRefusal tells an error that PostgreSQL gave for what was sent from one of the connection or server.
func isRefusal(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || len(pgErr.Code) != 5 {
		return false
	}
	switch pgErr.Code[:2] {
	case "22", "23", "54": // data exception, integrity constraint, program limit exceeded
		return true
	}
	return false
}

// failed gives an error of a whole batch the meaning it has for one caller.
func failed(err error) error {
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		return err
	case isRefusal(err):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

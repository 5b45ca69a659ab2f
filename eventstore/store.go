package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// EventsChannel is the PostgreSQL notification channel on which every commit of events is announced; the
// payload is the new head. It is a hint: whoever reads the log must also poll.
const EventsChannel = "orderlog_events"

// partitionSize is how many events a partition of the log holds. Part of the schema: never change it for
// an existing database.
const partitionSize = 1_000_000

// Options of a [Store]. The zero value is usable.
type Options struct {
	// Queue is how many appends may wait. 0: 1024. When it is full, Append waits for at most QueueWait.
	Queue int
	// QueueWait bounds the wait for a place in a full queue. 0: 2 s.
	QueueWait time.Duration
	// BatchEvents bounds the events of one transaction. 0: 2048. A single append may have more than that
	// only if it is alone.
	BatchEvents int
	// BatchBytes bounds the payload of one transaction. 0: 4 MiB.
	BatchBytes int
	// PartitionsAhead is how many empty partitions are kept ready. 0: 2.
	PartitionsAhead int
	Logger          *slog.Logger
	// Observe, if not nil, is called after each transaction from the appender's goroutine.
	Observe func(BatchStats)
}

// BatchStats describes one transaction of the appender.
type BatchStats struct {
	Appends, Events, Conflicts, Replays int
	Duration                            time.Duration
	Err                                 error
}

// Store appends to and reads from the log. It is safe for concurrent use; several stores, in one process
// or on several nodes, may share a database.
type Store struct {
	pool  *pgxpool.Pool
	opts  Options
	log   *slog.Logger
	queue chan *request
	done  chan struct{} // closed when Run has ended
	head  atomic.Int64  // as of the last batch
	grown chan struct{} // head has risen; for the partition keeper

	counters counters
}

// Open returns a Store on a migrated database. Appends are carried out while [Store.Run] runs. The pool
// stays the caller's.
func Open(pool *pgxpool.Pool, opts Options) *Store {
	if opts.Queue == 0 {
		opts.Queue = 1024
	}
	if opts.QueueWait == 0 {
		opts.QueueWait = 2 * time.Second
	}
	if opts.BatchEvents == 0 {
		opts.BatchEvents = 2048
	}
	if opts.BatchBytes == 0 {
		opts.BatchBytes = 4 << 20
	}
	if opts.PartitionsAhead == 0 {
		opts.PartitionsAhead = 2
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{
		pool: pool, opts: opts, log: opts.Logger,
		queue: make(chan *request, opts.Queue),
		done:  make(chan struct{}),
		grown: make(chan struct{}, 1),
	}
}

// Run carries out appends and keeps partitions ready, until ctx ends; it may be called once. What waits in
// the queue then fails with [ErrClosed]; what is in a transaction is finished first.
func (s *Store) Run(ctx context.Context) error {
	defer close(s.done)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.runAppender(ctx) })
	g.Go(func() error { return s.keepPartitions(ctx) })
	return g.Wait()
}

// Append adds the events of a command, all or none, and returns when they are durable.
//
// Errors: [*ConflictError], [ErrIdempotencyMismatch], [ErrInvalid], [ErrOverloaded], [ErrUnavailable],
// [ErrOutcomeUnknown], [ErrClosed], or ctx's. After all but ErrOutcomeUnknown nothing was stored.
func (s *Store) Append(ctx context.Context, a Append) (Result, error) {
	r, err := newRequest(a)
	if err != nil {
		return Result{}, err
	}
	started := time.Now()
	if err := s.enqueue(ctx, r); err != nil {
		s.counters.notTaken(err)
		return Result{}, err
	}
	select {
	case out := <-r.done:
		s.counters.answered(time.Since(started))
		return out.result, out.err
	case <-s.done:
	case <-ctx.Done():
	}
	if r.abandon() { // nobody will carry it out any more
		if ctx.Err() != nil {
			return Result{}, fmt.Errorf("eventstore: nothing was stored: %w", ctx.Err())
		}
		return Result{}, ErrClosed
	}
	select { // it is being carried out, or was
	case out := <-r.done:
		return out.result, out.err
	default:
	}
	if ctx.Err() == nil { // the store has ended, so an answer is there or never comes
		return Result{}, ErrOutcomeUnknown
	}
	return Result{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
}

func (s *Store) enqueue(ctx context.Context, r *request) error {
	select {
	case <-s.done:
		return ErrClosed
	case s.queue <- r:
		return nil
	default:
	}
	full := time.NewTimer(s.opts.QueueWait)
	defer full.Stop()
	select {
	case <-s.done:
		return ErrClosed
	case s.queue <- r:
		return nil
	case <-full.C:
		return ErrOverloaded
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrOverloaded, ctx.Err())
	}
}

// newRequest gives each event its id.
func newRequest(a Append) (*request, error) {
	meta, err := a.validate()
	if err != nil {
		return nil, err
	}
	r := &request{Append: a, meta: meta, done: make(chan outcome, 1)}
	r.Streams = make([]StreamAppend, len(a.Streams))
	for i, sa := range a.Streams {
		events := make([]NewEvent, len(sa.Events))
		for j, e := range sa.Events {
			if e.ID == uuid.Nil {
				if e.ID, err = uuid.NewV7(); err != nil {
					return nil, fmt.Errorf("eventstore: make an event id: %w", err)
				}
			}
			events[j] = e
			r.bytes += len(e.Data) + len(r.meta)
		}
		sa.Events = events
		r.Streams[i] = sa
		r.events += len(events)
	}
	return r, nil
}

package eventstore_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestAStoreCountsWhatBecomesOfAppends(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Pool(t, pgtest.Database(t)), eventstore.Options{})
	stream := fresh()
	twice := one(stream, 0)
	twice.Streams[0].Events = append(twice.Streams[0].Events, twice.Streams[0].Events...)
	keyed := func(fingerprint string) eventstore.Append {
		a := one(fresh(), 0)
		a.Key = &eventstore.IdempotencyKey{Scope: "ada", Key: "k", Fingerprint: []byte(fingerprint)}
		return a
	}
	var conflict *eventstore.ConflictError
	for _, step := range []struct {
		append  eventstore.Append
		refused func(error) bool
	}{
		{append: twice},
		{append: keyed("this")},
		{append: one(stream, 0), refused: func(err error) bool { return errors.As(err, &conflict) }},
		{append: keyed("this")}, // a repeat
		{append: keyed("that"), refused: func(err error) bool { return errors.Is(err, eventstore.ErrIdempotencyMismatch) }},
		{append: eventstore.Append{}, refused: func(err error) bool { return errors.Is(err, eventstore.ErrInvalid) }},
	} {
		_, err := store.Append(t.Context(), step.append)
		if (step.refused == nil) != (err == nil) || (err != nil && !step.refused(err)) {
			t.Fatalf("append: %v", err)
		}
	}
	got := store.Stats()
	sizes, durations := got.BatchSizes, got.Durations
	got.BatchSizes, got.Durations = eventstore.Histogram{}, eventstore.Histogram{}
	if want := (eventstore.Stats{Appends: 2, Events: 3, Conflicts: 1, Replays: 1, Mismatches: 1, Batches: 5}); !equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if sizes.Count != 5 || sizes.Sum != 5 || sizes.Counts[0] != 5 || sizes.Bounds[0] != 1 {
		t.Errorf("five batches of one append: %+v", sizes)
	}
	if durations.Count != 5 || durations.Sum <= 0 || durations.Sum > 60 || !slices.IsSorted(durations.Counts) || !slices.IsSorted(durations.Bounds) {
		t.Errorf("five answers: %+v", durations)
	}
}

func equal(a, b eventstore.Stats) bool {
	return a.Appends == b.Appends && a.Events == b.Events && a.Conflicts == b.Conflicts && a.Replays == b.Replays &&
		a.Mismatches == b.Mismatches && a.Failures == b.Failures && a.Overloads == b.Overloads && a.Batches == b.Batches && a.Queued == b.Queued
}

func TestAStoreCountsAppendsOfOneBatch(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	store := eventstore.Open(pool, eventstore.Options{})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := store.Append(t.Context(), one(fresh(), 0)); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	// The store does not run yet, so all of them wait.
	parttest.Eventually(t, "the appends to be queued", func() bool { return store.Stats().Queued == 10 })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	wg.Wait()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	got := store.Stats()
	if got.Appends != 10 || got.Events != 10 || got.Batches != 1 || got.Queued != 0 {
		t.Errorf("got %+v", got)
	}
	// 10 is more than 8 and at most 16.
	if b := got.BatchSizes; b.Count != 1 || b.Sum != 10 || b.Counts[slices.Index(b.Bounds, 8)] != 0 || b.Counts[slices.Index(b.Bounds, 16)] != 1 {
		t.Errorf("one batch of ten: %+v", b)
	}
}

func TestAStoreCountsWhatItCouldNotDo(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	still := eventstore.Open(pool, eventstore.Options{Queue: 1, QueueWait: time.Millisecond})
	leaving, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := still.Append(leaving, one(fresh(), 0))
		first <- err
	}()
	parttest.Eventually(t, "the append to be queued", func() bool { return still.Stats().Queued == 1 })
	if _, err := still.Append(t.Context(), one(fresh(), 0)); !errors.Is(err, eventstore.ErrOverloaded) {
		t.Fatalf("an append to a full queue: %v", err)
	}
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatalf("the append that was queued: %v", err)
	}
	if got := still.Stats(); got.Overloads != 1 || got.Durations.Count != 0 {
		t.Errorf("one that was not taken: %+v", got)
	}

	gone := pgtest.Pool(t, pgtest.Database(t))
	store := open(t, gone, eventstore.Options{})
	gone.Close()
	if _, err := store.Append(t.Context(), one(fresh(), 0)); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Fatalf("an append without a database: %v", err)
	}
	if got := store.Stats(); got.Failures != 1 || got.Appends != 0 || got.Batches != 0 || got.Durations.Count != 1 {
		t.Errorf("one that failed: %+v", got)
	}
}

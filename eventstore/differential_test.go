package eventstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/commands/commandstest"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// A batch is stored, and its appends are answered, as if they had come one after the other. The log in memory that
// tests of commands use takes them so.
func TestABatchIsStoredAsItsAppendsWouldBeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	rapid.Check(t, func(r *rapid.T) { compare(r, pool) })
}

func FuzzABatchIsStoredAsItsAppendsWouldBeOneAfterTheOther(f *testing.F) {
	pool := pgtest.Pool(f, pgtest.Database(f))
	f.Add([]byte("0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789"))
	f.Fuzz(rapid.MakeFuzz(func(r *rapid.T) { compare(r, pool) }))
}

// compare stores some batches in a log that may have others', and in one in memory.
func compare(r *rapid.T, pool *pgxpool.Pool) {
	ctx := context.Background()
	model := &commandstest.Store{}
	scope := uuid.NewString()
	streams := make([]eventstore.StreamID, 4)
	for i := range streams {
		streams[i] = eventstore.StreamID{Type: fmt.Sprint("t", i%2), ID: uuid.New()}
	}
	streams[1].ID = streams[0].ID // which the type tells apart
	versions := map[eventstore.StreamID]int64{}
	var ours []eventstore.Recorded
	for range rapid.IntRange(1, 4).Draw(r, "batches") {
		appends := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) eventstore.Append { return drawAppend(r, scope, streams, versions) }), 1, 12).Draw(r, "batch")
		store := eventstore.Open(pool, eventstore.Options{})
		before, err := store.Head(ctx)
		if err != nil {
			r.Fatal(err)
		}
		replies := together(r, store, appends...)
		for i, a := range appends {
			want, err := model.Append(ctx, a)
			if err == nil && !want.Replayed {
				for _, sa := range a.Streams {
					versions[sa.Stream] += int64(len(sa.Events))
				}
			}
			if got := replies[i]; !sameAnswer(got, reply{want, err}) {
				r.Fatalf("append %d of %d, %+v, is answered %+v; want %+v", i+1, len(appends), a, got, reply{want, err})
			}
		}
		log, err := store.ReadLog(ctx, before.Seq, 1000)
		if err != nil {
			r.Fatal(err)
		}
		ours = append(ours, log...)
	}
	want, err := model.ReadLog(ctx, 0, 1000)
	if err != nil || len(want) != len(ours) {
		r.Fatalf("the log has %d events, want %d: %v", len(ours), len(want), err)
	}
	for i, e := range ours {
		if i > 0 && e.Seq != ours[i-1].Seq+1 {
			r.Fatalf("seq %d follows on %d", e.Seq, ours[i-1].Seq)
		}
		if w := want[i]; e.Stream != w.Stream || e.Version != w.Version || e.Type != w.Type || string(e.Data) != string(w.Data) {
			r.Fatalf("event %d is %+v, want %+v", i+1, e, w)
		}
	}
}

func drawAppend(r *rapid.T, scope string, streams []eventstore.StreamID, versions map[eventstore.StreamID]int64) (a eventstore.Append) {
	mark := rapid.IntRange(0, 1<<30).Draw(r, "mark")
	for _, s := range rapid.SliceOfNDistinct(rapid.SampledFrom(streams), 0, 3, rapid.ID[eventstore.StreamID]).Draw(r, "streams") {
		// What is there, or will be when those before it in the batch are stored; or anything.
		expected := rapid.SampledFrom([]int64{eventstore.AnyVersion, versions[s], versions[s] + 1, versions[s] + 2, max(versions[s]-1, 0), 1<<63 - 1}).Draw(r, "expected")
		sa := eventstore.StreamAppend{Stream: s, Expected: expected}
		for n := range rapid.IntRange(0, 3).Draw(r, "events") {
			sa.Events = append(sa.Events, eventstore.NewEvent{Type: "test.happened", Data: json.RawMessage(fmt.Sprint(mark + n))})
		}
		a.Streams = append(a.Streams, sa)
	}
	if key := rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(r, "key"); key != "" {
		a.Key = &eventstore.IdempotencyKey{
			Scope: scope, Key: key, Fingerprint: rapid.SampledFrom([][]byte{nil, {1}, {2}}).Draw(r, "fingerprint"),
		}
		a.Answer = rapid.SampledFrom([]json.RawMessage{nil, json.RawMessage(fmt.Sprint(mark))}).Draw(r, "answer")
	}
	return a
}

// sameAnswer leaves seqs and times out: the logs have different histories. The order of the log shows them.
func sameAnswer(a, b reply) bool {
	var ours, theirs *eventstore.ConflictError
	switch {
	case errors.As(a.err, &ours) && errors.As(b.err, &theirs):
		return reflect.DeepEqual(ours, theirs)
	case a.err != nil || b.err != nil:
		return errors.Is(a.err, eventstore.ErrInvalid) && errors.Is(b.err, eventstore.ErrInvalid) ||
			errors.Is(a.err, eventstore.ErrIdempotencyMismatch) && errors.Is(b.err, eventstore.ErrIdempotencyMismatch)
	}
	events := func(r eventstore.Result) int64 {
		if r.FirstSeq == 0 {
			return 0
		}
		return r.LastSeq - r.FirstSeq + 1
	}
	return a.result.Replayed == b.result.Replayed && events(a.result) == events(b.result) && string(a.result.Answer) == string(b.result.Answer)
}

type reply struct {
	result eventstore.Result
	err    error
}

// together runs a store until it has carried out some appends, in one batch and in their order.
func together(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, store *eventstore.Store, appends ...eventstore.Append,
) []reply {
	t.Helper()
	replies := make([]reply, len(appends))
	answered := make(chan struct{}, len(appends))
	waiting, late := int64(0), time.Now().Add(time.Minute)
	for i, a := range appends {
		go func() {
			replies[i].result, replies[i].err = store.Append(context.Background(), a)
			answered <- struct{}{}
		}()
		if a.Validate() == nil { // the others never wait
			waiting++
		}
		for store.Stats().Queued < waiting {
			if runtime.Gosched(); time.Now().After(late) {
				t.Fatalf("%+v does not wait to be carried out", a)
			}
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	for range appends {
		<-answered
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("the store ended with %v", err)
	}
	return replies
}

// Package conformance is what every event store must do, as tests: the promises of package eventstore,
// stated once, for the PostgreSQL store and for whatever stands in for it.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/eventstore"
)

// Store is what is tested.
type Store interface {
	Append(ctx context.Context, a eventstore.Append) (eventstore.Result, error)
	ReadStream(ctx context.Context, id eventstore.StreamID, afterVersion int64) ([]eventstore.Recorded, error)
	ReadLog(ctx context.Context, after int64, limit int) ([]eventstore.Recorded, error)
	ReadLast(ctx context.Context, ids []eventstore.StreamID) (map[eventstore.StreamID]eventstore.Last, error)
	LookupKey(ctx context.Context, k eventstore.IdempotencyKey) (eventstore.Result, bool, error)
}

// Run runs the suite; open returns an empty store that lasts as long as the test.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Store){
		"an append is read back as it was given":                  readBack,
		"events get dense seqs, and versions within their stream": denseSeqs,
		"a wrong expected version is a conflict and adds nothing": conflict,
		"an append over several streams is all or nothing":        allOrNothing,
		"a stream can be checked without adding to it":            checkOnly,
		"any version appends to whatever is there":                anyVersion,
		"of many that expect the same version one wins":           oneWinner,
		"concurrent appends stay dense and in order":              concurrent,
		"a repeated key adds nothing and answers the same":        repeatedKey,
		"a key used for something else is a mismatch":             keyMismatch,
		"a key racing with itself is stored once":                 racingKey,
		"keys of different scopes do not meet":                    keyScopes,
		"a key can be kept without events":                        keyAlone,
		"what cannot be stored is refused, alone":                 refusedAlone,
		"the log is read in pages":                                pages,
		"the newest event of each stream is read, with its age":   newest,
		"it agrees with a model under random appends":             model,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func stream() eventstore.StreamID {
	return eventstore.StreamID{Type: "test", ID: uuid.New()}
}

func events(n int) []eventstore.NewEvent {
	list := make([]eventstore.NewEvent, n)
	for i := range list {
		list[i] = eventstore.NewEvent{Type: "test.happened", Data: json.RawMessage(fmt.Sprintf(`{"n": %d}`, i))}
	}
	return list
}

func to(s eventstore.StreamID, expected int64, n int) eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: s, Expected: expected, Events: events(n)}
}

func appendTo(streams ...eventstore.StreamAppend) eventstore.Append {
	return eventstore.Append{Streams: streams, Meta: eventstore.Meta{UserID: "u-1"}}
}

func must(t *testing.T, store Store, a eventstore.Append) eventstore.Result {
	t.Helper()
	r, err := store.Append(t.Context(), a)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return r
}

func wholeLog(t *testing.T, store Store) []eventstore.Recorded {
	t.Helper()
	log, err := store.ReadLog(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatalf("read the log: %v", err)
	}
	return log
}

func readBack(t *testing.T, store Store) {
	id := uuid.Must(uuid.NewV7())
	s := stream()
	a := eventstore.Append{
		Streams: []eventstore.StreamAppend{{Stream: s, Events: []eventstore.NewEvent{
			{ID: id, Type: "test.told", Data: json.RawMessage(`{"text":"Käse 🧀 \n \"quoted\"", "n": 12345678901234567890, "nested": [null, true, {}]}`)},
		}}},
		Meta: eventstore.Meta{UserID: "ann", Role: "customer", CorrelationID: "c-1", Reason: "hunger"},
	}
	result := must(t, store, a)
	got, err := store.ReadStream(t.Context(), s, 0)
	if err != nil || len(got) != 1 {
		t.Fatalf("read the stream: %d events, %v", len(got), err)
	}
	e := got[0]
	if e.Seq != 1 || e.ID != id || e.Stream != s || e.Version != 1 || e.Type != "test.told" {
		t.Errorf("envelope: %+v", e)
	}
	if !sameJSON(e.Data, a.Streams[0].Events[0].Data) {
		t.Errorf("data: got %s", e.Data)
	}
	if want, _ := json.Marshal(a.Meta); !sameJSON(e.Meta, want) {
		t.Errorf("meta: got %s, want %s", e.Meta, want)
	}
	if result.FirstSeq != 1 || result.LastSeq != 1 || result.Replayed || !result.RecordedAt.Equal(e.RecordedAt) {
		t.Errorf("result: %+v for an event recorded at %s", result, e.RecordedAt)
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	da, db := json.NewDecoder(strings.NewReader(string(a))), json.NewDecoder(strings.NewReader(string(b)))
	da.UseNumber()
	db.UseNumber()
	return da.Decode(&x) == nil && db.Decode(&y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

func denseSeqs(t *testing.T, store Store) {
	a, b := stream(), stream()
	must(t, store, appendTo(to(a, 0, 2)))
	must(t, store, appendTo(to(b, 0, 1), to(a, 2, 2)))
	r := must(t, store, appendTo(to(b, 1, 1)))
	if r.FirstSeq != 6 || r.LastSeq != 6 {
		t.Errorf("the sixth event has seqs %d to %d", r.FirstSeq, r.LastSeq)
	}
	checkLog(t, wholeLog(t, store), 6)
	tail, err := store.ReadStream(t.Context(), a, 3)
	if err != nil || len(tail) != 1 || tail[0].Version != 4 {
		t.Errorf("the stream after version 3: %+v, %v", tail, err)
	}
}

// checkLog checks what holds for every log: dense, streams in version order, times that never fall.
func checkLog(t *testing.T, log []eventstore.Recorded, want int) {
	t.Helper()
	if len(log) != want {
		t.Errorf("the log has %d events, want %d", len(log), want)
	}
	versions := make(map[eventstore.StreamID]int64)
	ids := make(map[uuid.UUID]bool)
	for i, e := range log {
		if e.Seq != int64(i)+1 {
			t.Fatalf("event %d of the log has seq %d", i+1, e.Seq)
		}
		if versions[e.Stream]++; e.Version != versions[e.Stream] {
			t.Fatalf("seq %d is version %d of %s, want %d", e.Seq, e.Version, e.Stream, versions[e.Stream])
		}
		if i > 0 && e.RecordedAt.Before(log[i-1].RecordedAt) {
			t.Fatalf("seq %d was recorded before seq %d", e.Seq, e.Seq-1)
		}
		if ids[e.ID] {
			t.Fatalf("seq %d repeats the event id %s", e.Seq, e.ID)
		}
		ids[e.ID] = true
	}
}

func conflict(t *testing.T, store Store) {
	s := stream()
	must(t, store, appendTo(to(s, 0, 3)))
	for _, expected := range []int64{0, 2, 4} {
		_, err := store.Append(t.Context(), appendTo(to(s, expected, 1)))
		var c *eventstore.ConflictError
		if !errors.As(err, &c) || c.Stream != s || c.Expected != expected || c.Actual != 3 {
			t.Errorf("expecting version %d: %v", expected, err)
		}
	}
	checkLog(t, wholeLog(t, store), 3)
}

func allOrNothing(t *testing.T, store Store) {
	a, b := stream(), stream()
	must(t, store, appendTo(to(b, 0, 1)))
	if _, err := store.Append(t.Context(), appendTo(to(a, 0, 2), to(b, 0, 2))); err == nil {
		t.Fatal("an append with one wrong version of two passed")
	}
	if got, err := store.ReadStream(t.Context(), a, 0); err != nil || len(got) != 0 {
		t.Errorf("half of a failed append is there: %+v, %v", got, err)
	}
	must(t, store, appendTo(to(a, 0, 2), to(b, 1, 2)))
	checkLog(t, wholeLog(t, store), 5)
}

func checkOnly(t *testing.T, store Store) {
	guard, s := stream(), stream()
	must(t, store, appendTo(to(guard, 0, 2)))
	must(t, store, appendTo(to(s, 0, 1), to(guard, 2, 0)))
	var c *eventstore.ConflictError
	if _, err := store.Append(t.Context(), appendTo(to(s, 1, 1), to(guard, 1, 0))); !errors.As(err, &c) || c.Stream != guard {
		t.Errorf("a check of a version that passed: %v", err)
	}
	checkLog(t, wholeLog(t, store), 3)
}

func anyVersion(t *testing.T, store Store) {
	s := stream()
	must(t, store, appendTo(to(s, eventstore.AnyVersion, 1)))
	must(t, store, appendTo(to(s, eventstore.AnyVersion, 2)))
	checkLog(t, wholeLog(t, store), 3)
}

func oneWinner(t *testing.T, store Store) {
	s := stream()
	const writers = 32
	var won, lost sync.Map
	parallel(writers, func(n int) {
		_, err := store.Append(t.Context(), appendTo(to(s, 0, 1)))
		var c *eventstore.ConflictError
		switch {
		case err == nil:
			won.Store(n, true)
		case errors.As(err, &c):
			lost.Store(n, true)
		default:
			t.Errorf("writer %d: %v", n, err)
		}
	})
	if w, l := size(&won), size(&lost); w != 1 || l != writers-1 {
		t.Errorf("%d won and %d had a conflict", w, l)
	}
	checkLog(t, wholeLog(t, store), 1)
}

func concurrent(t *testing.T, store Store) {
	const writers, each = 16, 25
	shared := stream()
	parallel(writers, func(n int) {
		own := stream()
		for i := range int64(each) {
			both := appendTo(to(own, i, 1), to(shared, eventstore.AnyVersion, 1))
			if _, err := store.Append(t.Context(), both); err != nil {
				t.Errorf("writer %d: %v", n, err)
				return
			}
		}
	})
	checkLog(t, wholeLog(t, store), writers*each*2)
}

func keyed(scope, key, fingerprint string, streams ...eventstore.StreamAppend) eventstore.Append {
	a := appendTo(streams...)
	a.Key = &eventstore.IdempotencyKey{Scope: scope, Key: key, Fingerprint: []byte(fingerprint)}
	a.Answer = json.RawMessage(fmt.Sprintf(`{"first":"answer to %s"}`, key))
	return a
}

func repeatedKey(t *testing.T, store Store) {
	s := stream()
	a := keyed("ann", "k-1", "f", to(s, 0, 2))
	first := must(t, store, a)
	again := must(t, store, a) // its expected version is wrong by now: the key comes first
	found, ok, err := store.LookupKey(t.Context(), *a.Key)
	if err != nil || !ok {
		t.Fatalf("look up the key: %v, %v", ok, err)
	}
	for _, r := range []eventstore.Result{again, found} {
		if !r.Replayed || r.FirstSeq != first.FirstSeq || r.LastSeq != first.LastSeq ||
			!r.RecordedAt.Equal(first.RecordedAt) || !sameJSON(r.Answer, a.Answer) {
			t.Errorf("the first result was %+v, the repeated one is %+v with answer %s", first, r, r.Answer)
		}
	}
	if first.Replayed {
		t.Error("the first append says that it is a repeat")
	}
	checkLog(t, wholeLog(t, store), 2)
}

func keyMismatch(t *testing.T, store Store) {
	must(t, store, keyed("ann", "k-1", "f", to(stream(), 0, 1)))
	other := keyed("ann", "k-1", "another", to(stream(), 0, 1))
	if _, err := store.Append(t.Context(), other); !errors.Is(err, eventstore.ErrIdempotencyMismatch) {
		t.Errorf("append: %v", err)
	}
	if _, _, err := store.LookupKey(t.Context(), *other.Key); !errors.Is(err, eventstore.ErrIdempotencyMismatch) {
		t.Errorf("look up: %v", err)
	}
	checkLog(t, wholeLog(t, store), 1)
}

func racingKey(t *testing.T, store Store) {
	var fresh sync.Map
	parallel(32, func(n int) {
		r, err := store.Append(t.Context(), keyed("ann", "k-1", "f", to(stream(), 0, 1)))
		switch {
		case err != nil:
			t.Errorf("append %d: %v", n, err)
		case !r.Replayed:
			fresh.Store(n, true)
		case r.LastSeq != 1:
			t.Errorf("append %d: %+v", n, r)
		}
	})
	if n := size(&fresh); n != 1 {
		t.Errorf("%d appends with one key were stored", n)
	}
	checkLog(t, wholeLog(t, store), 1)
}

func keyScopes(t *testing.T, store Store) {
	must(t, store, keyed("ann", "k-1", "f", to(stream(), 0, 1)))
	if r := must(t, store, keyed("bob", "k-1", "g", to(stream(), 0, 1))); r.Replayed {
		t.Error("bob was given ann's answer")
	}
	checkLog(t, wholeLog(t, store), 2)
}

func keyAlone(t *testing.T, store Store) {
	must(t, store, appendTo(to(stream(), 0, 3)))
	a := keyed("ann", "k-1", "f")
	if r := must(t, store, a); r.FirstSeq != 0 || r.LastSeq != 3 {
		t.Errorf("a key without events: %+v", r)
	}
	if r := must(t, store, a); !r.Replayed {
		t.Error("the key was not kept")
	}
	checkLog(t, wholeLog(t, store), 3)
}

func refusedAlone(t *testing.T, store Store) {
	bad := map[string]string{
		"not JSON": `{`, "a NUL": `"\u0000"`, "half a pair": `"\ud83e"`, "not UTF-8": "\"\xff\"",
		"too large":                  `"` + strings.Repeat("x", eventstore.MaxData) + `"`,
		"a number that is too large": `{"n":1e131072}`, "one that is too small": `[-1e-16384]`, "one that is long when it is written out": `1e1001`,
		"one with more digits than any": `1e99999999999999999999`, "one that is long": strings.Repeat("9", 1001),
		"numbers that are too large when they are written out": "[" + strings.Repeat("1e900,", 2000) + "1]",
	}
	var names []string
	for name := range bad {
		names = append(names, name)
	}
	const good = 40
	parallel(good+len(names), func(n int) {
		if n >= len(names) {
			if _, err := store.Append(t.Context(), appendTo(to(stream(), 0, 1))); err != nil {
				t.Errorf("a good append beside bad ones: %v", err)
			}
			return
		}
		data := json.RawMessage(bad[names[n]])
		_, err := store.Append(t.Context(), appendTo(eventstore.StreamAppend{
			Stream: stream(), Events: []eventstore.NewEvent{{Type: "test.bad", Data: data}},
		}))
		if !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s: %v", names[n], err)
		}
	})
	for what, a := range map[string]eventstore.Append{
		"nothing at all":     {},
		"a stream twice":     appendTo(to(eventstore.StreamID{Type: "x"}, 0, 1), to(eventstore.StreamID{Type: "x"}, 1, 1)),
		"no stream type":     appendTo(to(eventstore.StreamID{ID: uuid.New()}, 0, 1)),
		"a version below -1": appendTo(to(stream(), -2, 1)),
		"too many events":    appendTo(to(stream(), 0, eventstore.MaxEvents+1)),
		"an empty key":       keyed("ann", "", "f", to(stream(), 0, 1)),
		"a user that is not UTF-8": {
			Streams: []eventstore.StreamAppend{to(stream(), 0, 1)}, Meta: eventstore.Meta{UserID: "\xff"},
		},
		"a key that is not UTF-8": keyed("ann", "\xff", "f", to(stream(), 0, 1)),
		"a type with a NUL": appendTo(eventstore.StreamAppend{
			Stream: stream(), Events: []eventstore.NewEvent{{Type: "a\x00b", Data: json.RawMessage("1")}},
		}),
	} {
		if _, err := store.Append(t.Context(), a); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	checkLog(t, wholeLog(t, store), good)
}

func pages(t *testing.T, store Store) {
	must(t, store, appendTo(to(stream(), 0, 10)))
	var seqs []int64
	for after := int64(0); ; {
		page, err := store.ReadLog(t.Context(), after, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			seqs = append(seqs, e.Seq)
			after = e.Seq
		}
	}
	if !slices.Equal(seqs, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
		t.Errorf("read %v", seqs)
	}
}

func newest(t *testing.T, store Store) {
	a, b, none := stream(), stream(), stream()
	sameID := eventstore.StreamID{Type: "other", ID: a.ID}
	must(t, store, appendTo(to(a, 0, 3), to(b, 0, 1), to(sameID, 0, 1)))
	must(t, store, appendTo(to(a, 3, 2), to(b, 1, 0))) // b is only checked
	got, err := store.ReadLast(t.Context(), []eventstore.StreamID{b, none, a, sameID, a})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Errorf("newest of three streams and of one that is not there: %+v", got)
	}
	log := wholeLog(t, store)
	for id, seq := range map[eventstore.StreamID]int64{a: 7, b: 4, sameID: 5} {
		last := got[id]
		if want := log[seq-1]; !reflect.DeepEqual(last.Recorded, want) {
			t.Errorf("newest of %s: %+v; want %+v", id, last.Recorded, want)
		}
		if last.Age < 0 || last.Age > time.Minute {
			t.Errorf("the newest of %s is %s old", id, last.Age)
		}
	}
	// The clock runs on while the answer is made, so not all of what lies between them needs to show.
	if older, newer := got[b].Age, got[a].Age; older-newer < log[6].RecordedAt.Sub(log[3].RecordedAt)/2 {
		t.Errorf("events recorded at %s and %s are %s and %s old", log[3].RecordedAt, log[6].RecordedAt, older, newer)
	}
	if got, err := store.ReadLast(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("newest of no streams: %+v, %v", got, err)
	}
}

// model compares the store with the simplest thing that does the same: a map of versions.
func model(t *testing.T, store Store) {
	ids := []eventstore.StreamID{stream(), stream(), stream(), stream()}
	versions, total := make(map[eventstore.StreamID]int64), 0
	rapid.Check(t, func(rt *rapid.T) {
		var a eventstore.Append
		ok := true
		added := 0
		picked := rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 1, 3, rapid.ID[eventstore.StreamID]).Draw(rt, "streams")
		for _, id := range picked {
			expected := rapid.SampledFrom([]int64{eventstore.AnyVersion, versions[id], versions[id] + 1, max(versions[id]-1, 0)}).Draw(rt, "expected")
			n := rapid.IntRange(0, 3).Draw(rt, "events")
			ok = ok && (expected == eventstore.AnyVersion || expected == versions[id])
			added += n
			a.Streams = append(a.Streams, to(id, expected, n))
		}
		_, err := store.Append(context.Background(), a)
		var c *eventstore.ConflictError
		switch {
		case added == 0:
			if !errors.Is(err, eventstore.ErrInvalid) {
				rt.Fatalf("an append without events or key: %v", err)
			}
			return
		case ok != (err == nil), err != nil && !errors.As(err, &c):
			rt.Fatalf("append %+v: %v; should pass: %v", a, err, ok)
		case ok:
			for _, sa := range a.Streams {
				versions[sa.Stream] += int64(len(sa.Events))
			}
			total += added
		}
	})
	checkLog(t, wholeLog(t, store), total)
}

func parallel(n int, do func(n int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

package eventstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// witness keeps what a group was handed.
type witness struct {
	mu     sync.Mutex
	events []eventstore.Recorded
}

func (w *witness) see(_ context.Context, _ pgx.Tx, events []eventstore.Recorded) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, events...)
	return nil
}

func (w *witness) seen() []eventstore.Recorded {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// follow runs a group with a tail to the end of the log, and returns what it was handed.
func (w *world) follow(t *testing.T, name string, tail *eventstore.Tail) *witness {
	t.Helper()
	cfg, got := group(name), &witness{}
	cfg.Tail = tail
	w.run(t, eventstore.NewGroup(w.pool, cfg), got.see)
	return got
}

func (w *world) log(t *testing.T) []eventstore.Recorded {
	t.Helper()
	events, err := w.store.ReadLog(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// damage does to the log what only an operator can.
func (w *world) damage(t *testing.T, statement string) {
	t.Helper()
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, w.url))
	for _, s := range []string{
		"ALTER TABLE events_p00000000 DISABLE TRIGGER USER", "ALTER TABLE events DISABLE TRIGGER refuse_statement", statement,
	} {
		if _, err := superuser.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// That the rows are gone shows from where the second group has them.
func TestAGroupIsSparedTheReadingOfWhatAnotherHasRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 25)
	log, tail := w.log(t), eventstore.NewTail()
	first := w.follow(t, "feed", tail)
	parttest.Eventually(t, "the first group", func() bool { return w.checkpoint(t, "feed") == 25 })
	w.damage(t, "DELETE FROM events")
	second := w.follow(t, "views", tail)
	parttest.Eventually(t, "the second group", func() bool { return w.checkpoint(t, "views") == 25 })
	if got := first.seen(); !reflect.DeepEqual(got, log) {
		t.Errorf("the first group was handed %v", got)
	}
	if got := second.seen(); !reflect.DeepEqual(got, log) {
		t.Errorf("the second group was handed %v", got)
	}
}

func TestWhatIsOfAnotherLogIsNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 25)
	log := w.log(t)
	type life struct {
		id              uuid.UUID
		started         time.Time
		database, table uint32
	}
	var own life
	if err := w.pool.QueryRow(t.Context(), `
SELECT log_id, pg_postmaster_start_time(), d.oid, h.tableoid FROM log_head h, pg_database d WHERE datname = current_database()`).
		Scan(&own.id, &own.started, &own.database, &own.table); err != nil {
		t.Fatal(err)
	}
	false25 := slices.Clone(log)
	for i := range false25 {
		false25[i].ID, false25[i].Data = uuid.New(), json.RawMessage(`"of another past"`)
	}
	groups := []string{"feed", "views", "inbox", "refunds", "proofs"}
	for i, c := range []struct {
		name   string
		change func(*life)
		taken  bool
	}{
		{"nothing is another", func(*life) {}, true}, // as damage to the log would have it
		{"another id, as after a restore", func(l *life) { l.id = uuid.New() }, false},
		{"a server that was started before it", func(l *life) { l.started = l.started.Add(-time.Hour) }, false},
		{"another database", func(l *life) { l.database++ }, false},
		{"another table", func(l *life) { l.table++ }, false},
	} {
		of := own
		c.change(&of)
		tail := eventstore.NewTail()
		tail.KeepOf(of.id, of.started, of.database, of.table, false25)
		got := w.follow(t, groups[i], tail)
		parttest.Eventually(t, "the group", func() bool { return len(got.seen()) == 25 })
		want := log
		if c.taken {
			want = false25
		}
		if !reflect.DeepEqual(got.seen(), want) {
			t.Errorf("%s: the group was handed %v", c.name, got.seen())
		}
	}
}

// Two nodes append and follow; some appends come to nothing; some groups begin when the log is long, and one works on
// the one node and then on the other.
func TestGroupsThatShareATailAreHandedTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	otherPool := pgtest.Pool(t, w.url)
	other := &world{url: w.url, pool: otherPool, store: open(t, otherPool, eventstore.Options{})}
	tail, otherTail := eventstore.NewTail(), eventstore.NewTail()

	var writing sync.WaitGroup
	for i, node := range []*world{w, other} {
		writing.Go(func() {
			for n := range 150 {
				s := fresh()
				if _, err := node.store.Append(t.Context(), one(s, 0)); err != nil {
					t.Errorf("node %d: %v", i, err)
				}
				if n%5 == 0 { // it is refused, alone or with others
					_, err := node.store.Append(t.Context(), one(s, 0))
					if err == nil {
						t.Errorf("node %d: a conflict was stored", i)
					}
				}
				if n%7 == 0 { // and one that writes, and is taken back
					_ = pgx.BeginFunc(t.Context(), node.pool, func(tx pgx.Tx) error {
						_, err := tx.Exec(t.Context(), `INSERT INTO events SELECT seq + 1, gen_random_uuid(), 'test', gen_random_uuid(), 1,
							'test.happened', '{}', '{}', now() FROM log_head FOR UPDATE`)
						if err != nil {
							t.Errorf("node %d: %v", i, err)
						}
						return fmt.Errorf("taken back: %w", err)
					})
				}
			}
		})
	}
	early := []*witness{w.follow(t, "feed", tail), w.follow(t, "views", tail)}
	moving := &witness{}
	cfg := group("inbox")
	cfg.Tail = tail
	stop := w.run(t, eventstore.NewGroup(w.pool, cfg), moving.see)
	parttest.Eventually(t, "the group that moves", func() bool { return w.checkpoint(t, "inbox") > 50 })
	stop()
	cfg.Tail = otherTail
	other.run(t, eventstore.NewGroup(other.pool, cfg), moving.see)
	writing.Wait()
	late := append(early, moving, w.follow(t, "proofs", tail), other.follow(t, "refunds", otherTail))
	for _, name := range []string{"feed", "views", "inbox", "proofs", "refunds"} {
		parttest.Eventually(t, name, func() bool { return w.checkpoint(t, name) == 300 })
	}
	log := w.log(t)
	if len(log) != 300 {
		t.Fatalf("the log has %d events", len(log))
	}
	for i, got := range late {
		if !reflect.DeepEqual(committedOnce(got.seen()), log) {
			t.Errorf("group %d was not handed the log", i)
		}
	}
}

// committedOnce leaves out what was handed over again because a stop took it back.
func committedOnce(events []eventstore.Recorded) (once []eventstore.Recorded) {
	for _, e := range events {
		once = append(slices.DeleteFunc(once, func(o eventstore.Recorded) bool { return o.Seq >= e.Seq }), e)
	}
	return once
}

func TestATailIsBounded(t *testing.T) {
	t.Parallel()
	log, started, tail := uuid.New(), time.Now(), eventstore.NewTail()
	event := func(seq int64, bytes int) eventstore.Recorded {
		return eventstore.Recorded{Seq: seq, ID: uuid.New(), Data: json.RawMessage(`"` + strings.Repeat("x", bytes) + `"`)}
	}
	var events []eventstore.Recorded
	for seq := range int64(10_000) {
		events = append(events, event(seq+1, 1))
	}
	tail.Keep(log, started, events)
	held := tail.After(log, started, 10_000-eventstore.TailEvents, 10_000)
	if len(held) != eventstore.TailEvents || held[0].Seq != 10_000-eventstore.TailEvents+1 {
		t.Errorf("it holds %d events", len(held))
	}
	if older := tail.After(log, started, 10_000-eventstore.TailEvents-1, 10_000); len(older) > 0 {
		t.Errorf("it holds an event more than it may: %d", older[0].Seq)
	}
	tail.Keep(log, started, events[:eventstore.TailEvents]) // of a group that is far behind
	if held := tail.After(log, started, 9_990, 10_000); len(held) != 10 {
		t.Error("what is old has pushed out what is new")
	}
	tail.Keep(log, started, []eventstore.Recorded{event(10_001, 10), event(10_002, 1<<20), event(10_003, 10)})
	if held := tail.After(log, started, 10_000, 10_003); len(held) != 1 {
		t.Errorf("of a large event and its neighbours it gives %d, want what comes before", len(held))
	}
}

// faults counts what a group logs as an error.
type faults struct {
	slog.Handler
	n atomic.Int64
}

func (f *faults) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (f *faults) WithAttrs([]slog.Attr) slog.Handler           { return f }
func (f *faults) Handle(context.Context, slog.Record) error    { f.n.Add(1); return nil }

// A group that is told that there is more reads on from where it left its checkpoint, in the same round trip in which it
// finds out where that is.
func TestAGroupThatExpectsSomethingElseIsHandedWhatThereIs(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(t *testing.T, w *world, tail *eventstore.Tail) (want []int64){
		"another node has moved the checkpoint": func(t *testing.T, w *world, _ *eventstore.Tail) []int64 {
			w.fill(t, 5)
			if _, err := w.pool.Exec(t.Context(), `UPDATE checkpoints SET position = 8 WHERE group_name = 'views'`); err != nil {
				t.Fatal(err)
			}
			return []int64{9, 10}
		},
		"another group has read what is newer than the transaction": func(t *testing.T, w *world, tail *eventstore.Tail) []int64 {
			w.fill(t, 1)
			log := w.log(t)
			var id uuid.UUID
			var started time.Time
			if err := w.pool.QueryRow(t.Context(), `SELECT log_id, pg_postmaster_start_time() FROM log_head`).Scan(&id, &started); err != nil {
				t.Fatal(err)
			}
			newer := log[5]
			newer.Seq++
			tail.Keep(id, started, []eventstore.Recorded{log[5], newer})
			return []int64{6}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.fill(t, 5)
			got, tail, faults, hints := &witness{}, eventstore.NewTail(), &faults{}, make(chan struct{}, 1)
			cfg := eventstore.GroupConfig{Name: "views", Poll: time.Hour, Tail: tail, Logger: slog.New(faults)}
			g := eventstore.NewGroup(w.pool, cfg)
			w.runHinted(t, g, hints, got.see)
			parttest.Eventually(t, "what was there", func() bool { return g.Status().Position == 5 })
			want := append(upTo(5), meanwhile(t, w, tail)...)
			hints <- struct{}{}
			parttest.Eventually(t, "what is new", func() bool { return g.Status().Position == want[len(want)-1] })
			var seqs []int64
			for _, e := range got.seen() {
				seqs = append(seqs, e.Seq)
			}
			if !slices.Equal(seqs, want) || faults.n.Load() > 0 {
				t.Errorf("handed %v with %d faults, want %v with none", seqs, faults.n.Load(), want)
			}
		})
	}
}

package commands

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// tipped is an event of this test alone. Its first version had whole euros.
type tipped struct {
	Cents int64  `json:"cents"`
	From  string `json:"from"`
}

type tippedV1 struct {
	Euros int64 `json:"euros"`
}

func (tipped) EventType() string { return "test.tipped" }

func init() {
	domain.Register[tipped](2, domain.From(1, func(old tippedV1) tipped { return tipped{Cents: old.Euros * 100, From: "unknown"} }))
}

// jar is what the tips come to. As a command's state it knows the current version alone, like every aggregate.
type jar struct{ Cents, Tips int64 }

func (j jar) Apply(e domain.Event, _ time.Time) jar {
	if e, ok := e.(tipped); ok {
		j.Cents, j.Tips = j.Cents+e.Cents, j.Tips+1
	}
	return j
}

func (j jar) Stamp(time.Time) jar { return j }

// double decides on all that is in the jar.
func (j jar) double() ([]domain.Event, error) {
	return []domain.Event{tipped{Cents: j.Cents, From: "the house"}}, nil
}

// tips is a read model of the jar.
type tips struct{}

func (tips) Project(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
	for _, e := range events {
		tip, ok := e.Body.(tipped)
		if !ok {
			continue
		}
		if _, err := tx.Exec(ctx, `INSERT INTO tips VALUES ($1, $2, $3)`, e.Seq, tip.Cents, tip.From); err != nil {
			return err
		}
	}
	return nil
}

// An event of version 1 lies in the log. A command decides on what it means today and writes version 2 behind it; a read
// model shows both alike; and the log is as it was.
func TestAnOldLogIsReadByCommandsAndReadModels(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	if _, err := pool.Exec(t.Context(), `CREATE TABLE tips (seq bigint PRIMARY KEY, cents bigint, giver text)`); err != nil {
		t.Fatal(err)
	}
	store := eventstore.Open(pool, eventstore.Options{})
	parttest.Run(t, store.Run)
	stream := eventstore.StreamID{Type: "jar", ID: uuid.Must(uuid.NewV7())}
	appendRaw(t, store, stream, "test.tipped", `{"euros":4}`) // as a program of that time did

	s := New(store, NewSequenceNumbers(pool), nil, Options{})
	req := Request{Actor: Actor{UserID: "boss", Role: domain.RoleAdmin}}
	cmd := command{name: "double the tips", roles: []domain.Role{domain.RoleAdmin}}
	out, err := execute(t.Context(), s, req, cmd, onStream(s, stream, jar{}, jar.double))
	if want := (jar{Cents: 800, Tips: 2}); err != nil || out.Value != want {
		t.Fatalf("the command answers %+v, %v; want %+v", out.Value, err, want)
	}
	if l, err := load(t.Context(), s, stream, jar{}); err != nil || l.state != out.Value {
		t.Errorf("the next one loads %+v, %v; want %+v", l.state, err, out.Value)
	}

	parttest.Run(t, projections.NewRunner(pool, nil, slog.New(slog.DiscardHandler), projections.Group{Name: projections.GroupViews, Models: []projections.Model{tips{}}}).Run)
	type row struct {
		Cents int64
		Giver string
	}
	var shown []row
	parttest.Eventually(t, "the read model to show both", func() bool {
		rows, err := pool.Query(t.Context(), `SELECT cents, giver FROM tips ORDER BY seq`)
		if err != nil {
			t.Fatal(err)
		}
		shown, err = pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		return err == nil && len(shown) == 2
	})
	if want := []row{{400, "unknown"}, {400, "the house"}}; !reflect.DeepEqual(shown, want) {
		t.Errorf("the read model shows %v; want %v", shown, want)
	}

	log, err := store.ReadLog(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range log {
		lines = append(lines, r.Type+" "+string(r.Data))
	}
	if want := []string{`test.tipped {"euros": 4}`, `test.tipped.v2 {"from": "the house", "cents": 400}`}; !reflect.DeepEqual(lines, want) {
		t.Errorf("the log has %q; want %q", lines, want)
	}
}

// What the golden files of the domain say of the log holds for what PostgreSQL makes of it.
func TestEachShapeThatWasEverWrittenIsReadFromPostgreSQL(t *testing.T) {
	t.Parallel()
	store := eventstore.Open(pgtest.Pool(t, pgtest.Database(t)), eventstore.Options{})
	parttest.Run(t, store.Run)
	dir := os.DirFS("../domain/testdata/events")
	files, err := fs.Glob(dir, "*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %q, %v", files, err)
	}
	stream := eventstore.StreamID{Type: "golden", ID: uuid.Must(uuid.NewV7())}
	var want []domain.Event
	for _, file := range files {
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		var golden struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal(text, &golden); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		e, err := domain.Decode(golden.Type, golden.Data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		want = append(want, e)
		appendRaw(t, store, stream, golden.Type, string(golden.Data))
	}
	log, err := store.ReadLog(t.Context(), 0, len(files)+1)
	if err != nil || len(log) != len(files) {
		t.Fatalf("%d events in the log, %v; want %d", len(log), err, len(files))
	}
	for i, r := range log {
		if got, err := domain.Decode(r.Type, r.Data); err != nil || !reflect.DeepEqual(got, want[i]) {
			t.Errorf("%s: %s is read as %+v, %v; want %+v", files[i], r.Data, got, err, want[i])
		}
	}
}

func appendRaw(t *testing.T, store *eventstore.Store, stream eventstore.StreamID, typ, data string) {
	t.Helper()
	_, err := store.Append(t.Context(), eventstore.Append{Streams: []eventstore.StreamAppend{{
		Stream: stream, Expected: eventstore.AnyVersion, Events: []eventstore.NewEvent{{Type: typ, Data: json.RawMessage(data)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

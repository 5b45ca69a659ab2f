package proofs_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/replay/proofs"
)

// tamper runs statements as the superuser, behind the back of everything that guards the log.
func (w *world) tamper(t testing.TB, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pgtest.SuperuserURL(t, w.url))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const unguard = `
DO $$ DECLARE part regclass; BEGIN
	ALTER TABLE events DISABLE TRIGGER ALL;
	FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'events'::regclass LOOP
		EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', part);
	END LOOP;
END $$`
	for _, statement := range append([]string{unguard}, statements...) {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// found is what a verification must say.
type found struct {
	kind        string
	first, last int64 // last 0: first alone
}

// tampered is a log of 300 events with checkpoints of seq 100, 200 and 300, after something was done to it.
type tampering struct {
	// statements are run as the superuser; then is what else is done.
	statements []string
	then       func(t *testing.T, w *world)
	want       []found
	firstBad   int64 // 0: no seq is named, unless isZero
	isZero     bool  // the first bad seq is 0
}

var tamperings = map[string]tampering{
	"one byte of an event's data": {
		statements: []string{`UPDATE events SET data = jsonb_set(data, '{place}', '7') WHERE seq = 150`},
		want:       []found{{proofs.KindEvent, 150, 0}}, firstBad: 150,
	},
	"an event's meta": {
		statements: []string{`UPDATE events SET meta = jsonb_set(meta, '{userId}', '"bob"') WHERE seq = 64`},
		want:       []found{{proofs.KindEvent, 64, 0}, {proofs.KindIndex, 64, 0}}, firstBad: 64,
	},
	"the time of an event": {
		statements: []string{`UPDATE events SET recorded_at = recorded_at - interval '1 hour' WHERE seq = 65`},
		want:       []found{{proofs.KindEvent, 65, 0}, {proofs.KindTime, 65, 0}}, firstBad: 65,
	},
	"the type of an event": {
		statements: []string{`UPDATE events SET type = 'order.cancelled' WHERE seq = 300`},
		want:       []found{{proofs.KindEvent, 300, 0}, {proofs.KindIndex, 300, 0}}, firstBad: 300,
	},
	"the id of the first event": {
		statements: []string{`UPDATE events SET id = gen_random_uuid() WHERE seq = 1`},
		want:       []found{{proofs.KindEvent, 1, 0}}, firstBad: 1,
	},
	"an event in the middle is deleted": {
		statements: []string{`DELETE FROM events WHERE seq = 150`},
		want:       []found{{proofs.KindMissing, 150, 0}, {proofs.KindVersion, 160, 0}}, firstBad: 150,
	},
	"the first event is deleted": {
		statements: []string{`DELETE FROM events WHERE seq = 1`},
		want:       []found{{proofs.KindMissing, 1, 0}}, firstBad: 1,
	},
	"the last event is deleted": {
		statements: []string{`DELETE FROM events WHERE seq = 300`},
		want:       []found{{proofs.KindMissing, 300, 0}, {proofs.KindStream, 300, 0}}, firstBad: 300,
	},
	"the last event is deleted and the head set back": {
		statements: []string{`DELETE FROM events WHERE seq = 300`, `UPDATE log_head SET seq = 299`},
		want:       []found{{proofs.KindTruncated, 300, 0}, {proofs.KindStream, 300, 0}}, firstBad: 300,
	},
	"the head is set back": {
		statements: []string{`UPDATE log_head SET seq = 295`},
		want:       []found{{proofs.KindBeyondHead, 296, 0}, {proofs.KindBeyondHead, 300, 0}}, firstBad: 296,
	},
	"the head is set to an absurd number": {
		statements: []string{`UPDATE log_head SET seq = 4000000000000000000`},
		want:       []found{{proofs.KindMissing, 301, 4000000000000000000}}, firstBad: 301,
	},
	"many events are missing": {
		statements: []string{`DELETE FROM events WHERE seq BETWEEN 60 AND 260`},
		want:       []found{{proofs.KindMissing, 60, 260}}, firstBad: 60,
	},
	"all events are deleted": {
		statements: []string{`DELETE FROM events`},
		want:       []found{{proofs.KindMissing, 1, 300}}, firstBad: 1,
	},
	"two events change places": {
		statements: []string{
			`UPDATE events SET seq = 999999 WHERE seq = 140`, `UPDATE events SET seq = 140 WHERE seq = 155`,
			`UPDATE events SET seq = 155 WHERE seq = 999999`,
		},
		want: []found{{proofs.KindEvent, 140, 0}, {proofs.KindEvent, 155, 0}}, firstBad: 140,
	},
	"an event is slipped in": {
		statements: []string{
			`UPDATE events SET seq = seq + 100000 WHERE seq > 150`, `UPDATE events SET seq = seq - 99999 WHERE seq > 150`,
			`INSERT INTO events SELECT 151, gen_random_uuid(), 'order', gen_random_uuid(), 1, type, data, meta, recorded_at FROM events WHERE seq = 150`,
			`UPDATE log_head SET seq = 301`,
		},
		want: []found{{proofs.KindEvent, 151, 300}, {proofs.KindStream, 151, 0}}, firstBad: 151,
	},
	"an event is appended beyond the head": {
		statements: []string{
			`INSERT INTO events SELECT 301, gen_random_uuid(), 'order', gen_random_uuid(), 1, type, data, meta, recorded_at FROM events WHERE seq = 150`,
		},
		want: []found{{proofs.KindBeyondHead, 301, 0}}, firstBad: 301,
	},
	"an event is put in front of the first": {
		statements: []string{
			`INSERT INTO events SELECT 0, gen_random_uuid(), 'order', gen_random_uuid(), 1, type, data, meta, recorded_at FROM events WHERE seq = 150`,
		},
		want: []found{{proofs.KindBeyondHead, 0, 0}}, isZero: true,
	},
	"the version of an event": {
		statements: []string{`UPDATE events SET version = 99 WHERE seq = 100`},
		want:       []found{{proofs.KindEvent, 100, 0}, {proofs.KindVersion, 100, 0}}, firstBad: 100,
	},
	"the version of a stream": {
		statements: []string{`UPDATE streams SET version = 99 WHERE last_seq = 297`},
		want:       []found{{proofs.KindStream, 297, 0}}, firstBad: 297,
	},
	"where a stream begins": {
		statements: []string{`UPDATE streams SET first_seq = 50 WHERE last_seq = 297`},
		want:       []found{{proofs.KindStream, 297, 0}}, firstBad: 297,
	},
	"a stream is forgotten": {
		statements: []string{`DELETE FROM streams WHERE last_seq = 297`},
		want:       []found{{proofs.KindStream, 297, 0}}, firstBad: 297,
	},
	"a stream is made up": {
		statements: []string{`INSERT INTO streams VALUES ('order', gen_random_uuid(), 1, 5, 5)`},
		want:       []found{{proofs.KindStream, 5, 0}}, firstBad: 5,
	},
	"a row of the index is deleted": {
		statements: []string{`DELETE FROM audit_index WHERE seq = 222`},
		want:       []found{{proofs.KindIndex, 222, 0}}, firstBad: 222,
	},
	"a row of the index is changed": {
		statements: []string{`UPDATE audit_index SET order_id = gen_random_uuid() WHERE seq = 222`},
		want:       []found{{proofs.KindIndex, 222, 0}}, firstBad: 222,
	},
	"an actor of the index is changed": {
		statements: []string{`UPDATE audit_index SET actor = 'bob' WHERE seq = 223`},
		want:       []found{{proofs.KindIndex, 223, 0}}, firstBad: 223,
	},
	"a row of the index is there twice": {
		statements: []string{`INSERT INTO audit_index SELECT * FROM audit_index WHERE seq = 224`},
		want:       []found{{proofs.KindIndex, 224, 0}}, firstBad: 224,
	},
	"rows of the index are made up": {
		statements: []string{`INSERT INTO audit_index VALUES (-1, 'x', 'y', NULL), (9000, 'x', 'y', NULL), (4000000000000000000, 'x', 'y', NULL)`},
		want:       []found{{proofs.KindIndex, -1, 0}, {proofs.KindIndex, 9000, 0}, {proofs.KindIndex, 4000000000000000000, 0}}, firstBad: -1,
	},
}

func TestWhatIsDoneToTheEventsBehindTheProgramsBackIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range tamperings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (c tampering) run(t *testing.T) {
	t.Helper()
	w := newWorld(t)
	for range 3 {
		w.append(t, 100)
		w.project(t, 1000)
		w.sign(t)
	}
	if r := w.verify(t); !r.OK || r.Checkpoints != 3 {
		t.Fatalf("before: %+v", r)
	}
	w.tamper(t, c.statements...)
	if c.then != nil {
		c.then(t, w)
	}
	r := w.verify(t)
	if r.OK {
		t.Fatalf("nothing is found: %+v", r)
	}
	for _, want := range c.want {
		if !slices.ContainsFunc(r.Problems, func(p proofs.Problem) bool {
			return p.Kind == want.kind && p.Seq == want.first && p.UpTo == want.last
		}) {
			t.Errorf("%s of seq %d is not among them", want.kind, want.first)
		}
	}
	if first := r.FirstBadSeq; (c.firstBad == 0 && !c.isZero) != (first == nil) || first != nil && *first != c.firstBad {
		t.Errorf("the first bad seq is not %d", c.firstBad)
	}
	if first := r.FirstBadSeq; first != nil && (r.Problems[0].Seq != *first || !r.Problems[0].Named()) {
		t.Errorf("what is listed first is %+v", r.Problems[0])
	}
	if t.Failed() {
		for _, p := range r.Problems {
			t.Logf("%d to %d: %s: %s", p.Seq, p.UpTo, p.Kind, p.Detail)
		}
	}
}

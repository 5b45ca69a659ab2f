package proofs_test

import (
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/replay/proofs"
)

const (
	dropTreeKey   = `ALTER TABLE merkle_tiles DROP CONSTRAINT merkle_tiles_pkey`
	dropStreamKey = `ALTER TABLE streams DROP CONSTRAINT streams_pkey`
)

// These keep no database from being read to the end: whatever the rows hold, the rest is compared and there is a report.
func TestRowsThatCanNotBeAreNamedAndTheRestIsVerified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]tampering{
		"the newest event is of no time": {
			statements: []string{`UPDATE events SET recorded_at = 'infinity' WHERE seq = 300`, changeEvent},
			want:       []found{{proofs.KindTime, 300, 0}, {proofs.KindEvent, 300, 0}, {proofs.KindEvent, 150, 0}}, firstBad: 150,
		},
		"the newest event is of before all time": {
			statements: []string{`UPDATE events SET recorded_at = '-infinity' WHERE seq = 300`},
			want:       []found{{proofs.KindTime, 300, 0}, {proofs.KindEvent, 300, 0}}, firstBad: 300,
		},
		"an event of no time": {
			statements: []string{`UPDATE events SET recorded_at = 'infinity' WHERE seq = 120`},
			want:       []found{{proofs.KindTime, 120, 0}, {proofs.KindEvent, 120, 0}}, firstBad: 120,
		},
		"events that are not whole": {
			statements: []string{
				`ALTER TABLE events ALTER data DROP NOT NULL, ALTER recorded_at DROP NOT NULL, ALTER type DROP NOT NULL`,
				`UPDATE events SET data = NULL WHERE seq = 120`, `UPDATE events SET type = NULL WHERE seq = 130`,
				`UPDATE events SET recorded_at = NULL WHERE seq = 300`, `DELETE FROM events WHERE seq IN (129, 140)`,
			},
			want: []found{
				{proofs.KindEvent, 120, 0},
				{proofs.KindMissing, 129, 0},
				{proofs.KindEvent, 130, 0},
				{proofs.KindMissing, 140, 0},
				{proofs.KindEvent, 300, 0},
			}, firstBad: 120,
		},
		"the head is of no time": {
			statements: []string{`UPDATE log_head SET recorded_at = 'infinity'`, changeEvent},
			want:       []found{{proofs.KindHead, 0, 0}, {proofs.KindEvent, 150, 0}}, firstBad: 150,
		},
		"the head is of a time to come": {
			statements: []string{`UPDATE log_head SET recorded_at = '2040-01-01'`},
			want:       []found{{proofs.KindHead, 0, 0}},
		},
		"the head is of a time that has passed": {
			statements: []string{`UPDATE log_head SET recorded_at = recorded_at - interval '1 microsecond'`},
			want:       []found{{proofs.KindHead, 0, 0}},
		},
		"the head is deleted": {
			statements: []string{`DELETE FROM log_head`, changeEvent},
			want:       []found{{proofs.KindHead, 0, 0}, {proofs.KindEvent, 150, 0}}, firstBad: 150,
		},
		"the head is deleted, and all after a checkpoint": {
			statements: []string{`DELETE FROM log_head`, `DELETE FROM events WHERE seq > 250`},
			want:       []found{{proofs.KindHead, 0, 0}, {proofs.KindTruncated, 251, 300}}, firstBad: 251,
		},
		"the head is empty": {
			statements: []string{
				`ALTER TABLE log_head ALTER seq DROP NOT NULL, ALTER log_id DROP NOT NULL, ALTER recorded_at DROP NOT NULL`,
				`UPDATE log_head SET seq = NULL, log_id = NULL, recorded_at = NULL`,
			},
			want: []found{{proofs.KindHead, 0, 0}},
		},
		"the head is before the log": {
			statements: []string{`UPDATE log_head SET seq = -5`},
			want:       []found{{proofs.KindHead, 0, 0}, {proofs.KindBeyondHead, 1, 0}, {proofs.KindTruncated, 1, 300}}, firstBad: 1,
		},
		"the head is the largest number": {
			statements: []string{`UPDATE log_head SET seq = 9223372036854775807`, changeEvent},
			want:       []found{{proofs.KindMissing, 301, math.MaxInt64}, {proofs.KindEvent, 150, 0}}, firstBad: 150,
		},
		"head and checkpoint are the largest number": {
			statements: []string{`UPDATE log_head SET seq = 9223372036854775807`, `UPDATE checkpoints SET position = 9223372036854775807`},
			want:       []found{{proofs.KindMissing, 301, math.MaxInt64}}, firstBad: 257, // where the tree would go on
		},
		"the group's checkpoint is deleted": {
			statements: []string{`DELETE FROM checkpoints WHERE group_name = 'proofs'`, changeEvent},
			want:       []found{{proofs.KindTree, 0, 0}, {proofs.KindEvent, 150, 0}}, firstBad: 150,
		},
		"head and checkpoint are deleted": {
			statements: []string{`DELETE FROM checkpoints`, `DELETE FROM log_head`, flip("0", "2", "10")},
			want:       []found{{proofs.KindTree, 0, 0}, {proofs.KindHead, 0, 0}, {proofs.KindTree, 139, 0}}, firstBad: 139,
		},
		"rows of the index are empty": {
			statements: []string{
				`ALTER TABLE audit_index ALTER seq DROP NOT NULL, ALTER actor DROP NOT NULL`,
				`UPDATE audit_index SET actor = NULL WHERE seq = 222`, `UPDATE audit_index SET seq = NULL WHERE seq = 223`,
			},
			want: []found{{proofs.KindIndex, 222, 0}, {proofs.KindIndex, 223, 0}, {proofs.KindIndex, 0, 0}}, firstBad: 222,
		},
		"a row of the index is before the log": {
			statements: []string{`INSERT INTO audit_index VALUES (-7, 'x', 'y', NULL)`},
			want:       []found{{proofs.KindIndex, -7, 0}}, firstBad: -7,
		},
		"an event is far before the first": {
			statements: []string{
				`CREATE TABLE events_before PARTITION OF events FOR VALUES FROM (-100) TO (0)`,
				`INSERT INTO events SELECT -9, gen_random_uuid(), 'order', gen_random_uuid(), 1, type, data, meta, recorded_at FROM events WHERE seq = 150`,
			},
			want: []found{{proofs.KindBeyondHead, -9, 0}}, firstBad: -9,
		},
		"an event before the first checkpoint": {
			statements: []string{`UPDATE events SET data = data - 'note' WHERE seq = 50`}, then: deriveAnew,
			want: []found{{proofs.KindCheckpoint, 1, 100}}, firstBad: 1,
		},
		"a stream has a second row": {
			statements: []string{dropStreamKey, `INSERT INTO streams SELECT * FROM streams WHERE last_seq = 297`},
			want:       []found{{proofs.KindStream, 297, 0}}, firstBad: 297,
		},
		"a stream's row is empty": {
			statements: []string{`ALTER TABLE streams ALTER version DROP NOT NULL`, `UPDATE streams SET version = NULL WHERE last_seq = 297`},
			want:       []found{{proofs.KindStream, 0, 0}, {proofs.KindStream, 297, 0}}, firstBad: 297,
		},
		"tiles that no tree has": {
			statements: []string{`INSERT INTO merkle_tiles SELECT u.level, u.n, hashes FROM merkle_tiles, (VALUES (11, 0), (-1, 0), (0, -1)) u(level, n)
				WHERE merkle_tiles.level = 0 AND merkle_tiles.n = 4`},
			want: []found{{proofs.KindTree, 0, 0}},
		},
		"tiles behind the last": {
			statements: []string{`INSERT INTO merkle_tiles SELECT 0, 7, hashes FROM merkle_tiles WHERE level = 0 AND n = 4`},
			want:       []found{{proofs.KindTree, 449, 0}}, firstBad: 449,
		},
		"tiles far behind the last": {
			statements: []string{`INSERT INTO merkle_tiles SELECT 0, 1::bigint << 58, hashes FROM merkle_tiles WHERE level = 0 AND n = 4`},
			want:       []found{{proofs.KindTree, 301, 0}}, firstBad: 301,
		},
		"tiles above the highest": {
			statements: []string{`INSERT INTO merkle_tiles SELECT 2, 0, substr(hashes, 1, 32) FROM merkle_tiles WHERE level = 0 AND n = 4`},
			want:       []found{{proofs.KindTree, 301, 0}}, firstBad: 301,
		},
		"a tile has a second row": {
			statements: []string{dropTreeKey, `INSERT INTO merkle_tiles SELECT * FROM merkle_tiles WHERE level = 0 AND n = 1`},
			want:       []found{{proofs.KindTree, 65, 0}}, firstBad: 65,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func TestTheHeadOfAnEmptyLogHasTheFirstTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.verify(t); !r.OK {
		t.Fatalf("nothing was done to it: %+v", r)
	}
	w.tamper(t, `UPDATE log_head SET recorded_at = '2040-01-01'`)
	if r := w.verify(t); r.OK || len(r.Problems) != 1 || r.Problems[0].Kind != proofs.KindHead {
		t.Errorf("%+v", r)
	}
}

func TestEventsOfATimeToComeAreWarnedOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tamper(t, `UPDATE log_head SET recorded_at = '2900-01-01'`)
	w.append(t, 10)
	w.project(t, 1000)
	r := w.verify(t)
	if !slices.ContainsFunc(r.Warnings, func(s string) bool { return strings.Contains(s, "event 10 was recorded at 2900-01-01") }) {
		t.Errorf("%+v", r)
	}
}

func TestNoCheckpointIsSignedOfAnEventWithoutATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 10)
	w.project(t, 1000)
	w.tamper(t, `UPDATE events SET recorded_at = 'infinity' WHERE seq = 10`)
	n := w.notary(t, nil)
	if c, err := n.Checkpoint(t.Context(), 0); err == nil || n.Fault() == nil {
		t.Errorf("%+v, %v; the fault is %v", c, err, n.Fault())
	}
}

func TestWhatIsNoFileInPlaceOfTheCheckpointsStopsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 10)
	w.project(t, 1000)
	w.sign(t)
	path := w.file(t)
	must(t, os.Remove(path))
	must(t, syscall.Mkfifo(path, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, n := range map[string]*proofs.Notary{
		"a signer": w.notary(t, nil), "a reader": w.notary(t, func(c *proofs.Config) { c.Key, c.Trusted = "", []string{w.public} }),
	} {
		ended := make(chan error, 1)
		runCtx, stop := context.WithCancel(ctx)
		go func() { ended <- n.Run(runCtx) }()
		v, err := n.Verification(ctx)
		if err != nil || !v.Done || v.Report.OK || !slices.ContainsFunc(v.Report.Problems, func(p proofs.Problem) bool {
			return p.Kind == proofs.KindCheckpoints && strings.Contains(p.Detail, "no regular file")
		}) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		parttest.Eventually(t, "the fault to be known", func() bool {
			return n.Fault() != nil && strings.Contains(n.Fault().Error(), "no regular file")
		})
		stop()
		select {
		case err := <-ended:
			must(t, err)
		case <-ctx.Done():
			t.Fatalf("%s does not stop", name)
		}
	}
}

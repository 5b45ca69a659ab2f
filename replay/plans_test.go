package replay_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

// A log of 120 partitions, four of which hold 40 thousand events each. Each order has eight events, one or two a
// partition. One type and one actor are everywhere, others are rare.
const (
	partitions = 120
	holding    = 4
	each       = 40_000
	width      = 1_000_000 // of a partition
	stride     = partitions / holding * width
	head       = (holding-1)*stride + each
	compiled   = 100_000 // jit_above_cost, as PostgreSQL has it
)

const sqlFill = `
WITH filled AS (
	SELECT p * $3::bigint + n + 1 AS seq, p, n,
		('0190a5e4-3c4e-7b2a-9f51-' || lpad(to_hex((p * $2 + n) % 20000), 12, '0'))::uuid AS stream_id,
		(p * $2 + n) / 20000 + 1 AS version,
		CASE n % 1000 WHEN 7 THEN 'order.cancelled' WHEN 8 THEN 'order.placed' ELSE 'courier.located' END AS type,
		CASE n % 1000 WHEN 7 THEN 'rare' WHEN 8 THEN 'carl' ELSE 'raj' END AS actor
	FROM generate_series(0, $1::bigint - 1) AS p, generate_series(0, $2::bigint - 1) AS n
), events AS (
	INSERT INTO events (seq, id, stream_type, stream_id, version, type, data, meta, recorded_at)
	SELECT seq, gen_random_uuid(), 'order', stream_id, version, type,
		jsonb_build_object('orderId', stream_id), jsonb_build_object('userId', actor), '2026-01-01'::timestamptz + seq * interval '1 ms'
	FROM filled ORDER BY seq
), index AS (
	INSERT INTO audit_index (seq, type, actor, order_id) SELECT seq, type, actor, stream_id FROM filled ORDER BY seq
)
INSERT INTO streams (stream_type, stream_id, version, first_seq, last_seq)
SELECT 'order', stream_id, max(version), min(seq), max(seq) FROM filled GROUP BY stream_id`

func (w *world) fill(t *testing.T) {
	t.Helper()
	w.exec(t, `SELECT add_partitions('events', 1000000, $1)`, partitions*width)
	w.exec(t, sqlFill, holding, each, stride)
	w.exec(t, `UPDATE log_head SET seq = $1`, head)
	w.exec(t, `UPDATE checkpoints SET position = $1 WHERE group_name = 'proofs'`, head)
}

// plans explains each statement of a connection just before it is run, for its values.
type plans struct {
	t        *testing.T
	conn     *pgx.Conn
	seen     map[string]bool
	analyzed bool
}

// TraceQueryStart is the tracer's hook.
func (p *plans) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(data.SQL, "EXPLAIN") {
		return ctx
	}
	args := data.Args
	for len(args) > 0 {
		if _, option := args[0].(pgx.QueryExecMode); !option {
			break
		}
		args = args[1:]
	}
	rows, err := p.conn.Query(ctx, "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) "+data.SQL, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	if err != nil {
		p.t.Errorf("explain %s: %v", data.SQL, err)
		return ctx
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		p.t.Errorf("explain %s: %v", data.SQL, err)
		return ctx
	}
	plan := strings.Join(lines, "\n")
	p.seen[data.SQL] = true
	p.check(data.SQL, plan)
	return ctx
}

// TraceQueryEnd is the tracer's hook.
func (*plans) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (p *plans) check(sql, plan string) {
	wrong := ""
	for line := range strings.Lines(plan) {
		var lowest, cost float64
		_, estimate, _ := strings.Cut(line, "(cost=")
		if n, _ := fmt.Sscanf(estimate, "%f..%f", &lowest, &cost); n == 2 && cost > compiled {
			wrong = "it is thought to be so much work that it is compiled first, which takes longer than it does"
		}
		if _, table, ok := strings.Cut(line, "Seq Scan on "); ok && long(table) {
			wrong = "it scans a table"
		}
		var removed int
		if n, _ := fmt.Sscanf(strings.TrimSpace(line), "Rows Removed by Filter: %d", &removed); n == 1 && removed > each {
			wrong = fmt.Sprintf("it reads %d rows for nothing", removed)
		}
	}
	if n := strings.Count(plan, "Scan using events_p"); n > partitions/holding+1 { // as far as an order's events are apart
		wrong = fmt.Sprintf("it looks at %d partitions", n)
	}
	if wrong != "" {
		p.t.Errorf("%s: the plan of\n%s\nis\n%.3000s", wrong, sql, plan)
	}
}

// long says that there is much in a table. What is empty, or one row, may be read as it is.
func long(table string) bool {
	var partition int
	if n, _ := fmt.Sscanf(table, "events_p%08d", &partition); n == 1 {
		return partition%(partitions/holding) == 0
	}
	return !strings.HasPrefix(table, "checkpoints") && !strings.HasPrefix(table, "log_head")
}

func TestNothingScansALongLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			w.exec(t, `ANALYZE`)
		}
		p := &plans{t: t, seen: map[string]bool{}, analyzed: analyzed}
		log := w.traced(t, p)
		p.ask(t, log)
		for name, sql := range replay.Statements() {
			if analyzed && !p.seen[sql] && !slices.Contains([]string{"sqlAddKeys", "sqlHasVersion"}, name) {
				t.Errorf("%s was not asked for", name)
			}
		}
	}
}

// ask asks for all there is to ask for.
func (p *plans) ask(t *testing.T, log *replay.Log) {
	t.Helper()
	id := uuid.MustParse("0190a5e4-3c4e-7b2a-9f51-000000000007") // of eight events, each a cancellation by rare
	ask := func(what string, rows int, err error) {
		if err != nil || rows == 0 {
			t.Errorf("%s: %d, %v", what, rows, err)
		}
	}
	ask("wait", 1, log.WaitFor(t.Context(), head))
	for _, changes := range []bool{false, true} {
		h, err := log.History(t.Context(), replay.HistoryQuery{OrderID: id, Changes: changes, After: 10})
		ask("history", len(h.Entries), err)
	}
	events, err := log.OrderEvents(t.Context(), id, 0)
	ask("events of an order", len(events), err)
	_, err = log.State(t.Context(), id, replay.Moment{Seq: stride})
	if domain.CodeOf(err) != domain.CodeInternal { // there is no event of that seq in this log, and that is the last that is looked for
		t.Errorf("state: %v", err)
	}
	for name, q := range map[string]replay.Query{
		"a type":                {Types: []string{"order.cancelled"}},
		"a type late":           {Types: []string{"order.cancelled"}, After: head - stride},
		"a type that is not":    {Types: []string{"payment.captured"}},
		"types":                 {Types: []string{"order.cancelled", "order.placed", "payment.captured"}},
		"an actor":              {Actor: "rare"},
		"who is everywhere":     {Actor: "raj", After: stride},
		"who is not":            {Actor: "eve"},
		"type and actor":        {Types: []string{"courier.located"}, Actor: "carl"},
		"type and other actor":  {Types: []string{"order.cancelled"}, Actor: "raj"},
		"types and actor":       {Types: []string{"order.cancelled", "order.placed", "payment.captured"}, Actor: "rare"},
		"a stream":              {Stream: "order/" + id.String()},
		"an id and a type":      {Stream: id.String(), Types: []string{"order.cancelled"}},
		"an id and an actor":    {Stream: id.String(), Actor: "rare"},
		"a range":               {After: stride, To: stride + width},
		"a rare one in a range": {After: stride - 10_000, To: stride + 10_000, Actor: "rare"},
	} {
		if !p.analyzed && len(q.Types) > 0 && q.Actor != "" {
			continue // which of the two is rare only statistics tell
		}
		q.Limit = 100
		page, err := log.Events(t.Context(), q)
		rows := len(page.Events)
		if slices.Contains([]string{"a type that is not", "who is not", "type and actor", "type and other actor"}, name) {
			rows++
		}
		ask(name, rows, err)
	}
}

// traced is a log on a pool whose statements are explained on a connection of their own.
func (w *world) traced(t *testing.T, p *plans) *replay.Log {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	p.conn = conn
	config, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = p
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return replay.New(pool, eventstore.Open(pool, eventstore.Options{}))
}

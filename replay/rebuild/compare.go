package rebuild

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/eventstore"
)

// shownDifferences is how many rows that differ are kept whole.
const shownDifferences = 100

// holdWait is how long the checkpoint may take to become free: the group works on a segment meanwhile.
const holdWait = 2 * time.Second

// Tables are the same when they have as many rows and the hashes of these come to the same, with a seed that nobody knew
// before: 64 bits, at the cost of reading both. Only those that are not are compared row by row. A row's hash is hashed once
// more: by itself it is a sum over the columns, which for two rows that have exchanged a value would come to the same.
//
// %[1]s is the table, %[2]s its columns, %[3]s the condition.
const sqlSummary = `SELECT count(*), coalesce(bit_xor(hashtextextended(hash_record_extended(ROW(%[2]s), $1)::text, $1)), 0) FROM %[1]s t WHERE %[3]s`

// Rows are equal when their text is, byte for byte: the same program writes both. A document that says the same in another
// way is shown as a difference too; it was written by another program or by hand, and an operator is to know.
//
// Digests are joined and not the rows, so that what does not fit into memory is little wherever it is put. %[1]s and %[2]s
// are the tables, %[3]s the columns of the key, %[4]s the condition. The text is cast in one session, so both sides' in
// the same way.
const (
	sqlDigests = `
(SELECT %[3]s, sha256(convert_to(t::text, 'UTF8')) AS digest FROM %[1]s t WHERE %[4]s OFFSET 0) l
FULL JOIN
(SELECT %[3]s, sha256(convert_to(t::text, 'UTF8')) AS digest FROM %[2]s t WHERE %[4]s OFFSET 0) r USING (%[3]s)`

	sqlVerdicts = `SELECT r.digest IS NOT NULL, l.digest IS DISTINCT FROM r.digest FROM ` + sqlDigests

	// %[5]s is the key as text. The rows are looked up again for those that are shown alone.
	sqlDifferences = `
WITH different AS MATERIALIZED (
	SELECT %[3]s FROM ` + sqlDigests + ` WHERE l.digest IS DISTINCT FROM r.digest ORDER BY %[3]s LIMIT $1
)
SELECT concat_ws(', ', %[5]s), to_json(l), to_json(r)
FROM different LEFT JOIN %[1]s l USING (%[3]s) LEFT JOIN %[2]s r USING (%[3]s) ORDER BY %[3]s`
)

// compare holds every row of the shadow against the live one, both as they are at one seq, while the group goes on.
func (r *run) compare(ctx context.Context) error {
	if r.fromFloor() {
		if err := withLockTimeout(ctx, r.writer, r.patience(), func() error {
			_, err := r.writer.Exec(ctx, sqlLockRetention)
			return err
		}); err != nil {
			return fmt.Errorf("keep retention from dropping what is compared: %w", err)
		}
	}
	var tx pgx.Tx
	err := r.untilFree(ctx, func() (err error) {
		tx, err = r.snapshot(ctx)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { r.end(ctx, tx) }()
	tables := make([]comparison, len(r.tables))
	var total int64
	for i, table := range r.tables {
		if tables[i], err = r.comparison(ctx, tx, table); err != nil {
			return err
		}
		total += tables[i].estimate
	}
	r.meter.enter(r, PhaseComparing)
	r.meter.total = total
	var done int64
	for _, c := range tables {
		if err := r.compareTable(ctx, tx, c, &done); err != nil {
			return fmt.Errorf("compare table %s: %w", c.table, err)
		}
	}
	return nil
}

// snapshot returns a transaction in which the shadow and the live tables are at the same seq. It holds the checkpoint
// until the snapshot is there, and no longer.
func (r *run) snapshot(ctx context.Context) (pgx.Tx, error) {
	if err := r.catchUp(ctx); err != nil {
		return nil, err
	}
	holder, err := r.pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("hold the checkpoint: %w", err)
	}
	defer func() { r.end(ctx, holder) }()
	position, err := r.hold(ctx, holder)
	if err != nil {
		return nil, err
	}
	if err := r.build(ctx, position); err != nil {
		return nil, err
	}
	tx, err := r.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	var live, shadow, floor int64
	err = tx.QueryRow(ctx, sqlPositions, r.group, r.opts.Name).Scan(&live, &shadow, &floor)
	if r.fromFloor() {
		r.floor = floor
	}
	if err == nil && max(live, r.floor) != shadow { // the connection that held it was lost
		err = fmt.Errorf("the live tables are at seq %d, the rebuilt ones at %d", live, shadow)
	}
	if err == nil {
		err = holder.Commit(ctx)
	}
	if err != nil {
		r.end(ctx, tx)
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	r.result.Seq = shadow
	return tx, nil
}

// hold locks the group's checkpoint until the end of tx, so that the live tables stay as they are, and has those who wait
// for it look again afterwards.
func (r *run) hold(ctx context.Context, tx pgx.Tx) (position int64, err error) {
	if _, err := tx.Exec(ctx, sqlLockTimeout, milliseconds(holdWait)); err != nil {
		return 0, fmt.Errorf("hold the checkpoint of %s: %w", r.group, err)
	}
	if err := tx.QueryRow(ctx, sqlHold, r.group).Scan(&position); err != nil {
		return 0, fmt.Errorf("hold the checkpoint of %s: %w", r.group, err)
	}
	if _, err := tx.Exec(ctx, sqlHint, eventstore.EventsChannel); err != nil {
		return 0, fmt.Errorf("hold the checkpoint of %s: %w", r.group, err)
	}
	position = max(position, r.floor)
	if position < r.position {
		return 0, r.putBack(position)
	}
	if position-r.position > int64(heldSegments*r.opts.Segment) {
		return 0, errOutrun
	}
	return position, nil
}

// end rolls a transaction back, if it was not committed.
func (r *run) end(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // where that fails the connection is closed, which does the same
}

// comparison is how a table is compared.
type comparison struct {
	table    string
	key      []string
	estimate int64  // rows
	hashed   string // the columns, as they are hashed
	args     []any  // of the statements' text
}

func (r *run) comparison(ctx context.Context, tx pgx.Tx, table string) (comparison, error) {
	c := comparison{table: table}
	if err := tx.QueryRow(ctx, sqlKey, r.shadow, table).Scan(&c.key, &c.estimate); err != nil {
		return c, fmt.Errorf("look for the key of %s: %w", table, err)
	}
	columns, shown := make([]string, len(c.key)), make([]string, len(c.key))
	for i, k := range c.key {
		columns[i] = pgx.Identifier{k}.Sanitize()
		shown[i] = fmt.Sprintf("'%s=' || %s", strings.ReplaceAll(k, "'", "''"), columns[i])
	}
	condition := "true"
	if r.fromFloor() {
		condition = fmt.Sprintf("seq > %d", r.floor)
	}
	c.args = []any{r.liveTable(table), r.shadowTable(table), strings.Join(columns, ", "), condition, strings.Join(shown, ", ")}
	if err := tx.QueryRow(ctx, sqlHashed, r.shadow, table).Scan(&c.hashed); err != nil {
		return c, fmt.Errorf("look for the columns of %s: %w", table, err)
	}
	return c, nil
}

// same tells whether a table is the same on both sides, and how many rows it has.
func (r *run) same(ctx context.Context, tx pgx.Tx, c comparison) (same bool, rows int64, err error) {
	var sides [2]struct{ rows, hash int64 }
	seed := rand.Int64()
	for i := range sides { // the tables are the first two of args
		if err := tx.QueryRow(ctx, fmt.Sprintf(sqlSummary, c.args[i], c.hashed, c.args[3]), seed).Scan(&sides[i].rows, &sides[i].hash); err != nil {
			return false, 0, err
		}
	}
	return sides[0] == sides[1], sides[1].rows, nil
}

func (r *run) compareTable(ctx context.Context, tx pgx.Tx, c comparison, done *int64) error {
	same, count, err := r.same(ctx, tx, c)
	if err != nil {
		return err
	}
	if same {
		r.result.Rows[c.table] = count
		*done += count
		r.meter.show(r, *done)
		return nil
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(sqlVerdicts, c.args[:4]...))
	if err != nil {
		return err
	}
	var rebuilt, differs bool
	var different int64
	count = 0
	_, err = pgx.ForEachRow(rows, []any{&rebuilt, &differs}, func() error {
		if rebuilt {
			count++
		}
		if differs {
			different++
		}
		if *done++; *done%1000 == 0 {
			r.meter.show(r, *done)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.result.Rows[c.table] = count
	r.result.Different += different
	room := min(different, int64(shownDifferences-len(r.result.Differences)))
	if room <= 0 {
		return nil
	}
	if rows, err = tx.Query(ctx, fmt.Sprintf(sqlDifferences, c.args...), room); err != nil {
		return err
	}
	d := Difference{Table: c.table}
	var live, shadow []byte
	_, err = pgx.ForEachRow(rows, []any{&d.Key, &live, &shadow}, func() error {
		d.Live, d.Rebuilt = live, shadow
		r.result.Differences = append(r.result.Differences, d)
		live, shadow = nil, nil // the next row gets its own
		return nil
	})
	return err
}

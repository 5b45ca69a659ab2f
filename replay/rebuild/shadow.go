package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The shadow is a schema with tables like the live ones. Nothing but the rebuild uses it.

// begin makes the shadow, or finds the one that an interrupted rebuild left.
func (r *run) begin(ctx context.Context) error {
	r.meter.enter(r, PhaseBuilding)
	if r.fromFloor() {
		if err := r.pool.QueryRow(ctx, sqlFloor).Scan(&r.floor); err != nil {
			return fmt.Errorf("read the floor of the notification log: %w", err)
		}
	}
	head, err := r.groupPosition(ctx)
	if err != nil {
		return err
	}
	why, err := r.goOn(ctx, head)
	if err != nil || why == "" {
		return err
	}
	r.opts.Logger.InfoContext(ctx, "the rebuild begins anew", "name", r.opts.Name, "because", why)
	return r.make(ctx)
}

// goOn takes up what is there, or says why it can't be.
func (r *run) goOn(ctx context.Context, head int64) (whyNot string, err error) {
	var position int64
	var program string
	var schema bool
	err = r.writer.QueryRow(ctx, sqlBegun, r.opts.Name, r.shadow).Scan(&position, &program, &schema)
	switch {
	case err != nil:
		return "", fmt.Errorf("look for an interrupted rebuild: %w", err)
	case position < 0 && schema: // both are made and removed together
		return "", fmt.Errorf("schema %s is of no rebuild that is known: see what is in it, and DROP SCHEMA %[1]s CASCADE", pgx.Identifier{r.shadow}.Sanitize())
	case position < 0:
		return "there is none to go on with", nil
	case r.opts.Restart:
		return "that was asked for", nil
	case program != r.opts.Program:
		return "another program began it: " + program, nil
	case !schema:
		return "its schema is gone", nil
	case position > head:
		return fmt.Sprintf("the group was put back to seq %d, before what is built", head), nil
	}
	differs, err := r.shapesDiffer(ctx, r.writer, false)
	if err != nil || differs != "" {
		return differs, err
	}
	// What lies below the floor by now is not worth deriving.
	r.position = position
	r.result.ContinuedFrom = position
	if r.floor > position {
		if err := r.inTx(ctx, func(tx pgx.Tx) error { return r.move(ctx, tx, r.floor) }); err != nil {
			return "", err
		}
		r.position = r.floor
	}
	r.opts.Logger.InfoContext(ctx, "the rebuild goes on", "name", r.opts.Name, "after_seq", r.position)
	return "", nil
}

// make makes the shadow and its row in rebuilds, after removing what is there of an earlier one.
func (r *run) make(ctx context.Context) error {
	if err := r.drop(ctx); err != nil {
		return err
	}
	err := r.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{r.shadow}.Sanitize()); err != nil {
			return err
		}
		for _, table := range r.tables {
			if err := r.makeTable(ctx, tx, table); err != nil {
				return fmt.Errorf("make a table like %s: %w", table, err)
			}
			if err := r.addPartitions(ctx, tx, table); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, sqlBegin, r.opts.Name, r.floor, r.opts.Program)
		return err
	})
	if err != nil {
		return fmt.Errorf("make schema %s: %w", r.shadow, err)
	}
	r.position = r.floor
	differs, err := r.shapesDiffer(ctx, r.writer, false)
	if err == nil && differs != "" {
		err = errors.New(differs)
	}
	return err
}

// drop removes the shadow and its row.
func (r *run) drop(ctx context.Context) error {
	err := r.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{r.shadow}.Sanitize()+" CASCADE"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlForget, r.opts.Name)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove schema %s: %w", r.shadow, tooManyLocks(err))
	}
	return nil
}

func (r *run) makeTable(ctx context.Context, tx pgx.Tx, table string) error {
	if err := execEach(ctx, tx, sqlMakeTable, r.live, r.shadow, table, r.indexesLast()); err != nil {
		return err
	}
	return execEach(ctx, tx, sqlGrants, r.live, r.shadow, table)
}

// execEach executes the statements that a query makes.
func execEach(ctx context.Context, tx pgx.Tx, query string, args ...any) error {
	statements, err := names(ctx, tx, query, args...)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// addPartitions makes the partitions that the live table has and the shadow has not. A node that keeps the live table up
// remembers how far there are partitions, so the one that takes its place must have no fewer.
func (r *run) addPartitions(ctx context.Context, tx pgx.Tx, table string) error {
	partitions, err := names(ctx, tx, sqlMissingPartitions, r.live, r.shadow, table, r.floor)
	if err != nil {
		return fmt.Errorf("compare the partitions of %s: %w", table, err)
	}
	for _, partition := range partitions {
		if err := r.makeTable(ctx, tx, partition); err != nil {
			return fmt.Errorf("make a partition like %s: %w", partition, tooManyLocks(err))
		}
	}
	return nil
}

// indexesLast: every index is made when the rows are there, constraints included. Who writes the rows needs none of them.
func (r *run) indexesLast() bool { return r.bulk != nil }

// finish makes what is made last: indexes over the rows that are there, and statistics, so that the first statements
// after the swap are planned as well as those before.
func (r *run) finish(ctx context.Context) error {
	for _, table := range r.tables {
		partitions, err := names(ctx, r.writer, sqlPartitions, r.shadow, table)
		if err != nil {
			return fmt.Errorf("look for the partitions of %s: %w", table, err)
		}
		slices.Reverse(partitions)                    // see lockFromLast
		for _, t := range append(partitions, table) { // a transaction each: an interruption costs little
			if err := r.makeIndexes(ctx, t); err != nil {
				return err
			}
		}
		err = r.inTx(ctx, func(tx pgx.Tx) error {
			if err := lockFromLast(ctx, tx, r.shadow, table); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "ANALYZE "+r.shadowTable(table))
			return err
		})
		if err != nil {
			return fmt.Errorf("analyze %s: %w", table, err)
		}
	}
	return nil
}

func (r *run) makeIndexes(ctx context.Context, table string) error {
	rows, err := r.writer.Query(ctx, sqlMissingIndexes, r.live, r.shadow, table, r.indexesLast())
	if err != nil {
		return fmt.Errorf("look for the indexes of %s: %w", table, err)
	}
	type index struct{ Tablespace, Statement string }
	missing, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return fmt.Errorf("look for the indexes of %s: %w", table, err)
	}
	for _, i := range missing {
		err := r.inTx(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, sqlTablespace, i.Tablespace); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, i.Statement)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", i.Statement, err)
		}
	}
	return nil
}

// shapesDiffer says in what the shadow is not like the live tables, "" if in nothing.
func (r *run) shapesDiffer(ctx context.Context, db querier, indexes bool) (string, error) {
	for _, table := range r.tables {
		live, err := names(ctx, db, sqlShape, r.live, table, indexes, r.indexesLast())
		if err != nil {
			return "", fmt.Errorf("describe %s: %w", table, err)
		}
		shadow, err := names(ctx, db, sqlShape, r.shadow, table, indexes, r.indexesLast())
		if err != nil {
			return "", fmt.Errorf("describe %s: %w", table, err)
		}
		for i, line := range live {
			if i >= len(shadow) || shadow[i] != line {
				return fmt.Sprintf("table %s is not built like the live one: that has %s", table, line), nil
			}
		}
		if len(shadow) > len(live) {
			return fmt.Sprintf("table %s is not built like the live one: that lacks %s", table, shadow[len(live)]), nil
		}
	}
	return "", nil
}

func (r *run) shadowTable(table string) string { return pgx.Identifier{r.shadow, table}.Sanitize() }

func (r *run) liveTable(table string) string { return pgx.Identifier{r.live, table}.Sanitize() }

func (r *run) tablesOf(quoted func(string) string) string {
	list := make([]string, len(r.tables))
	for i, t := range r.tables {
		list[i] = quoted(t)
	}
	return strings.Join(list, ", ")
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// names collects a column of text.
func names(ctx context.Context, db querier, query string, args ...any) ([]string, error) {
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return slices.Clip(list), err
}

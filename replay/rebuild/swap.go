package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// swapPatience bounds how long the tables may be in use before a rebuild gives up; it can be gone on with.
	swapPatience = 5 * time.Minute

	// swapBudget is how long, in one attempt, readers may wait behind the swap that waits for others. Less than half of
	// what PostgreSQL lets pass before it looks for a deadlock: one of a reader and the swap is ended by the swap, and no
	// statement of a reader ever fails.
	swapBudget = 300 * time.Millisecond

	// An attempt that found the tables in use is made again after swapRetry, and then less and less often.
	swapRetry    = 100 * time.Millisecond
	swapRetryMax = 5 * time.Second
)

// swap puts the shadow's tables in the live ones' place, in one transaction.
func (r *run) swap(ctx context.Context) error {
	r.meter.enter(r, PhaseSwapping)
	return r.untilFree(ctx, func() error { return r.trySwap(ctx) })
}

// untilFree does something again while what it needs is locked by others, for as long as there is patience.
func (r *run) untilFree(ctx context.Context, do func() error) error {
	giveUp := time.Now().Add(r.patience())
	for wait := swapRetry; ; wait = min(2*wait, swapRetryMax) {
		err := do()
		outrun := errors.Is(err, errOutrun)
		if !isBusy(err) && !outrun || ctx.Err() != nil {
			return err
		}
		if outrun {
			if time.Now().After(giveUp) {
				return fmt.Errorf("%w; run it again when there is less to do", err)
			}
			continue // it catches up first
		}
		holders := r.holders(ctx)
		if time.Now().Add(wait).After(giveUp) {
			return fmt.Errorf("others use the tables: %s; end that, and run it again to go on: %w", holders, err)
		}
		r.opts.Logger.WarnContext(ctx, "the tables are in use; trying again", "by", holders, "retry_in", wait, "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (r *run) patience() time.Duration {
	if r.opts.patience > 0 {
		return r.opts.patience
	}
	return swapPatience
}

// holders says who has locks on the live tables.
func (r *run) holders(ctx context.Context) string {
	rows, err := r.pool.Query(ctx, sqlHolders, r.live, r.tables)
	if err != nil {
		return "it is not known who: " + err.Error()
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (who string, err error) {
		var pid int32
		err = row.Scan(&pid, &who)
		return who, err
	})
	if err != nil {
		return "it is not known who: " + err.Error()
	}
	if len(found) == 0 {
		return "nobody any more"
	}
	return strings.Join(found, ", ")
}

func (r *run) trySwap(ctx context.Context) error {
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	if err := r.clearWay(ctx); err != nil {
		return err
	}
	tx, err := r.writer.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return fmt.Errorf("begin the swap: %w", err)
	}
	defer func() { r.end(ctx, tx) }()
	// The order is that of the group's own transactions: the checkpoint, and then the tables.
	position, err := r.hold(ctx, tx)
	if err != nil {
		return err
	}
	if err := r.catchUpIn(ctx, tx, position); err != nil {
		r.end(ctx, tx)
		return errors.Join(r.build(ctx, position), err) // the first names the event
	}
	if err := r.lockLive(ctx, tx); err != nil {
		return err
	}
	if err := r.exchange(ctx, tx); err != nil {
		return fmt.Errorf("swap: %w", tooManyLocks(err))
	}
	if err := tx.Commit(ctx); err != nil {
		if !r.swapped(ctx, err) {
			return fmt.Errorf("commit the swap: %w", err)
		}
	}
	r.position = position
	r.result.Swapped = true
	return nil
}

// clearWay waits for vacuum and has PostgreSQL break off one that started by itself, with a lock that keeps nobody else
// waiting. In the swap there is no time for that.
func (r *run) clearWay(ctx context.Context) error {
	return r.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockTimeout, milliseconds(min(max(10*time.Second, 3*r.deadlock), r.patience()))); err != nil {
			return err
		}
		for _, schema := range []string{r.live, r.shadow} {
			for _, table := range r.tables {
				if err := lockFromLast(ctx, tx, schema, table); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// lockFromLast keeps vacuum away from a table and its partitions until the end of tx. Each that vacuum is at costs a wait of
// deadlock_timeout before PostgreSQL breaks that off, and the next thing vacuum takes up is mostly the partition behind:
// who comes from the front meets it at every one, who comes from the end only once, since it passes by what is locked.
func lockFromLast(ctx context.Context, tx pgx.Tx, schema, table string) error {
	tables, err := names(ctx, tx, sqlPartitions, schema, table)
	if err != nil {
		return fmt.Errorf("look for the partitions of %s: %w", table, err)
	}
	slices.Reverse(tables)
	for _, t := range append(tables, table) {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+pgx.Identifier{schema, t}.Sanitize()+" IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("wait for maintenance of table %s: %w", t, tooManyLocks(err))
		}
	}
	return nil
}

// catchUpIn brings the shadow to a seq in a transaction that is not committed yet. It is the last little: the group's
// checkpoint is held.
func (r *run) catchUpIn(ctx context.Context, tx pgx.Tx, upTo int64) error {
	if upTo == r.position {
		return nil
	}
	err := r.read(ctx, r.position, upTo, func(s segment) error {
		s = decode(s)
		return errors.Join(r.project(ctx, tx, s.events), s.err)
	})
	if err == nil {
		err = r.move(ctx, tx, upTo)
	}
	if err != nil {
		return fmt.Errorf("build up to seq %d: %w", upTo, err)
	}
	return nil
}

// lockLive locks the live tables, or fails before anybody has waited for long.
func (r *run) lockLive(ctx context.Context, tx pgx.Tx) error {
	deadline := time.Now().Add(min(swapBudget, r.deadlock*2/5))
	for _, table := range r.tables {
		var q pgx.Batch
		q.Queue(sqlLockTimeout, milliseconds(time.Until(deadline)))
		q.Queue("LOCK TABLE " + r.liveTable(table) + " IN ACCESS EXCLUSIVE MODE")
		if err := tx.SendBatch(ctx, &q).Close(); err != nil {
			return fmt.Errorf("lock table %s: %w", table, tooManyLocks(err))
		}
	}
	return nil
}

// exchange replaces the live tables. They are locked.
func (r *run) exchange(ctx context.Context, tx pgx.Tx) error {
	differs, err := r.shapesDiffer(ctx, tx, true)
	if err != nil {
		return err
	}
	if differs != "" {
		return fmt.Errorf("%s: it was changed meanwhile; run it again", differs)
	}
	var moved []string
	for _, table := range r.tables {
		if err := r.addPartitions(ctx, tx, table); err != nil {
			return err
		}
		partitions, err := names(ctx, tx, sqlPartitions, r.shadow, table)
		if err != nil {
			return fmt.Errorf("look for the partitions of %s: %w", table, err)
		}
		moved = append(append(moved, table), partitions...)
	}
	var q pgx.Batch
	q.Queue("DROP TABLE " + r.tablesOf(r.liveTable))
	for _, table := range moved {
		q.Queue("ALTER TABLE " + r.shadowTable(table) + " SET SCHEMA " + pgx.Identifier{r.live}.Sanitize())
	}
	q.Queue("DROP SCHEMA " + pgx.Identifier{r.shadow}.Sanitize())
	q.Queue(sqlForget, r.opts.Name)
	q.Queue(sqlWaitForDisk)
	return tx.SendBatch(ctx, &q).Close()
}

// swapped finds out about a commit of which nothing was heard.
func (r *run) swapped(ctx context.Context, cause error) bool {
	var pgErr *pgconn.PgError
	if errors.As(cause, &pgErr) {
		return false // the server said no
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var pending bool
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		var position int64
		if err := tx.QueryRow(ctx, sqlHold, r.group).Scan(&position); err != nil { // the commit may be under way
			return err
		}
		return tx.QueryRow(ctx, sqlExists, r.opts.Name).Scan(&pending)
	})
	return err == nil && !pending
}

// tooManyLocks says what to do where the server has no room for all the locks that a transaction needs.
func tooManyLocks(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "53200" {
		return fmt.Errorf("the server has no room for the locks on all partitions: raise max_locks_per_transaction and restart it: %w", err)
	}
	return err
}

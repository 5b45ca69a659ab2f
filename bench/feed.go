package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

const (
	feedRounds = 5
	feedEvents = million

	sqlCopyToClient = `COPY (SELECT seq, id, stream_type, stream_id, version, type, data, meta, recorded_at FROM events ORDER BY seq) TO STDOUT`

	sqlSampleOfTypes = `SELECT DISTINCT ON (type) seq, type, data, recorded_at FROM events ORDER BY type, seq`

	// $1 are the types of event that nobody is told of. Others have a notification each, and a row for each channel.
	sqlFeedFaults = `
SELECT (SELECT count(*) FROM events e LEFT JOIN notification_log n USING (seq) WHERE (n.seq IS NULL) <> (e.type = ANY($1::text[])))
	+ abs((SELECT sum(cardinality(channels)) FROM notification_log) - (SELECT count(*) FROM notification_channels))`
)

// benchFeed derives the notification log anew from a million events, as an operator does, comparison with the live one
// and swap included, and reads the events with COPY, in turn.
func benchFeed(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d rounds, in turn\n", machine(), feedRounds)
	pool, err := newPool(ctx, url, 4)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := fillAndSay(ctx, out, pool, feedEvents); err != nil {
		return err
	}
	// The live feed is made by a rebuild, too: it goes only as far as its group is said to be. So all differs at first.
	head, err := skipTo(ctx, pool, projections.GroupFeed)
	if err != nil {
		return err
	}
	first, err := rebuildFeed(ctx, url)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the first one, of which there was none before: %s\n", first)
	if err := checkFeed(ctx, pool); err != nil {
		return err
	}
	var whole, building ratios
	for round := range rounds(feedRounds) {
		var ours feedRebuilt
		var theirs time.Duration
		turns := []func() error{
			func() (err error) { ours, err = rebuildFeed(ctx, url); return err },
			func() (err error) { theirs, err = copyToClient(ctx, pool, head); return err },
		}
		for i := range turns {
			if err := turns[(i+round)%len(turns)](); err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
		}
		if r := ours.Result; r.Different > 0 || !r.Swapped || r.Events != head {
			return fmt.Errorf("round %d: the rebuild came to %+v", round+1, r)
		}
		fmt.Fprintf(out, "%s; COPY took %s: %.0f events/s\n", ours, theirs.Round(10*time.Millisecond), float64(head)/theirs.Seconds())
		whole = append(whole, theirs.Seconds()/ours.Took.Seconds())
		building = append(building, theirs.Seconds()/ours.built.Seconds())
	}
	if err := checkFeed(ctx, pool); err != nil {
		return err
	}
	fmt.Fprintf(out, "without comparison and swap: %s\n", building)
	result(out, "rebuild_feed", "pg_copy", whole, 0.2, false)
	return nil
}

// skipTo says that groups have handled all there is in the log, and returns how much that is.
func skipTo(ctx context.Context, pool *pgxpool.Pool, groups ...string) (head int64, err error) {
	_, err = pool.Exec(ctx, `UPDATE checkpoints SET position = (SELECT seq FROM log_head) WHERE group_name = ANY($1)`, groups)
	if err == nil {
		err = pool.QueryRow(ctx, `SELECT seq FROM log_head`).Scan(&head)
	}
	return head, err
}

// feedRebuilt is what a rebuild came to, and how much of its time went into building.
type feedRebuilt struct {
	rebuild.Result
	built time.Duration
}

func (r feedRebuilt) String() string {
	return fmt.Sprintf("%d events, %d notifications for %d channels: built in %s, with comparison and swap %s: %.0f events/s",
		r.Events, r.Rows["notification_log"], r.Rows["notification_channels"], r.built.Round(10*time.Millisecond),
		r.Took.Round(10*time.Millisecond), float64(r.Events)/r.Took.Seconds())
}

func rebuildFeed(ctx context.Context, url string) (r feedRebuilt, err error) {
	models, err := rebuild.Choose(projections.GroupFeed)
	if err != nil {
		return r, err
	}
	began := time.Now()
	r.Result, err = rebuild.Run(ctx, url, models, rebuild.Options{
		Name: projections.GroupFeed, Program: "bench",
		Progress: func(p rebuild.Progress) {
			if p.Phase == rebuild.PhaseComparing && r.built == 0 {
				r.built = time.Since(began)
			}
		},
	})
	return r, err
}

// copyToClient reads every event and counts the lines.
func copyToClient(ctx context.Context, pool *pgxpool.Pool, head int64) (took time.Duration, err error) {
	var lines lineCount
	err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		began := time.Now()
		_, err := c.Conn().PgConn().CopyTo(ctx, &lines, sqlCopyToClient)
		took = time.Since(began)
		return err
	})
	if err == nil && int64(lines) != head {
		err = fmt.Errorf("COPY gave %d of %d events", lines, head)
	}
	return took, err
}

type lineCount int64

func (n *lineCount) Write(b []byte) (int, error) {
	*n += lineCount(bytes.Count(b, []byte("\n")))
	return len(b), nil
}

// checkFeed requires a notification of each event that is told to somebody and none of others. A difference to the live
// one would not show what both lack.
func checkFeed(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, sqlSampleOfTypes)
	if err != nil {
		return err
	}
	silent := []string{}
	var e eventstore.Recorded
	if _, err := pgx.ForEachRow(rows, []any{&e.Seq, &e.Type, &e.Data, &e.RecordedAt}, func() error {
		body, err := domain.Decode(e.Type, e.Data)
		if err != nil {
			return err
		}
		_, told, err := projections.Notify(projections.Event{Recorded: e, Body: body})
		if !told {
			silent = append(silent, e.Type)
		}
		return err
	}); err != nil {
		return fmt.Errorf("find the events that nobody is told of: %w", err)
	}
	var faults int64
	if err := pool.QueryRow(ctx, sqlFeedFaults, silent).Scan(&faults); err != nil {
		return err
	}
	if faults > 0 {
		return errors.New("the notification log is not what the events say")
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// $1 is how many events there are, $2 which copy of them is made. Where an id has its version, its copies have a letter,
// which no id has there: so they are ids of their own, and in the order that they had.
const (
	sqlRepeatEvents = `
INSERT INTO events SELECT seq + $1::bigint * $2::int, overlay(id::text placing chr(96 + $2::int) from 15)::uuid, stream_type,
	overlay(stream_id::text placing chr(96 + $2::int) from 15)::uuid, version, type, data, meta,
	recorded_at + $2::int * (SELECT max(recorded_at) - min(recorded_at) + interval '1 millisecond' FROM events WHERE seq IN (1, $1::bigint))
FROM events WHERE seq <= $1::bigint ORDER BY seq`

	sqlRepeatStreams = `
INSERT INTO streams SELECT stream_type, overlay(stream_id::text placing chr(96 + $2::int) from 15)::uuid, version,
	first_seq + $1::bigint * $2::int, last_seq + $1::bigint * $2::int
FROM streams WHERE last_seq <= $1::bigint`
)

// multiply makes a log so many times as long, by copies of what is in it, which are of other orders. Only their ids in
// the events' data are those of the first: what is derived from one copy alone does not notice.
func multiply(ctx context.Context, out io.Writer, pool *pgxpool.Pool, times int) error {
	began := time.Now()
	var head int64
	if err := pool.QueryRow(ctx, `SELECT seq FROM log_head`).Scan(&head); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, `SELECT add_partitions('events', 1000000, $1)`, int64(times)*head+2*million); err != nil {
		return err
	}
	for _, sql := range []string{sqlRepeatEvents, sqlRepeatStreams} {
		if err := inParallel(2, times-1, func(i int) error {
			_, err := pool.Exec(ctx, sql, head, i+1)
			return err
		}); err != nil {
			return fmt.Errorf("multiply the log: %w", err)
		}
	}
	if _, err := pool.Exec(ctx, `UPDATE log_head SET (seq, recorded_at) = (SELECT seq, recorded_at FROM events ORDER BY seq DESC LIMIT 1)`); err != nil {
		return err
	}
	fmt.Fprintf(out, "made %d times as long in %s\n", times, time.Since(began).Round(100*time.Millisecond))
	return nil
}

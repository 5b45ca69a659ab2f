package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
)

const (
	appendRounds = 5
	appendRound  = time.Second
	appendWarmUp = time.Second / 2

	storesCompared = 64 // writers at which the other event stores append too
)

var appendWriters = []int{1, 16, 64, 256}

// payload is the size of an order with two lines.
var payload = json.RawMessage(`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","customerId":"u-1",` +
	`"agentId":"","from":"placed","to":"confirmed","message":"Your order has been confirmed, it will be with you at half past eight"}`)

var meta = eventstore.Meta{UserID: "u-1", Role: "admin", CorrelationID: "0190b5a0-0000-7000-8000-000000000002", RemoteAddr: "127.0.0.1"}

const (
	// The peer is what one would write without an event store: the same columns, the key on a sequence, one
	// row and one commit each. It checks no version and keeps no order.
	sqlPeerTable = `
CREATE TABLE peer_events (
	seq bigserial PRIMARY KEY, id uuid NOT NULL, stream_type text NOT NULL, stream_id uuid NOT NULL, version bigint NOT NULL,
	type text NOT NULL, data jsonb NOT NULL, meta jsonb NOT NULL, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
)`
	sqlPeerInsert = `INSERT INTO peer_events (id, stream_type, stream_id, version, type, data, meta) VALUES ($1, $2, $3, $4, $5, $6, $7)`
)

func benchAppend(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d rounds of %s each, in turn; PostgreSQL's default settings, fsync on\n", machine(), appendRounds, appendRound)
	pool, err := newPool(ctx, url, 8)
	if err != nil {
		return err
	}
	defer pool.Close()
	var batches batchCount
	store := eventstore.Open(pool, eventstore.Options{Observe: batches.add})
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(running) }()
	if _, err := pool.Exec(ctx, sqlPeerTable); err != nil {
		stop()
		return errors.Join(err, <-ended)
	}
	err = compareAppends(ctx, out, url, store, &batches)
	stop()
	return errors.Join(err, <-ended)
}

// contestant is one of those that append in turn.
type contestant struct {
	who  string
	load func(ctx context.Context, writers int, during time.Duration) load
}

func compareAppends(ctx context.Context, out io.Writer, url string, store *eventstore.Store, batches *batchCount) error {
	fmt.Fprintf(out, "%8s  %-10s %12s %10s %10s\n", "writers", "who", "a second", "p50", "p99")
	for _, writers := range appendWriters {
		if err := appendsOf(ctx, out, url, writers, store); err != nil {
			return fmt.Errorf("%d writers: %w", writers, err)
		}
		fmt.Fprintf(out, "%8d  %s\n", writers, batches.take())
	}
	return checkLog(ctx, out, store)
}

// appendsOf compares appends of so many writers.
func appendsOf(ctx context.Context, out io.Writer, url string, writers int, store *eventstore.Store) (err error) {
	inserting, err := newPool(ctx, url, writers)
	if err != nil {
		return err
	}
	defer inserting.Close()
	all := []contestant{
		{"append", func(ctx context.Context, writers int, during time.Duration) load {
			return appendLoad(ctx, store, writers, during)
		}},
		{"insert", func(ctx context.Context, writers int, during time.Duration) load {
			return insertLoad(ctx, inserting, writers, during)
		}},
	}
	name := fmt.Sprintf("append_%d", writers)
	if writers != storesCompared {
		r, err := inTurn(ctx, out, writers, all)
		if err != nil {
			return err
		}
		target := 1.0
		if writers == 1 {
			target = 0.5
		}
		result(out, name, "pg_insert", r.rates[1], target, false)
		return nil
	}
	messages, err := openMessageDB(ctx, url, writers)
	if err != nil {
		return err
	}
	defer messages.stop()
	node, err := startEmmett(ctx, url, writers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.stop()) }()
	r, err := inTurn(ctx, out, writers, append(all, contestant{"message-db", messages.load}, contestant{"emmett", node.load}))
	if err != nil {
		return err
	}
	result(out, name, "pg_insert", r.rates[1], 2.5, false)
	result(out, name, "message_db", r.rates[2], 8, false)
	result(out, name, "emmett", r.rates[3], 12, false)
	result(out, "append_p99", "pg_insert", r.tails[1], 1, true)
	return errors.Join(messages.check(ctx, out), node.check(ctx, out, inserting))
}

// compared are figures of the first contestant over those of each one, by its number.
type compared struct{ rates, tails []ratios }

// inTurn has the contestants append one after the other, in rounds that each begin with another one.
func inTurn(ctx context.Context, out io.Writer, writers int, all []contestant) (compared, error) {
	c := compared{make([]ratios, len(all)), make([]ratios, len(all))}
	for _, one := range all { // nobody is measured with a plan to be made or a program to be compiled
		if l := one.load(ctx, writers, appendWarmUp); l.firstErr != nil {
			return c, fmt.Errorf("%s: %w", one.who, l.firstErr)
		}
	}
	for round := range rounds(appendRounds) {
		loads := make([]load, len(all))
		for i := range all {
			i = (i + round) % len(all)
			loads[i] = all[i].load(ctx, writers, appendRound)
			if err := loads[i].firstErr; err != nil {
				return c, fmt.Errorf("round %d, %s: %w", round+1, all[i].who, err)
			}
		}
		for i, l := range loads {
			fmt.Fprintf(out, "%8d  %-10s %12.0f %10s %10s\n", writers, all[i].who, l.rate(),
				l.percentile(.5).Round(time.Microsecond), l.percentile(.99).Round(time.Microsecond))
			c.rates[i] = append(c.rates[i], loads[0].rate()/l.rate())
			c.tails[i] = append(c.tails[i], float64(loads[0].percentile(.99))/float64(l.percentile(.99)))
		}
	}
	return c, nil
}

// batchCount is how the appender grouped what came.
type batchCount struct {
	mu               sync.Mutex
	batches, appends int
	busy             time.Duration
}

func (c *batchCount) add(s eventstore.BatchStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches++
	c.appends += s.Appends
	c.busy += s.Duration
}

// take describes what was counted since the last time.
func (c *batchCount) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := max(c.batches, 1)
	s := fmt.Sprintf("%.1f appends and %s a transaction", float64(c.appends)/float64(n), (c.busy / time.Duration(n)).Round(time.Microsecond))
	c.batches, c.appends, c.busy = 0, 0, 0
	return s
}

// appendLoad: each worker appends to a stream of its own, with the version it must have.
func appendLoad(ctx context.Context, store *eventstore.Store, workers int, during time.Duration) load {
	streams := make([]eventstore.StreamID, workers)
	for i := range streams {
		streams[i] = eventstore.StreamID{Type: "order", ID: uuid.New()}
	}
	return drive(ctx, workers, during, func(ctx context.Context, worker, n int) error {
		_, err := store.Append(ctx, eventstore.Append{Meta: meta, Streams: []eventstore.StreamAppend{{
			Stream: streams[worker], Expected: int64(n),
			Events: []eventstore.NewEvent{{Type: "order.status_changed", Data: payload}},
		}}})
		return err
	})
}

// insertLoad: each worker inserts over a connection of its own, with a prepared statement.
func insertLoad(ctx context.Context, pool *pgxpool.Pool, workers int, during time.Duration) load {
	stream := [16]byte(uuid.New()) // as pgx encodes it best
	conns := make([]*pgxpool.Conn, workers)
	for i := range conns {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return load{firstErr: err}
		}
		defer conn.Release()
		conns[i] = conn
	}
	metaJSON, err := json.Marshal(meta)
	if err != nil {
		return load{firstErr: err}
	}
	return drive(ctx, workers, during, func(ctx context.Context, worker, n int) error {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		_, err = conns[worker].Exec(ctx, sqlPeerInsert, [16]byte(id), "order", stream, int64(n), "order.status_changed", payload, json.RawMessage(metaJSON))
		return err
	})
}

// checkLog reads what was appended: a figure for work that was not done would be worth nothing.
func checkLog(ctx context.Context, out io.Writer, store *eventstore.Store) error {
	head, err := store.Head(ctx)
	if err != nil {
		return err
	}
	versions := make(map[eventstore.StreamID]int64)
	for after := int64(0); after < head.Seq; {
		events, err := store.ReadLog(ctx, after, 10_000) // finds gaps
		if err != nil {
			return err
		}
		for _, e := range events {
			if versions[e.Stream]++; versions[e.Stream] != e.Version {
				return fmt.Errorf("seq %d is version %d of its stream, not %d", e.Seq, e.Version, versions[e.Stream])
			}
			after = e.Seq
		}
	}
	fmt.Fprintf(out, "checked: %d events, dense, each of %d streams in order\n", head.Seq, len(versions))
	return nil
}

func newPool(ctx context.Context, url string, conns int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(conns) //nolint:gosec // a few hundred
	return pgxpool.NewWithConfig(ctx, cfg)
}

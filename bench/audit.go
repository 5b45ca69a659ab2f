package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay"
	"github.com/orderlog/orderlog/replay/proofs"
)

const (
	auditRounds = 5
	million     = 1_000_000
)

const sqlCopyEvents = `\copy (SELECT seq, id, stream_type, stream_id, version, type, data, meta, recorded_at FROM events ORDER BY seq) TO STDOUT`

// benchExport exports a million events with the program and the same rows with psql, in turn, both into a file, and
// verifies them in the same rounds.
func benchExport(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d rounds, in turn; each program from its start to its end\n", machine(), auditRounds)
	program, remove, err := buildProgram(ctx)
	if err != nil {
		return err
	}
	defer remove()
	pool, err := newPool(ctx, url, 4)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := fillAndSay(ctx, out, pool, million/10); err != nil {
		return err
	}
	if err := derive(ctx, out, pool); err != nil {
		return err
	}
	file := filepath.Join(program.dir, "exported")
	small, err := toFile(ctx, program.environ(url), file, program.path, "audit", "export")
	if err != nil {
		return err
	}
	if _, err := fillAndSay(ctx, out, pool, million); err != nil {
		return err
	}
	if err := derive(ctx, out, pool); err != nil {
		return err
	}
	var head int64
	if err := pool.QueryRow(ctx, `SELECT seq FROM log_head`).Scan(&head); err != nil {
		return err
	}
	var export, verify, memory ratios
	for range rounds(auditRounds) {
		ours, err := toFile(ctx, program.environ(url), file, program.path, "audit", "export")
		if err != nil {
			return err
		}
		if err := checkExport(file, head); err != nil {
			return err
		}
		theirs, err := toFile(ctx, os.Environ(), file, "psql", "--no-psqlrc", "--quiet", "--dbname="+url, "--command="+sqlCopyEvents)
		if err != nil {
			return err
		}
		if lines, _, err := countLines(file); err != nil || lines != head {
			return errors.Join(fmt.Errorf("psql copied %d of %d rows", lines, head), err)
		}
		var said bytes.Buffer
		verified, err := runCommand(ctx, program.environ(url), &said, program.path, "audit", "verify", "--json")
		if err != nil {
			return err
		}
		var report proofs.Report
		if err := json.Unmarshal(said.Bytes(), &report); err != nil || !report.OK || report.Events != head {
			return errors.Join(fmt.Errorf("the verification says %s", said.Bytes()), err)
		}
		rate := func(f finished) float64 { return float64(head) / f.took.Seconds() }
		fmt.Fprintf(out, "export %8.0f events/s, %4d MB peak   \\copy %8.0f rows/s   verify %8.0f events/s, %4d MB peak\n",
			rate(ours), ours.memory>>20, rate(theirs), rate(verified), verified.memory>>20)
		export = append(export, rate(ours)/rate(theirs))
		verify = append(verify, rate(verified)/rate(ours))
		memory = append(memory, float64(ours.memory)/float64(small.memory))
	}
	fmt.Fprintf(out, "an export of %d events had %d MB at most\n", million/10, small.memory>>20)
	result(out, "audit_export", "psql_copy", export, 0.3, false)
	result(out, "audit_verify", "audit_export", verify, 0.5, false)
	result(out, "audit_export_memory", "a_tenth_of_the_events", memory, 1.3, true)
	return nil
}

func toFile(ctx context.Context, env []string, file, name string, args ...string) (finished, error) {
	f, err := os.Create(file)
	if err != nil {
		return finished{}, err
	}
	done, err := runCommand(ctx, env, f, name, args...)
	return done, errors.Join(err, f.Close())
}

// checkExport requires every event to be there, once and in order.
func checkExport(file string, head int64) error {
	lines, bad, err := countLines(file)
	if err == nil && (lines != head || bad > 0) {
		err = fmt.Errorf("the export has %d lines of %d events; the first line that is not the event of its place: %d", lines, head, bad)
	}
	return err
}

// countLines counts lines, and finds the first, counted from 1, that does not begin as the event of that seq does.
func countLines(file string) (lines, bad int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }()
	buffer := make([]byte, 1<<20)
	start := []byte{}
	for {
		n, err := f.Read(buffer)
		for rest := buffer[:n]; len(rest) > 0; {
			end := bytes.IndexByte(rest, '\n')
			head := rest
			if end >= 0 {
				head = rest[:end]
			}
			if missing := 40 - len(start); missing > 0 {
				start = append(start, head[:min(missing, len(head))]...)
			}
			if end < 0 {
				break
			}
			lines++
			if bad == 0 && !bytes.HasPrefix(start, fmt.Appendf(nil, `{"seq":%d,`, lines)) {
				bad = lines
			}
			start, rest = start[:0], rest[end+1:]
		}
		if errors.Is(err, io.EOF) {
			return lines, bad, nil
		}
		if err != nil {
			return lines, bad, err
		}
	}
}

const (
	fewEvents, manyEvents = 10_000, 3 * million
	histories             = 1500 // a round
)

// benchHistory reads histories of orders from a short log and from a long one, in turn.
func benchHistory(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d rounds of %d histories of random orders each, in turn\n", machine(), auditRounds, histories)
	return onFreshDatabase(ctx, func(shortURL string) error {
		short, closeShort, err := openHistory(ctx, out, shortURL, fewEvents)
		if err != nil {
			return err
		}
		defer closeShort()
		long, closeLong, err := openHistory(ctx, out, url, manyEvents)
		if err != nil {
			return err
		}
		defer closeLong()
		for _, p := range []*pastOrders{short, long} { // neither is measured cold
			if _, err := p.read(ctx); err != nil {
				return err
			}
		}
		var tails, medians ratios
		for range rounds(auditRounds) {
			a, err := short.read(ctx)
			if err != nil {
				return err
			}
			b, err := long.read(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%8d events: p50 %9s p99 %9s   %8d events: p50 %9s p99 %9s\n",
				fewEvents, a.percentile(.5).Round(time.Microsecond), a.percentile(.99).Round(time.Microsecond),
				manyEvents, b.percentile(.5).Round(time.Microsecond), b.percentile(.99).Round(time.Microsecond))
			medians = append(medians, float64(b.percentile(.5))/float64(a.percentile(.5)))
			tails = append(tails, float64(b.percentile(.99))/float64(a.percentile(.99)))
		}
		result(out, "history_p50", "history_at_10k", medians, 1.5, true)
		result(out, "history_p99", "history_at_10k", tails, 1.5, true)
		return nil
	})
}

// pastOrders are the orders of a log and what reads their histories.
type pastOrders struct {
	audit  *replay.Log
	orders []uuid.UUID
	random *rand.Rand
}

func openHistory(ctx context.Context, out io.Writer, url string, events int64) (*pastOrders, func(), error) {
	pool, err := newPool(ctx, url, 4)
	if err != nil {
		return nil, nil, err
	}
	orders, err := fillAndSay(ctx, out, pool, events)
	if err == nil {
		err = derive(ctx, out, pool)
	}
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	// What a log that grew over months has behind it, one that was written in a minute has not.
	if _, err := pool.Exec(ctx, `VACUUM (ANALYZE) events, streams, audit_index, merkle_tiles, checkpoints, log_head`, pgx.QueryExecModeSimpleProtocol); err != nil {
		pool.Close()
		return nil, nil, err
	}
	orders = orders[:len(orders)-ordersAtOnce] // those that are over
	p := &pastOrders{
		audit: replay.New(pool, eventstore.Open(pool, eventstore.Options{})), orders: orders, random: rand.New(rand.NewPCG(1, 2)),
	}
	return p, pool.Close, nil
}

func (p *pastOrders) read(ctx context.Context) (load, error) {
	var l load
	started := time.Now()
	for range histories {
		id := p.orders[p.random.IntN(len(p.orders))]
		began := time.Now()
		h, err := p.audit.History(ctx, replay.HistoryQuery{OrderID: id})
		if err != nil {
			return l, err
		}
		l.latency = append(l.latency, time.Since(began))
		if first, last := h.Entries[0], h.Entries[len(h.Entries)-1]; first.Type != "order.placed" || last.Type != "courier.order_released" {
			return l, fmt.Errorf("the history of %s begins with %s and ends with %s", id, first.Type, last.Type)
		}
	}
	l.elapsed = time.Since(started)
	slices.Sort(l.latency)
	return l, nil
}

// derive brings what the audit reads from to the end of the log.
func derive(ctx context.Context, out io.Writer, pool *pgxpool.Pool) error {
	return catchUp(ctx, out, pool, projections.Group{
		Name: projections.GroupProofs, Undecoded: true, Models: []projections.Model{proofs.Tree{}, replay.Index{}},
	})
}

// catchUp runs a group until it is at the end of the log.
func catchUp(ctx context.Context, out io.Writer, pool *pgxpool.Pool, group projections.Group) error {
	var before, head int64
	err := pool.QueryRow(ctx, `SELECT position, seq FROM checkpoints, log_head WHERE group_name = $1`, group.Name).Scan(&before, &head)
	if err != nil || before == head {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	reached := make(chan struct{})
	group.Committed = func(position int64) {
		if position == head {
			close(reached)
		}
	}
	runner := projections.NewRunner(pool, nil, slog.New(slog.DiscardHandler), group)
	started := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(running) }()
	select {
	case <-reached:
	case err := <-ended:
		return fmt.Errorf("group %s ended before it was at %d: %w", group.Name, head, err)
	}
	took := time.Since(started)
	fmt.Fprintf(out, "group %s came from %d to %d in %s: %.0f events/s\n",
		group.Name, before, head, took.Round(100*time.Millisecond), float64(head-before)/took.Seconds())
	stop()
	return <-ended
}

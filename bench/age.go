package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

const (
	youngEvents, oldEvents = 50_000, 5 * million
	keptNotifications      = million // the newest; what is older, retention has dropped

	ageRounds  = 5
	ageWriters = 64
	ageAppends = 80 // of each writer a round: enough for a p99, and a young log stays young

	resumes      = 300 // a round
	resumeBehind = 10_000
)

// benchAge compares a log of 5 million events with one of 50 thousand: the appends' p99, and how long it takes a customer
// who was away for the last ten thousand events to be told of its own.
func benchAge(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d rounds, in turn, of %d appends by %d writers, and of %d resumes\n",
		machine(), ageRounds, ageWriters*ageAppends, ageWriters, resumes)
	program, remove, err := buildProgram(ctx)
	if err != nil {
		return err
	}
	defer remove()
	return onFreshDatabase(ctx, func(youngURL string) error {
		logs := []*agedLog{{url: youngURL, events: youngEvents}, {url: url, events: oldEvents}}
		for _, l := range logs {
			if err := l.open(ctx, out); err != nil {
				return err
			}
			defer l.pool.Close()
		}
		if err := withStore(ctx, youngURL, func(young *eventstore.Store) error {
			return withStore(ctx, url, func(old *eventstore.Store) error {
				logs[0].store, logs[1].store = young, old
				return compareAges(ctx, out, "append", logs, (*agedLog).append)
			})
		}); err != nil {
			return err
		}
		for _, l := range logs {
			stop, err := l.serve(ctx, out, program)
			if err != nil {
				return err
			}
			defer stop()
		}
		return compareAges(ctx, out, "resume", logs, (*agedLog).resume)
	})
}

// compareAges measures both logs in turn: the young one is the first.
func compareAges(ctx context.Context, out io.Writer, name string, logs []*agedLog, measure func(*agedLog, context.Context) load) error {
	var medians, tails ratios
	for round := range rounds(ageRounds) + 1 {
		var loads [2]load
		for i := range logs {
			i = (i + round) % len(logs)
			if loads[i] = measure(logs[i], ctx); loads[i].firstErr != nil {
				return fmt.Errorf("round %d, %s at %d events: %w", round, name, logs[i].events, loads[i].firstErr)
			}
		}
		if round == 0 { // neither is measured cold
			continue
		}
		for i, l := range loads {
			fmt.Fprintf(out, "%-6s at %8d events: p50 %9s p99 %9s   ", name, logs[i].events,
				l.percentile(.5).Round(time.Microsecond), l.percentile(.99).Round(time.Microsecond))
		}
		fmt.Fprintln(out)
		medians = append(medians, float64(loads[1].percentile(.5))/float64(loads[0].percentile(.5)))
		tails = append(tails, float64(loads[1].percentile(.99))/float64(loads[0].percentile(.99)))
	}
	if name == "append" {
		result(out, "age_append_p99", "at_50k_events", tails, 1.3, true)
		return nil
	}
	result(out, "age_resume_p50", "at_50k_events", medians, 1.3, true)
	result(out, "age_resume_p99", "at_50k_events", tails, 1.3, true)
	return nil
}

// agedLog is a database with so many events.
type agedLog struct {
	url     string
	events  int64
	pool    *pgxpool.Pool
	store   *eventstore.Store
	address string
	random  *rand.Rand

	after     int64 // the cursor of those who were away
	customers []missed
}

// missed is what a customer was not told of, by its seqs. All of it may come. Of the places of an order's courier only
// the newest has to.
type missed struct {
	token     string
	all, must []int64
}

// The window has all of an order's places that were missed: its customer is told of each.
const sqlMissed = `
SELECT substr(channel, 6), array_agg(seq ORDER BY seq), array_agg(seq ORDER BY seq) FILTER (WHERE event <> 'delivery:location:update' OR seq = newest)
FROM (
	SELECT c.channel, c.seq, n.event, max(c.seq) OVER (PARTITION BY c.channel, n.event, n.payload->>'orderId') AS newest
	FROM notification_channels c JOIN notification_log n USING (seq)
	WHERE c.seq > $1 AND n.seq > $1 AND c.channel LIKE 'user:customer-%'
) w GROUP BY 1 ORDER BY 1`

func (l *agedLog) open(ctx context.Context, out io.Writer) (err error) {
	if l.pool, err = newPool(ctx, l.url, 4); err != nil {
		return err
	}
	l.random = rand.New(rand.NewPCG(1, 2))
	if _, err := fillAndSay(ctx, out, l.pool, min(l.events, million)); err != nil {
		return err
	}
	if l.events > million {
		if err := multiply(ctx, out, l.pool, int(l.events/million)); err != nil {
			return err
		}
	}
	// What a log that grew over months has behind it, one that was written in a minute has not.
	_, err = l.pool.Exec(ctx, `VACUUM (ANALYZE) events, streams, log_head`, pgx.QueryExecModeSimpleProtocol)
	return err
}

// append appends to new streams.
func (l *agedLog) append(ctx context.Context) load {
	streams := make([]eventstore.StreamID, ageWriters)
	for i := range streams {
		streams[i] = eventstore.StreamID{Type: "order", ID: uuid.New()}
	}
	return driveTimes(ctx, ageWriters, ageAppends, func(ctx context.Context, worker, n int) error {
		_, err := l.store.Append(ctx, eventstore.Append{Meta: meta, Streams: []eventstore.StreamAppend{{
			Stream: streams[worker], Expected: int64(n),
			Events: []eventstore.NewEvent{{Type: "order.status_changed", Data: payload}},
		}}})
		return err
	})
}

// driveTimes is drive with so many pieces of work for each worker, however long they take.
func driveTimes(ctx context.Context, workers, times int, work func(ctx context.Context, worker, n int) error) load {
	type piece struct {
		took []time.Duration
		err  error
	}
	ended := make(chan piece, workers)
	began := time.Now()
	for w := range workers {
		go func() {
			var p piece
			for n := 0; n < times && p.err == nil; n++ {
				began := time.Now()
				p.err = work(ctx, w, n)
				p.took = append(p.took, time.Since(began))
			}
			ended <- p
		}()
	}
	var l load
	for range workers {
		p := <-ended
		l.latency, l.firstErr = append(l.latency, p.took...), errors.Join(l.firstErr, p.err)
	}
	l.elapsed, l.done = time.Since(began), len(l.latency)
	slices.Sort(l.latency)
	return l
}

// serve makes the notifications that are kept and starts a node.
func (l *agedLog) serve(ctx context.Context, out io.Writer, program program) (stop func(), err error) {
	head, err := skipTo(ctx, l.pool, projections.GroupFeed, projections.GroupViews, projections.GroupInbox,
		projections.GroupRefunds, projections.GroupProofs)
	if err != nil {
		return nil, err
	}
	if _, err := l.pool.Exec(ctx, `UPDATE notification_floor SET floor = $1`, max(head-keptNotifications, 0)); err != nil {
		return nil, err
	}
	made, err := rebuildFeed(ctx, l.url)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "notifications at %d events: %s\n", l.events, made)
	if _, err := l.pool.Exec(ctx, `VACUUM (ANALYZE) notification_log, notification_channels`, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, err
	}
	if err := l.findMissed(ctx, out); err != nil {
		return nil, err
	}
	l.address, stop, err = program.serve(l.url)
	return stop, err
}

// findMissed finds what each customer of the filled log was not told of.
func (l *agedLog) findMissed(ctx context.Context, out io.Writer) error {
	l.after = l.events - resumeBehind
	rows, err := l.pool.Query(ctx, sqlMissed, l.after)
	if err != nil {
		return err
	}
	var user string
	var m missed
	var events int
	_, err = pgx.ForEachRow(rows, []any{&user, &m.all, &m.must}, func() (err error) {
		if m.token, err = tokenOf(user, domain.RoleCustomer); err != nil {
			return err
		}
		events += len(m.all)
		l.customers, m = append(l.customers, m), missed{} // the next row gets its own
		return nil
	})
	if err == nil && len(l.customers) == 0 {
		err = errors.New("no customer has missed anything")
	}
	if err == nil {
		fmt.Fprintf(out, "%d customers have missed %.1f events each\n", len(l.customers), float64(events)/float64(len(l.customers)))
	}
	return err
}

// resume has customers come back one after the other.
func (l *agedLog) resume(ctx context.Context) load {
	return driveTimes(ctx, 1, resumes, func(ctx context.Context, _, _ int) error {
		c := l.customers[l.random.IntN(len(l.customers))]
		f, err := dialFollower(ctx, l.address, make([]byte, 32<<10))
		if err != nil {
			return err
		}
		defer f.close()
		if err := f.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if err := f.register(c.token, l.after); err != nil {
			return err
		}
		return f.catchUp(c)
	})
}

// catchUp reads what was missed, and that this is all.
func (f *follower) catchUp(m missed) error {
	must := m.must
	for {
		seq, err := f.event()
		if err != nil {
			return err
		}
		if seq == 0 && len(must) > 0 {
			return fmt.Errorf("caught up without seq %d", must[0])
		}
		if seq == 0 {
			return nil
		}
		if _, ok := slices.BinarySearch(m.all, seq); !ok {
			return fmt.Errorf("seq %d came, which was not missed", seq)
		}
		if len(must) > 0 && must[0] < seq {
			return fmt.Errorf("seq %d came, and %d before it did not", seq, must[0])
		}
		if len(must) > 0 && must[0] == seq {
			must = must[1:]
		}
	}
}

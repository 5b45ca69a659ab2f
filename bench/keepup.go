package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

const (
	keepUpRounds = 5
	keepUpSearch = 4 * time.Second // at most, to find the rate
	keepUpSteady = 3 * time.Second // at a rate that is not changed
	keepUpFlat   = 2 * time.Second // as fast as it goes, with nothing that follows
	keepUpLag    = time.Second
	keepUpTries  = 6
)

// benchKeepUp finds the highest rate of appends at which every group of a node stays within a second of the log: its
// feed, views, reactions and proofs. Beside it: appends of the same events by as many writers to a database where nothing
// follows the log. What the node appends by itself, a customer's inbox entries, comes on top and is not counted.
func benchKeepUp(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d writers; %d rounds, in turn; lag under %s\n", machine(), businessWriters, keepUpRounds, keepUpLag)
	program, remove, err := buildProgram(ctx)
	if err != nil {
		return err
	}
	defer remove()
	return onFreshDatabase(ctx, func(aloneURL string) error {
		_, stop, err := program.serve(url)
		if err != nil {
			return err
		}
		defer stop()
		return withStore(ctx, aloneURL, func(alone *eventstore.Store) error {
			return withStore(ctx, url, func(store *eventstore.Store) error {
				pool, err := newPool(ctx, url, 2)
				if err != nil {
					return err
				}
				defer pool.Close()
				return compareKeepUp(ctx, out, newBusiness(alone), &followed{newBusiness(store), pool})
			})
		})
	})
}

func compareKeepUp(ctx context.Context, out io.Writer, alone *business, node *followed) error {
	if _, err := alone.append(ctx, unpaced, keepUpFlat); err != nil { // not measured cold
		return err
	}
	var r ratios
	rate, err := node.search(ctx, 2000)
	if err != nil {
		return err
	}
	for round := range rounds(keepUpRounds) {
		var flat, steady float64
		var lag time.Duration
		turns := []func() error{
			func() (err error) { flat, err = alone.append(ctx, unpaced, keepUpFlat); return err },
			func() (err error) { steady, lag, err = node.highest(ctx, rate); return err },
		}
		for i := range turns {
			if err := turns[(i+round)%len(turns)](); err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
		}
		fmt.Fprintf(out, "followed: %6.0f appends/s, lag %7s at most   alone: %6.0f appends/s\n", steady, lag.Round(time.Millisecond), flat)
		r, rate = append(r, steady/flat), steady
	}
	own, err := node.whole(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "checked: every group came to the end of the log, the feed whole\n")
	all := make(ratios, len(r))
	for i := range r {
		all[i] = r[i] * (1 + own)
	}
	fmt.Fprintf(out, "for each of these appends the node has appended %.2f events by itself; with those %s\n", own, all)
	result(out, "projections_keep_up", "append_alone", r, 0.5, false)
	return nil
}

// followed is a business whose log a node follows.
type followed struct {
	*business
	pool *pgxpool.Pool
}

// highest finds the highest rate that is held, beginning at another, and returns it with the most that a group was
// behind.
func (f *followed) highest(ctx context.Context, rate float64) (best float64, lag time.Duration, err error) {
	for range keepUpTries {
		steady, most, held, err := f.hold(ctx, rate)
		switch {
		case err != nil:
			return 0, 0, err
		case held && steady > best:
			best, lag = steady, most
			if most > keepUpLag*3/5 || steady < 0.9*rate { // there is little room left, or none in the store
				return best, lag, nil
			}
			rate = steady * 1.12
		case best > 0:
			return best, lag, nil
		default:
			rate *= 0.88
		}
	}
	if best == 0 {
		err = fmt.Errorf("not even %.0f appends a second are kept up with", rate)
	}
	return best, lag, err
}

// hold appends at a rate, and tells what came of it, the most that a group was behind, and whether that is all: not as
// where it grows.
func (f *followed) hold(ctx context.Context, rate float64) (steady float64, most time.Duration, held bool, err error) {
	var lags []time.Duration
	watch, stop := context.WithCancel(ctx)
	watching := make(chan error, 1)
	go func() {
		watching <- f.watch(watch, func(lag time.Duration) { lags = append(lags, lag) })
	}()
	steady, err = f.append(ctx, func() float64 { return rate }, keepUpSteady)
	stop()
	if err := errors.Join(err, <-watching, f.settled(ctx)); err != nil {
		return 0, 0, false, err
	}
	if len(lags) < 10 {
		return 0, 0, false, fmt.Errorf("the lag could be read %d times only", len(lags))
	}
	most = slices.Max(lags)
	return steady, most, most < keepUpLag && slices.Min(lags[len(lags)*3/4:]) < keepUpLag*3/4, nil
}

// search moves the rate to where the groups are some way behind, and holds them there.
func (f *followed) search(ctx context.Context, rate float64) (float64, error) {
	rates := make(chan float64, 1)
	rates <- rate
	current := func() float64 {
		r := <-rates
		rates <- r
		return r
	}
	watch, stop := context.WithCancel(ctx)
	watching := make(chan error, 1)
	go func() {
		watching <- f.watch(watch, func(lag time.Duration) {
			r := <-rates
			switch {
			case lag < keepUpLag*2/5:
				r *= 1.04
			case lag > keepUpLag*3/5:
				r *= 0.93
			}
			rates <- r
		})
	}()
	achieved, err := f.append(ctx, current, keepUpSearch)
	stop()
	err = errors.Join(err, <-watching, f.settled(ctx))
	// Writers that can't append as fast as they may leave the rate to rise without an end.
	return min(current(), 1.5*achieved), err
}

// watch reads the greatest lag of all groups twenty times a second until ctx ends.
func (f *followed) watch(ctx context.Context, each func(time.Duration)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lag, err := f.lag(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		each(lag)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *followed) lag(ctx context.Context) (most time.Duration, err error) {
	lags, err := projections.Lags(ctx, f.pool)
	for _, l := range lags {
		if l.Failures > 0 {
			err = fmt.Errorf("group %s fails at seq %d: %s", l.Group, l.FailedSeq, l.LastError)
		}
		most = max(most, l.Age)
	}
	return most, err
}

// settled waits until every group has handled all there is.
func (f *followed) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	reached, stop := context.WithCancel(ctx)
	defer stop()
	if err := f.watch(reached, func(lag time.Duration) {
		if lag == 0 {
			stop()
		}
	}); err != nil {
		return err
	}
	return ctx.Err()
}

// whole requires of what the groups made of the log that nothing is missing, and tells how many events the node has
// appended by itself for each that it was given.
func (f *followed) whole(ctx context.Context) (own float64, err error) {
	if err := checkFeed(ctx, f.pool); err != nil {
		return 0, err
	}
	var missing int64
	err = f.pool.QueryRow(ctx, `
SELECT (SELECT count(*) FROM events WHERE type = 'order.placed') - (SELECT count(*) FROM orders_view)
	+ (SELECT count(*) FROM events WHERE type = 'inbox.entered') - (SELECT count(*) FROM inbox_view)
	+ (SELECT count(*) FROM events WHERE type = 'courier.located') - (SELECT count(*) FROM track_points),
	(SELECT (count(*) FILTER (WHERE type = 'inbox.entered'))::float8 / count(*) FILTER (WHERE type <> 'inbox.entered') FROM events)`).
		Scan(&missing, &own)
	if err == nil && missing != 0 {
		err = fmt.Errorf("the views lack %d rows", missing)
	}
	return own, err
}

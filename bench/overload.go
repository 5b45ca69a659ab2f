package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	overloadStep     = 15 * time.Second // at each multiple
	overloadRecovery = 10 * time.Second // is watched after it
	overloadTry      = 4 * time.Second  // at each rate that may be the capacity
	overloadCalm     = 0.5              // of the capacity: what is offered before and after
	overloadSlow     = 250 * time.Millisecond
)

var overloadTimes = []float64{1, 2, 5, 10}

// benchOverload offers the real program more than it can take. Requests come by the clock, whatever became of those
// before, and the time of each counts from when it was due: so what has to wait is not left out. There are no targets,
// but a run in which something that was acknowledged is not in the log once, or in which a request is neither done nor
// refused, is void.
func benchOverload(ctx context.Context, out io.Writer, url string) error {
	node, err := startOverloaded(ctx, url)
	if err != nil {
		return err
	}
	defer node.close()
	fmt.Fprintf(out, "%s; orders placed, and lists of them read, 4 to 1; up to %d connections; times from when a request was due\n", machine(), overloadConnections)
	capacity, err := node.capacity(ctx, out)
	if err != nil {
		return err
	}
	calm, err := node.offer(ctx, overloadCalm*capacity, overloadRecovery/2)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "at half of it: p50 %s, p99 %s\n", rounded(percentile(calm.took, .5)), rounded(percentile(calm.took, .99)))
	rows := [][]string{{"offered", "offered/s", "accepted/s", "refused/s", "failed", "p50", "p99", "refusals' p99", "memory", "calm after"}, nil}
	var failed error
	for _, times := range overloadTimes[:rounds(len(overloadTimes))] {
		o, err := node.offer(ctx, times*capacity, overloadStep)
		if err != nil {
			return err
		}
		after, err := node.recovery(ctx, overloadCalm*capacity, percentile(calm.took, .99))
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			fmt.Sprintf("%g ×", times), fmt.Sprintf("%.0f", o.perSecond(len(o.late))), fmt.Sprintf("%.0f", o.perSecond(len(o.took))),
			fmt.Sprintf("%.0f", o.perSecond(len(o.refusals))), fmt.Sprint(o.failed), rounded(percentile(o.took, .5)), rounded(percentile(o.took, .99)),
			rounded(percentile(o.refusals, .99)), fmt.Sprintf("%d MB", o.memory>>20), after,
		})
		fmt.Fprintf(out, "%g ×: the node worked %.2f cores, the generator %.2f; %d connections; requests went out %s late (p99)%s\n", times,
			o.node.Seconds()/o.elapsed.Seconds(), o.own.Seconds()/o.elapsed.Seconds(), o.connections, rounded(percentile(o.late, .99)), o.limited())
		if o.failed > 0 {
			failed = errors.Join(failed, fmt.Errorf("at %g ×: %d requests were neither done nor refused: %w", times, o.failed, o.why))
		}
	}
	fmt.Fprint(out, markdown(rows))
	return errors.Join(failed, node.check(ctx, out))
}

// capacity is the highest rate of those tried at which nothing is refused and little is slow. It begins with what clients
// come to who wait for each answer.
func (n *overloaded) capacity(ctx context.Context, out io.Writer) (float64, error) {
	const callers = 48
	reached := drive(ctx, callers, overloadTry, func(ctx context.Context, _, _ int) error { return n.once(ctx) })
	if reached.firstErr != nil {
		return 0, reached.firstErr
	}
	fmt.Fprintf(out, "%d clients that wait for each answer: %.0f/s, p99 %s\n", callers, reached.rate(), rounded(reached.percentile(.99)))
	for rate := reached.rate(); ; rate *= .9 {
		o, err := n.offer(ctx, rate, overloadTry)
		if err != nil {
			return 0, err
		}
		if len(o.refusals) == 0 && o.failed == 0 && percentile(o.took, .99) < overloadSlow {
			fmt.Fprintf(out, "the capacity is taken as %.0f/s: nothing is refused, p99 %s\n", rate, rounded(percentile(o.took, .99)))
			return rate, nil
		}
		fmt.Fprintf(out, "not %.0f/s: %d refused, %d failed, p99 %s\n", rate, len(o.refusals), o.failed, rounded(percentile(o.took, .99)))
		if rate < reached.rate()/4 {
			return 0, fmt.Errorf("no rate down to %.0f/s is taken without refusals", rate)
		}
		if err := n.settle(ctx); err != nil {
			return 0, err
		}
	}
}

// recovery says how long after an overload there is a second in which nothing is refused and the p99 is at most twice what
// it was before, or 20 ms. Where there is none it says what the last second was like.
func (n *overloaded) recovery(ctx context.Context, rate float64, normal time.Duration) (string, error) {
	const window, windows = 250 * time.Millisecond, 4
	began, bound := time.Now(), max(2*normal, 20*time.Millisecond)
	var last []*offered
	for {
		o, err := n.offer(ctx, rate, window)
		if err != nil {
			return "", err
		}
		last = append(last, o)
		last = last[max(len(last)-windows, 0):]
		second := together(last)
		elapsed, slow := time.Since(began), percentile(second.took, .99)
		switch {
		case len(last) == windows && len(second.refusals) == 0 && second.failed == 0 && slow <= bound:
			return rounded(max(elapsed-windows*window, 0)), nil
		case elapsed >= overloadRecovery:
			return fmt.Sprintf("not within %s: %d refused, %d failed, p99 %s, calm is %s", overloadRecovery,
				len(second.refusals), second.failed, rounded(slow), rounded(bound)), nil
		}
	}
}

func rounded(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/orderlog/orderlog/bench/peers/peer"
)

const (
	targetedClients = 5000
	targetedEach    = 3    // users that an event is for
	targetedRate    = 5000 // events a second
	targetedRound   = 3 * time.Second
	targetedRounds  = 5
	targetedGoal    = 25 * time.Millisecond // p99
)

// benchTargeted publishes at a steady rate, each event to a few of 5,000 users, and measures how long after it was due an
// event is with a user: what waits because the server is behind counts. Each user checks that it gets its own events,
// all, in order and no others. centrifuge does the same beside it.
func benchTargeted(ctx context.Context, out io.Writer, _ string) error {
	fmt.Fprintf(out, "%s; %d connections, each event to %d of them, %d events/s for %s\n",
		machine(), targetedClients, targetedEach, targetedRate, targetedRound)
	ours, err := startOurs("")
	if err != nil {
		return err
	}
	defer ours.stop()
	centrifuge, err := startPeer(ctx, "centrifuge", centrifugeDialect)
	if err != nil {
		return err
	}
	defer centrifuge.stop()
	servers := []*server{ours, centrifuge}
	var delivered, tail, beside ratios
	for round := range rounds(targetedRounds) {
		var p99 [2]time.Duration
		for i := range servers {
			i := (i + round) % 2 // they take turns in who goes first
			latencies, expected, err := targetedOneRound(ctx, servers[i])
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, servers[i].name, err)
			}
			share := float64(len(latencies)) / float64(expected)
			p99[i] = percentile(latencies, .99)
			fmt.Fprintf(out, "round %d: %-10s %6d of %d delivered  p50 %9s  p99 %9s  max %9s\n", round+1, servers[i].name, len(latencies), expected,
				percentile(latencies, .5).Round(time.Microsecond), p99[i].Round(time.Microsecond), latencies[len(latencies)-1].Round(time.Microsecond))
			if i == 0 {
				delivered = append(delivered, share)
			}
		}
		tail = append(tail, float64(p99[0])/float64(targetedGoal))
		beside = append(beside, float64(p99[0])/float64(p99[1]))
	}
	fmt.Fprintf(out, "p99 beside centrifuge's: %s\n", beside)
	result(out, "targeted_delivered", "goal_all", delivered, 1, false)
	result(out, "targeted_p99", "goal_25ms", tail, 1, true)
	return nil
}

// targetedOneRound returns the latencies of what was delivered, sorted, and how many deliveries there should be.
func targetedOneRound(ctx context.Context, s *server) (latencies []time.Duration, expected int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	clients, err := connectCrowd(ctx, s, s.speaks, targetedClients)
	if err != nil {
		return nil, 0, err
	}
	defer clients.close()
	plan := peer.Plan{
		From: s.next, Messages: int(targetedRate * targetedRound / time.Second), Bytes: eventPad,
		Users: targetedClients, To: targetedEach, Rate: targetedRate,
		At: time.Now().Add(100 * time.Millisecond), // so that everybody is waiting when it begins
	}
	own := make([][]int, plan.Users)
	var users []int
	for n := plan.From; n < plan.From+plan.Messages; n++ {
		users = plan.AppendUsers(users[:0], n)
		for _, u := range users {
			own[u] = append(own[u], n)
		}
	}
	took := make([][]time.Duration, len(own))
	for i := range took {
		took[i] = make([]time.Duration, 0, len(own[i]))
	}
	err = clients.while(ctx, func(ctx context.Context) error { return s.publish(ctx, plan) }, func(c *client) error {
		return c.expectEach(own[c.user], func(n int) { took[c.user] = append(took[c.user], time.Since(plan.Due(n))) })
	})
	if err != nil {
		return nil, 0, err
	}
	latencies = slices.Concat(took...)
	slices.Sort(latencies)
	return latencies, plan.Messages * plan.To, nil
}

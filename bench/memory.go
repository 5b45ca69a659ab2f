package main

import (
	"context"
	"fmt"
	"io"
)

const (
	memoryClients = 10_000
	memoryRounds  = 5
	memoryGoal    = 10 << 10 // bytes a connection
)

// benchMemory counts what a server has in memory before and after 10,000 clients register, which then say and are told
// nothing. Each server is a new process each time, and is asked to give back what it does not use before it is looked at.
func benchMemory(ctx context.Context, out io.Writer, _ string) error {
	fmt.Fprintf(out, "%s; %d idle connections, registered; bytes of resident memory for each\n", machine(), memoryClients)
	starts := []struct {
		name  string
		start func() (*server, error)
	}{
		{"orderlog", func() (*server, error) { return startOurs("") }},
		{"centrifuge", func() (*server, error) { return startPeer(ctx, "centrifuge", centrifugeDialect) }},
		{"centrifuge set up for idle connections", func() (*server, error) { return startPeer(ctx, "centrifuge", centrifugeDialect, "-small") }},
	}
	var beside, small, goal ratios
	for round := range rounds(memoryRounds) {
		bytes := make([]float64, len(starts))
		for i := range starts {
			i := (i + round) % len(starts) // they take turns in who goes first
			s, err := starts[i].start()
			if err != nil {
				return err
			}
			bytes[i], err = memoryRound(ctx, s)
			s.stop()
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, starts[i].name, err)
			}
		}
		fmt.Fprintf(out, "round %d:", round+1)
		for i, b := range bytes {
			fmt.Fprintf(out, "  %s %.0f", starts[i].name, b)
		}
		fmt.Fprintln(out)
		beside, small = append(beside, bytes[0]/bytes[1]), append(small, bytes[0]/bytes[2])
		goal = append(goal, bytes[0]/memoryGoal)
	}
	fmt.Fprintf(out, "beside centrifuge set up for idle connections: %s\n", small)
	result(out, "memory_idle", "centrifuge", beside, 0.4, true)
	result(out, "memory_idle_size", "goal_10KB", goal, 1, true)
	return nil
}

func memoryRound(ctx context.Context, s *server) (bytes float64, err error) {
	look := func() (resident int64, err error) {
		if err := s.settle(ctx); err != nil {
			return 0, err
		}
		return s.resident()
	}
	before, err := look()
	if err != nil {
		return 0, err
	}
	clients, err := connectCrowd(ctx, s, s.speaks, memoryClients)
	if err != nil {
		return 0, err
	}
	defer clients.close()
	after, err := look()
	return float64(after-before) / memoryClients, err
}

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/orderlog/orderlog/bench/peers/peer"
)

const (
	broadcastClients = 1000
	broadcastEvents  = 1000 // a round
	broadcastRounds  = 5
)

// spoken is a server as it is spoken to.
type spoken struct {
	name string
	*server
	dialect
}

// benchBroadcast has each server tell 1,000 connections the same events, as fast as it can, one server after the other.
// Every client checks that each event comes once and in order.
func benchBroadcast(ctx context.Context, out io.Writer, _ string) error {
	fmt.Fprintf(out, "%s; %d events of %d bytes to %d connections; deliveries a second, and the processor time of one, the server's/the readers'\n",
		machine(), broadcastEvents, eventBytes, broadcastClients)
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
	gorilla, err := startPeer(ctx, "gorilla", gorillaDialect)
	if err != nil {
		return err
	}
	defer gorilla.stop()
	all := []spoken{
		{"batch", ours, batchDialect}, {"plain", ours, plainDialect}, {"centrifuge", centrifuge, centrifugeDialect}, {"gorilla", gorilla, gorillaDialect},
	}
	beside := map[[2]string]ratios{}
	for round := range rounds(broadcastRounds) {
		rates := map[string]float64{}
		fmt.Fprintf(out, "round %d:", round+1)
		for i := range all {
			c := all[i]
			if round%2 > 0 { // they take turns in who goes first
				c = all[len(all)-1-i]
			}
			rate, each, err := broadcastRound(ctx, c)
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, c.name, err)
			}
			rates[c.name] = rate
			fmt.Fprintf(out, "  %s %.0f/s %s", c.name, rate, each)
		}
		fmt.Fprintln(out)
		for _, pair := range [][2]string{{"batch", "centrifuge"}, {"plain", "centrifuge"}, {"batch", "gorilla"}, {"plain", "gorilla"}} {
			beside[pair] = append(beside[pair], rates[pair[0]]/rates[pair[1]])
		}
	}
	for _, who := range []string{"batch", "plain"} {
		fmt.Fprintf(out, "%s beside gorilla/websocket with prepared messages, which keeps nothing: %s\n", who, beside[[2]string{who, "gorilla"}])
	}
	result(out, "broadcast_batch", "centrifuge", beside[[2]string{"batch", "centrifuge"}], 3, false)
	result(out, "broadcast_plain", "centrifuge", beside[[2]string{"plain", "centrifuge"}], 1.2, false)
	return nil
}

// broadcastRound connects the clients, has the events published and waits until each client has each of them. It returns
// the deliveries a second, from the moment that the server is asked to the last delivery, and what one costs.
func broadcastRound(ctx context.Context, s spoken) (rate float64, each cost, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	clients, err := connectCrowd(ctx, s.server, s.dialect, broadcastClients)
	if err != nil {
		return 0, cost{}, err
	}
	defer clients.close()
	plan := peer.Plan{From: s.next, Messages: broadcastEvents, Bytes: eventPad}
	const deliveries = broadcastClients * broadcastEvents
	for _, c := range clients.clients {
		c.last = plan.From - 1
	}
	all, err := s.costs(func() error {
		began := time.Now()
		err := clients.while(ctx, func(ctx context.Context) error { return s.publish(ctx, plan) }, func(c *client) error {
			return c.expect(plan.From + plan.Messages - 1)
		})
		rate = deliveries / time.Since(began).Seconds()
		return err
	})
	return rate, all.per(deliveries), err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/auth"
)

const (
	latencyRate  = 200 // events a second
	latencyRound = 5 * time.Second
	latencyGoal  = 10 * time.Millisecond // p50
	benchSecret  = "a secret for benchmarks, 32 bytes or more"
)

// benchLatency runs the real server in a process of its own, appends to its database from here, and reads as
// an admin over its socket: so both ends of what is measured have one clock.
func benchLatency(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d rounds of %s at %d events a second\n", machine(), appendRounds, latencyRound, latencyRate)
	program, remove, err := buildProgram(ctx)
	if err != nil {
		return err
	}
	defer remove()
	address, stop, err := program.serve(url)
	if err != nil {
		return err
	}
	defer stop()
	pool, err := newPool(ctx, url, 8)
	if err != nil {
		return err
	}
	defer pool.Close()
	store := eventstore.Open(pool, eventstore.Options{})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(running) }()
	err = measureLatency(ctx, out, store, address)
	cancel()
	return errors.Join(err, <-ended)
}

func measureLatency(ctx context.Context, out io.Writer, store *eventstore.Store, address string) error {
	token, err := auth.Sign([]byte(benchSecret), auth.Identity{UserID: "bench", Role: domain.RoleAdmin, ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		return err
	}
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(address, "http")+"/ws", nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.WriteJSON(map[string]any{"event": "register", "data": map[string]any{"token": token, "lastSeq": 0}}); err != nil {
		return err
	}
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("register: %w", err)
		}
		if strings.Contains(string(text), `"caught_up"`) {
			break
		}
	}
	var medians ratios
	for round := range appendRounds {
		latencies, err := latencyOfOneRound(ctx, store, conn)
		if err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
		fmt.Fprintf(out, "%6d events  p50 %9s  p99 %9s  max %9s\n", len(latencies), percentile(latencies, .5).Round(time.Microsecond),
			percentile(latencies, .99).Round(time.Microsecond), latencies[len(latencies)-1].Round(time.Microsecond))
		medians = append(medians, float64(percentile(latencies, .5))/float64(latencyGoal))
	}
	result(out, "commit_to_client_p50", "goal_10ms", medians, 1, true)
	return nil
}

// latencyOfOneRound appends at the rate and pairs each acknowledgement with the frame's arrival.
func latencyOfOneRound(ctx context.Context, store *eventstore.Store, conn *websocket.Conn) ([]time.Duration, error) {
	const events = int(latencyRate * latencyRound / time.Second)
	arrived := make(map[int64]time.Time, events)
	reading := make(chan error, 1)
	go func() {
		for len(arrived) < events {
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				reading <- err
				return
			}
			_, text, err := conn.ReadMessage()
			now := time.Now()
			var frame struct {
				Seq *int64 `json:"seq"`
			}
			if err == nil {
				err = json.Unmarshal(text, &frame)
			}
			if err != nil {
				reading <- fmt.Errorf("after %d of %d frames: %w", len(arrived), events, err)
				return
			}
			if frame.Seq != nil {
				arrived[*frame.Seq] = now
			}
		}
		reading <- nil
	}()

	var mu sync.Mutex
	acknowledged := make(map[int64]time.Time, events)
	var failed error
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / latencyRate)
	defer tick.Stop()
	for range events {
		<-tick.C
		wg.Go(func() {
			seq, err := placeOne(ctx, store)
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			acknowledged[seq] = now
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	if err := errors.Join(failed, <-reading); err != nil {
		return nil, err
	}
	latencies := make([]time.Duration, 0, events)
	for seq, at := range acknowledged {
		got, ok := arrived[seq]
		if !ok {
			return nil, fmt.Errorf("seq %d was acknowledged and never arrived", seq)
		}
		latencies = append(latencies, max(got.Sub(at), 0)) // the frame may be faster than the acknowledgement
	}
	slices.Sort(latencies)
	return latencies, nil
}

func placeOne(ctx context.Context, store *eventstore.Store) (int64, error) {
	id := uuid.New()
	typ, data, err := domain.Encode(order.Placed{
		OrderID: id, OrderNumber: "ORD-000001", CustomerID: "u-1", CustomerName: "Ann", Currency: "EUR",
		Items: []order.Item{{Product: id, Name: "Margherita", Quantity: 2, UnitPrice: 950, Total: 1900}}, TotalAmount: 1900, Subtotal: 1900,
	})
	if err != nil {
		return 0, err
	}
	r, err := store.Append(ctx, eventstore.Append{Meta: meta, Streams: []eventstore.StreamAppend{{
		Stream: eventstore.StreamID{Type: order.StreamType, ID: id}, Events: []eventstore.NewEvent{{Type: typ, Data: data}},
	}}})
	return r.LastSeq, err
}

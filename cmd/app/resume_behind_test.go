package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// TestClientsThatAreFarBehindMissNothing lets more happen than a node keeps in memory while clients do not read, and
// while others are away. The first thousand are large, so that they fill what is between a server and who does not read.
func TestClientsThatAreFarBehindMissNothing(t *testing.T) {
	t.Parallel()
	const large, small = 1000, 16_000
	url := pgtest.Database(t)
	s := openedShopOn(t, url)
	s.await(t, 2)
	type reader struct {
		*client
		conn *connection
	}
	readers := map[string]*reader{}
	for _, transport := range transports {
		slow := newClient(t, transport.driver(), "bob", domain.RoleCustomer)
		slow.quick = true
		readers[transport.name+", slow"] = &reader{slow, slow.arrive(t, s.url)}
		away := newClient(t, transport.driver(), "bob", domain.RoleCustomer)
		away.quick = true
		away.arrive(t, s.url).cut()
		readers[transport.name+", away"] = &reader{client: away}
	}
	pool := pgtest.Pool(t, url)
	announce(t, pool, large, strings.Repeat("still open ", 400))
	announce(t, pool, small, "still open")
	const last = 2 + large + small
	awaitFeed(t, projections.NewFeedLog(pool), last)

	want := []int64{1}
	for seq := int64(3); seq <= last; seq++ {
		want = append(want, seq)
	}
	for name, r := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for r.last < last {
				if r.conn == nil {
					r.conn = r.begin(t, s.url)
				}
				if _, err := r.conn.next(t.Context()); isFault(err) || t.Context().Err() != nil {
					t.Fatal(err)
				} else if err != nil {
					r.conn = nil // who reads nothing for too long has to come back
				}
			}
			r.conn.link.cut()
			if !slices.Equal(r.got, want) {
				t.Errorf("it got %d events, want %d", len(r.got), len(want))
			}
		})
	}
}

// announce appends n messages to everybody.
func announce(t *testing.T, pool *pgxpool.Pool, n int, message string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	store := eventstore.Open(pool, eventstore.Options{})
	running := make(chan error, 1)
	go func() { running <- store.Run(ctx) }()
	data, err := json.Marshal(business.Opened{BusinessName: "Orderlog Kitchen", Message: message})
	for left := n; left > 0 && err == nil; left -= 500 {
		events := make([]eventstore.NewEvent, min(left, 500))
		for i := range events {
			events[i] = eventstore.NewEvent{Type: business.Opened{}.EventType(), Data: data}
		}
		_, err = store.Append(t.Context(), eventstore.Append{
			Meta: eventstore.Meta{UserID: "boss", Role: "admin"},
			Streams: []eventstore.StreamAppend{{
				Stream:   eventstore.StreamID{Type: business.StreamType, ID: business.StreamID},
				Expected: eventstore.AnyVersion, Events: events,
			}},
		})
	}
	stop()
	if err := errors.Join(err, <-running); err != nil {
		t.Fatal(fmt.Errorf("announce: %w", err))
	}
}

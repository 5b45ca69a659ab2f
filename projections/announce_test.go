package projections_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// The hubs of other nodes are told of the last that a feed has written before its node ended.
func TestWhatAFeedWroteLastIsAnnounced(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "LISTEN "+projections.FeedChannel); err != nil {
		t.Fatal(err)
	}
	pool := pgtest.Pool(t, url)
	for position := range int64(8) { // whether the end is seen first, or what was written, is left to chance
		feed := projections.NewFeed(pool)
		ctx, stop := context.WithCancel(t.Context())
		feed.Committed(position)
		stop()
		if err := feed.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if got := announced(t, conn); got != strconv.FormatInt(position, 10) {
			t.Fatalf("of %d it announces %s", position, got)
		}
	}
}

// announced is what the next announcement says.
func announced(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n, err := conn.WaitForNotification(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return n.Payload
}

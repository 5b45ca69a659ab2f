package projections_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/parttest"
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
	feed := projections.NewFeed(pgtest.Pool(t, url))
	ctx, stop := context.WithCancel(t.Context())
	feed.Committed(7)
	stop()
	if err := feed.Run(ctx); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			heard <- err.Error()
			return
		}
		heard <- n.Payload
	}()
	if got := parttest.Await(t, "the announcement", heard); got != "7" {
		t.Errorf("it is %s", got)
	}
}

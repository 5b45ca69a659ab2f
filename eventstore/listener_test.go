package eventstore_test

import (
	"log/slog"
	"testing"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestWhatTheProcessHintsAtItselfIsNotPassedOnAgain(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	l := eventstore.NewListener(pool, slog.New(slog.DiscardHandler), "feed", "mark")
	feed, cancel := l.Signal("feed")
	defer cancel()
	mark, cancel := l.Signal("mark")
	defer cancel()
	notify := func(channel, payload string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), `SELECT pg_notify($1, $2)`, channel, payload); err != nil {
			t.Fatal(err)
		}
	}
	l.Hint("feed", 9) // while nobody listens
	parttest.Await(t, "the hint of this process", feed)
	parttest.Run(t, l.Run)
	parttest.Await(t, "a hint when it is connected, whatever there was before", feed)
	parttest.Await(t, "the same for the other channel", mark)

	l.Hint("feed", 5)
	parttest.Await(t, "the hint of this process", feed)
	notify("feed", "5")
	notify("feed", "4")
	notify("mark", "1")
	parttest.Await(t, "the notification behind it", mark)
	select {
	case <-feed:
		t.Error("what the process knows was passed on again")
	default:
	}
	notify("feed", "6")
	parttest.Await(t, "what another process did", feed)
	notify("feed", "")
	parttest.Await(t, "a notification that says nothing of a position", feed)
}

package session

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	*testing.T
	feed    *deliverytest.Feed
	hub     *delivery.Hub
	rights  *deliverytest.Rights
	service *Service
}

// run runs a service over a log that has some events already.
func run(t *testing.T, change func(*Config, *delivery.Config), before func(*deliverytest.Feed)) *world {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	w := &world{T: t, feed: deliverytest.NewFeed(), rights: deliverytest.NewRights()}
	if before != nil {
		before(w.feed)
	}
	hubConfig := delivery.Config{Feed: w.feed, Hint: w.feed.Hint, Logger: quiet}
	cfg := Config{Verifier: deliverytest.Verifier{}, Access: w.rights, Logger: quiet}
	if change != nil {
		change(&cfg, &hubConfig)
	}
	w.hub = delivery.New(hubConfig)
	cfg.Hub = w.hub
	w.service = New(cfg)
	parttest.Run(t, w.hub.Run)
	t.Cleanup(func() {
		if n := w.hub.Stats().Subscriptions; n != 0 || w.service.Users() != 0 {
			t.Errorf("%d subscriptions and %d users are left", n, w.service.Users())
		}
	})
	<-w.hub.Ready()
	return w
}

func (w *world) reach(seq int64) {
	w.Helper()
	parttest.Eventually(w.T, fmt.Sprintf("the hub reaches %d", seq), func() bool { return w.hub.Position() >= seq })
}

func at(seq int64) *int64 { return &seq }

// open begins a session that ends with the test.
func (w *world) open(user string, role domain.Role, start Start) *Session {
	w.Helper()
	x, err := w.service.Open(w.Context(), auth.Identity{UserID: user, Role: role, ExpiresAt: time.Now().Add(time.Hour)}, "", start)
	if err != nil {
		w.Fatalf("Open: %v", err)
	}
	w.Cleanup(x.Close)
	return x
}

// do serves an event, whose answer is out when it returns.
func do(t *testing.T, x *Session, event, format string, args ...any) Reply {
	t.Helper()
	r, err := x.Do(t.Context(), event, json.RawMessage(fmt.Sprintf(format, args...)))
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	x.Answered(r)
	return r
}

// told is all that a session is told until there is nothing more, what has to be read for it included.
func told(t *testing.T, x *Session, now time.Time) string {
	t.Helper()
	var out []string
	for {
		n, err := x.Next(2, now)
		if err != nil {
			return strings.Join(append(out, string(domain.CodeOf(err))), " ")
		}
		if n.Empty() {
			if hub := x.service.cfg.Hub; hub.Stats().Readings > 0 {
				parttest.Eventually(t, "the readings to end", func() bool { return hub.Stats().Readings == 0 })
				continue
			}
			select {
			case <-x.Ready(): // one has ended just now
				continue
			default:
				return strings.Join(out, " ")
			}
		}
		out = append(out, spell(n)...)
	}
}

func spell(n Told) (out []string) {
	for _, room := range n.Left {
		out = append(out, "left:"+room)
	}
	prev := n.Prev
	for _, f := range n.Frames {
		out = append(out, fmt.Sprintf("%d<%d", prev, f.Seq))
		prev = f.Seq
	}
	switch {
	case n.Resync != nil:
		out = append(out, fmt.Sprintf("resync:%d:%s", n.Resync.Seq, n.Resync.Reason))
	case n.CaughtUp != nil:
		out = append(out, fmt.Sprintf("caught_up:%d", n.CaughtUp.Seq))
	case n.Checkpoint != nil:
		out = append(out, fmt.Sprintf("checkpoint:%d", n.Checkpoint.Seq))
	}
	return out
}

func wantTold(t *testing.T, x *Session, want string) {
	t.Helper()
	if got := told(t, x, time.Now()); got != want {
		t.Fatalf("told %q, want %q", got, want)
	}
}

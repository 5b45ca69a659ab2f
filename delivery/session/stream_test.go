package session

import (
	"errors"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
)

func TestACursorIsReplayedThenCaughtUpThenLive(t *testing.T) {
	t.Parallel()
	w := run(t, nil, func(f *deliverytest.Feed) { f.Add("user:ann"); f.Add("user:bob"); f.Add("all"); f.Add("role:customer") })
	x := w.open("ann", domain.RoleCustomer, Start{LastSeq: at(1), Log: w.feed.ID.String()})
	if r := x.Registered(); !r.Recovered || r.Seq != 4 || x.Cursor() != 1 {
		t.Fatalf("got %+v, from %d", r, x.Cursor())
	}
	wantTold(t, x, "1<3 3<4 caught_up:4")
	w.feed.Add("user:bob")
	w.reach(w.feed.Add("user:ann"))
	wantTold(t, x, "4<6")
	live := w.open("ann", domain.RoleCustomer, Start{})
	if r := live.Registered(); r.Recovered || r.Seq != 6 || live.Cursor() != 6 {
		t.Fatalf("got %+v", r)
	}
	w.reach(w.feed.Add("all"))
	wantTold(t, live, "6<7")
}

func TestFallingBackIsNotTold(t *testing.T) {
	t.Parallel()
	w := run(t, func(_ *Config, h *delivery.Config) { h.QueueFrames = 2 }, func(f *deliverytest.Feed) { f.Add("all") })
	x := w.open("ann", domain.RoleCustomer, Start{LastSeq: at(0)})
	wantTold(t, x, "0<1 caught_up:1")
	for range 5 {
		w.feed.Add("all")
	}
	w.reach(6)
	wantTold(t, x, "1<2 2<3 3<4 4<5 5<6")
	if w.hub.Stats().Overflows == 0 {
		t.Error("it has not fallen back")
	}
}

func TestACursorThatCannotBeResumedIsToldFirst(t *testing.T) {
	t.Parallel()
	w := run(t, nil, func(f *deliverytest.Feed) { f.Add("all"); f.Add("all"); f.Add("all"); f.Drop(2) })
	for name, tc := range map[string]struct {
		start  Start
		reason string
	}{
		"ahead":       {Start{LastSeq: at(9)}, "ahead"},
		"expired":     {Start{LastSeq: at(1)}, "expired"},
		"another log": {Start{LastSeq: at(0), Log: "11111111-1111-1111-1111-111111111111"}, "different_log"},
	} {
		x := w.open("ann", domain.RoleCustomer, tc.start)
		if x.Registered().Recovered || x.Cursor() != 3 {
			t.Errorf("%s: %+v", name, x.Registered())
		}
		wantTold(t, x, "resync:3:"+tc.reason)
	}
}

func TestWhatIsQuietIsToldHowFarItIs(t *testing.T) {
	t.Parallel()
	w := run(t, func(c *Config, _ *delivery.Config) { c.CheckpointInterval = time.Minute }, nil)
	x := w.open("ann", domain.RoleCustomer, Start{})
	w.reach(w.feed.Add("user:bob"))
	wantTold(t, x, "")
	later := x.Due()
	if got := told(t, x, later); got != "checkpoint:1" {
		t.Fatalf("told %q", got)
	}
	if x.Due() != later.Add(time.Minute) {
		t.Errorf("the next is due at %v, the last was at %v", x.Due(), later)
	}
	w.reach(w.feed.Add("user:ann"))
	if got := told(t, x, x.Due()); got != "1<2" { // which says so too
		t.Errorf("told %q", got)
	}
}

// A database that does not answer keeps nobody from being told that the connection lives, nor beyond the token's end.
func TestReadingDoesNotKeepBackWhatIsDue(t *testing.T) {
	t.Parallel()
	reading, stuck := make(chan struct{}), make(chan struct{})
	w := run(t, func(c *Config, h *delivery.Config) {
		c.CheckpointInterval, h.RingFrames = 20*time.Millisecond, 1
	}, func(f *deliverytest.Feed) {
		for range 5 {
			f.Add("all")
		}
		f.OnRead(func() error { close(reading); <-stuck; return errors.New("it was cut off") })
	})
	x := w.open("ann", domain.RoleCustomer, Start{LastSeq: at(1)})
	defer close(stuck)
	if n, err := x.Next(10, time.Now()); !n.Empty() || err != nil {
		t.Errorf("told %v, %v", spell(n), err)
	}
	<-reading
	if n, err := x.Next(10, x.Due()); err != nil || n.Checkpoint == nil || n.Checkpoint.Seq != 1 {
		t.Fatalf("told %v, %v", spell(n), err)
	}
	if n, err := x.Next(10, x.Expires()); domain.CodeOf(err) != delivery.CodeTokenExpired {
		t.Fatalf("told %v, %v", spell(n), err)
	}
}

func TestRetentionThatPassesAReplayIsToldAsResync(t *testing.T) {
	t.Parallel()
	w := run(t, func(_ *Config, h *delivery.Config) { h.RingFrames = 1 }, func(f *deliverytest.Feed) {
		for range 5 {
			f.Add("all")
		}
	})
	some := w.open("ann", domain.RoleCustomer, Start{LastSeq: at(1)})
	all := w.open("ann", domain.RoleCustomer, Start{LastSeq: at(0)})
	w.feed.Drop(3)
	wantTold(t, some, "resync:5:expired")
	wantTold(t, all, "0<4 4<5 caught_up:5")
}

func TestATokenEndsTheStreamUnlessItIsRefreshed(t *testing.T) {
	t.Parallel()
	w := run(t, nil, nil)
	x := w.open("ann", domain.RoleCustomer, Start{})
	end := x.Expires()
	told(t, x, end.Add(-time.Second)) // a checkpoint
	if x.Due() != end {
		t.Errorf("due at %v, the token ends at %v", x.Due(), end)
	}
	if got := told(t, x, end); got != "token_expired" {
		t.Fatalf("told %q", got)
	}
	for len(x.Ready()) > 0 {
		<-x.Ready()
	}
	r := do(t, x, "refresh", `{"token":%q}`, "Bearer "+deliverytest.Token("ann", domain.RoleCustomer, 3*time.Hour))
	if !r.Expires.Equal(x.Expires()) || !x.Expires().After(end) || len(x.Ready()) != 1 {
		t.Errorf("it ends at %v, is said to at %v; the writer is woken: %d", x.Expires(), r.Expires, len(x.Ready()))
	}
	if got := told(t, x, end); got != "" {
		t.Errorf("told %q", got)
	}
	_, err := x.Do(t.Context(), "refresh", []byte(`{"token":"`+deliverytest.Token("ann", domain.RoleAdmin, time.Hour)+`"}`))
	if !errors.Is(err, ErrAnotherUser) {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsToldBehindTheEndOfASession(t *testing.T) {
	t.Parallel()
	w := run(t, nil, func(f *deliverytest.Feed) { f.Add("all") })
	x := w.open("ann", domain.RoleCustomer, Start{LastSeq: at(0)})
	x.Close()
	x.Close()
	if _, err := x.Next(10, time.Now()); !errors.Is(err, delivery.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Thousands of connections are idle most of the time.
func TestAskingAnIdleSessionCostsNoMemory(t *testing.T) { //nolint:paralleltest // what others allocate would be counted
	w := run(t, nil, nil)
	x := w.open("ann", domain.RoleCustomer, Start{})
	wantTold(t, x, "")
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { _, _ = x.Next(64, now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

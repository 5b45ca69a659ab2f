package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/internal/parttest"
)

func someEvening(seed uint64) *evening {
	return newEvening(Config{URL: "http://127.0.0.1:1", Orders: 300, Rate: 20, Clients: 60, Drop: 0.25, Seed: seed})
}

func TestTheSameSeedPlansTheSameEvening(t *testing.T) {
	t.Parallel()
	a, b, c := someEvening(5), someEvening(5), someEvening(6)
	plans := func(e *evening) (all []plan) {
		for _, o := range e.orders {
			all = append(all, o.plan)
		}
		return all
	}
	if !reflect.DeepEqual(plans(a), plans(b)) || !reflect.DeepEqual(a.town, b.town) {
		t.Error("two evenings of a seed differ")
	}
	if reflect.DeepEqual(plans(a), plans(c)) {
		t.Error("two evenings of two seeds are the same")
	}
	if a.admins[0].id == b.admins[0].id || a.customers[0].id == b.customers[0].id {
		t.Error("two runs have the same users")
	}
}

// An evening has some of everything that can happen.
func TestAnEveningIsVaried(t *testing.T) {
	t.Parallel()
	e := someEvening(5)
	seen := map[string]int{}
	for _, o := range e.orders {
		p := o.plan
		seen[p.method]++
		seen["cancelled at "+p.cancelAt]++
		seen[fmt.Sprint("payment ", p.payment)]++
		seen[fmt.Sprint("refund ", p.refund)]++
		if p.offer {
			seen["offer"]++
		}
		if p.moves {
			seen["moves"]++
		}
		if (p.payment == payBroken || p.payment == payLate) && p.cancelAt != "placed" {
			t.Errorf("order %d goes on unpaid", o.number)
		}
		if p.method == "cod" && (p.payment != payWorks || p.refund == refundByProvider) {
			t.Errorf("order %d pays cash through the provider", o.number)
		}
	}
	for _, what := range []string{
		"cod", "card", "upi", "wallet", "cancelled at ", "cancelled at placed", "cancelled at confirmed", "cancelled at preparing",
		"cancelled at ready", "cancelled at out_for_delivery", "payment 0", "payment 1", "payment 2", "payment 3",
		"refund 0", "refund 1", "refund 2", "refund 3", "offer", "moves",
	} {
		if seen[what] == 0 {
			t.Errorf("nothing is %q", what)
		}
	}
	if n := seen["cancelled at "]; n < 200 {
		t.Errorf("only %d of 300 orders are to be delivered", n)
	}
	dropped, devices := 0, 0
	for _, c := range e.clients {
		if c.cuts != nil {
			dropped++
		}
	}
	for _, c := range e.customers {
		devices += len(c.devices)
	}
	if all := len(e.clients); dropped < all/8 || dropped > all/2 || devices != 60 || all != 60+2+len(e.couriers) {
		t.Errorf("%d of %d connections are cut, %d are customers'", dropped, all, devices)
	}
}

func TestCutsAreSpreadAndEndWithTheEvening(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := someEvening(5)
		c := newCuts(e.random(3), time.Minute)
		planned := c.left
		if planned < 2 || planned > 5 {
			t.Fatalf("%d cuts are planned", planned)
		}
		at, now := c.next()
		began := time.Now()
		<-at
		if lasted := time.Since(began); lasted > time.Minute || now == nil {
			t.Errorf("a connection lasted %s", lasted)
		}
		_, now = c.next()
		c.finish()
		<-now // what is planned comes now
		last := 0
		for {
			at, _ := c.next()
			if at == nil {
				break
			}
			<-at
			last++
		}
		if last > 1 {
			t.Errorf("%d connections were cut after the end", last)
		}
		if at, now := (*cuts)(nil).next(); at != nil || now != nil {
			t.Error("a client without cuts is cut")
		}
	})
}

func TestAConnectionSendsNoMoreThanTheServerTakes(t *testing.T) {
	t.Parallel()
	var b budget
	now := time.Unix(1_000_000, 0)
	sent := 0
	for range 1000 {
		if b.spend(now) {
			sent++
		}
		now = now.Add(20 * time.Millisecond)
	}
	if sent != 2*budgetMessages { // in 20 s
		t.Errorf("sent %d", sent)
	}
}

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		width       int
		begins, end string
	}{
		{20, "\r\x1b[Kan evening · 123456\r\x1b[K", "\r\x1b[K"},
		{0, "an evening · 1234567890 far too long\nan evening", "\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			ctx, cancel := context.WithTimeout(t.Context(), 11*time.Second)
			defer cancel()
			progress(ctx, &out, tc.width, func(float64) string { return "an evening · 1234567890 far too long" }, func() int64 { return 0 })
			if said := out.String(); !strings.HasPrefix(said, tc.begins) || !strings.HasSuffix(said, tc.end) {
				t.Errorf("at width %d it said %q…", tc.width, said[:min(len(said), 80)])
			}
			if tc.width > 0 && strings.Count(out.String(), "\r") < 50 {
				t.Error("it is rewritten less than five times a second")
			}
			if lines := strings.Count(out.String(), "\n"); (tc.width > 0) != (lines == 0) || lines > 2 {
				t.Errorf("at width %d it said %d lines in 11 s", tc.width, lines)
			}
		})
	}
}

func TestProgressTellsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		events := func() int64 { return int64(time.Since(began).Seconds() * 100) }
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		var out bytes.Buffer
		progress(ctx, &out, 0, func(perSecond float64) string { return fmt.Sprintf("%.0f", perSecond) }, events)
		if out.String() != "100\n100\n" {
			t.Errorf("said %q", out.String())
		}
	})
}

func TestTheReportFailsOnWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*evening)
		says   string
	}{
		"nothing":          {func(*evening) {}, ""},
		"missing":          {func(e *evening) { e.result.missing = 1 }, "1 events missing"},
		"repeated":         {func(e *evening) { e.result.repeated = 2 }, "2 repeated"},
		"out of order":     {func(e *evening) { e.result.outOfOrder = 3 }, "3 out of order"},
		"broken prev":      {func(e *evening) { e.result.brokenPrev = 4 }, "4 that do not follow"},
		"wrong":            {func(e *evening) { e.result.wrong = 5 }, "5 wrong"},
		"an order":         {func(e *evening) { e.stats.complain("order 3 is late") }, "1 faults"},
		"nothing compared": {func(e *evening) { e.proven = false }, "could not be compared"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &evening{stats: &stats{}, api: newAPI(""), proven: true}
			tc.change(e)
			r := e.report(time.Second)
			var out bytes.Buffer
			if err := r.Write(&out); err != nil {
				t.Fatal(err)
			}
			if err := r.Err(); (err == nil) != (tc.says == "") || (err != nil && !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("is %v, want %q", err, tc.says)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			want := fmt.Sprintf(" missing=%d repeated=%d out_of_order=%d", e.result.missing, e.result.repeated, e.result.outOfOrder)
			if last := lines[len(lines)-1]; !strings.HasPrefix(last, "SIMULATED orders=0 ") || !strings.HasSuffix(last, want) {
				t.Errorf("ends with %q", last)
			}
			if name == "an order" && !strings.Contains(out.String(), "FAULT order 3 is late") {
				t.Error("does not say what is wrong")
			}
		})
	}
}

// A run that cannot begin ends with why, leaves nothing running and does not pass for a success.
func TestARunThatCannotBegin(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t) // which has a feed and no webhook
	report, err := Run(t.Context(), Config{URL: s.url, Orders: 1, Clients: 1, Sign: someone("admin", "x").sign, WebhookSecret: []byte("k")})
	if err == nil || report != nil {
		t.Errorf("ended with %v and reported %+v", err, report)
	}
}

func TestWaitingForAClientEnds(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	c, _ := s.connected(someone("customer", "ada"), nil)
	heard := make(chan bool, 1)
	go func() { heard <- c.hears(t.Context(), "ready o") }()
	parttest.Eventually(t, "somebody to wait", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.waiting) == 1
	})
	s.add("order:status:update", `{"orderId":"o","status":"ready"}`, "user:ada")
	if !parttest.Await(t, "the news", heard) {
		t.Error("it was not heard")
	}
	if c.await(t.Context(), time.Millisecond, func() bool { return false }) {
		t.Error("what never holds was waited for")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c.hears(ctx, "never") || !errors.Is(ctx.Err(), context.Canceled) || len(c.waiting) != 0 {
		t.Error("waiting does not end with its context")
	}
}

package simulation

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Report is what came of an evening.
type Report struct {
	// Interrupted says that it was ended early.
	Interrupted bool

	cfg      Config
	took     time.Duration
	clients  int
	people   int // customers
	couriers int
	stats    *stats
	result   verdict
	proven   bool
	left     string   // how the business was left; "": it was not
	retried  int64    // requests
	faults   []string // the first ones
	faultSum int
}

func (e *evening) report(took time.Duration) *Report {
	r := &Report{
		cfg: e.cfg, took: took, clients: len(e.clients), people: len(e.customers), couriers: len(e.couriers), stats: e.stats, result: e.result, proven: e.proven,
		retried: e.api.retried.Load(),
	}
	r.faults, r.faultSum = e.stats.faults()
	switch {
	case !e.shop.left:
	case e.shop.open:
		r.left = "open"
	default:
		r.left = "closed"
	}
	return r
}

// Err is what is wrong, in a line; nil when every client got all that was for it, in order and once, and everything
// ended as it should.
func (r *Report) Err() error {
	switch v := r.result; {
	case v.bad():
		return fmt.Errorf("clients were not told the truth: %d events missing, %d repeated, %d out of order, %d that do not follow on what was before, %d wrong",
			v.missing, v.repeated, v.outOfOrder, v.brokenPrev, v.wrong)
	case r.faultSum > 0:
		return fmt.Errorf("the evening did not go as it should: %d faults", r.faultSum)
	case !r.proven:
		return errors.New("what the clients were told could not be compared with the feed")
	}
	return nil
}

// Write prints the report, for people, and as its last line for programs.
func (r *Report) Write(w io.Writer) error {
	s := r.stats
	p := printer{w: w}
	if r.Interrupted {
		p.line("Interrupted: what was still under way was cancelled.")
	}
	p.line("%d orders in %s (seed %d): %d delivered, %d cancelled, %d moved to another courier.",
		s.placed.Load(), r.took.Round(100*time.Millisecond), r.cfg.Seed, s.delivered.Load(), s.cancelled.Load(), s.moved.Load())
	p.line("%d used the offer, %d found it used up.", s.offers.Load(), s.usedUp.Load())
	p.line("Money: %d payments of %s came in, %d refunds of %s went back, %d payments failed; the provider sent %d messages, %d of them twice.",
		s.captured.Load(), money(s.capturedSum.Load()), s.refunds.Load(), money(s.refundedSum.Load()), s.failedPayments.Load(),
		s.webhooks.Load(), s.repeats.Load())
	p.line("Couriers reported %d points, %d were kept. Customers read %d notifications one by one.", s.points.Load(), s.kept.Load(), s.read.Load())
	p.line("%d connections (of %d customers, %d couriers, 2 admins) were cut %d times, and clients came back with their lastSeq %d times; %d tokens were refreshed; %d requests were tried again.",
		r.clients, r.people, r.couriers, s.cut.Load(), s.resumed.Load(), s.refreshed.Load(), r.retried)
	if r.proven {
		p.line("Compared with GET /feed: %d events for all connections together, %d locations left out of a catch-up because newer ones followed.",
			r.result.events, r.result.superseded)
	}
	if r.left != "" {
		p.line("The business was left %s, as it was found, without the evening's menu and offer.", r.left)
	}
	if n := s.unheard.Load(); n > 0 {
		p.line("%d times somebody did not hear of an event within %s.", n, hearing)
	}
	if r.result.resynced > 0 {
		p.line("%d events were no longer held when a client came back, which was told so (resync).", r.result.resynced)
	}
	for _, fault := range r.faults {
		p.line("FAULT %s", fault)
	}
	if more := r.faultSum - len(r.faults); more > 0 {
		p.line("FAULT and %d more", more)
	}
	p.line("SIMULATED orders=%d delivered=%d cancelled=%d connections=%d cuts=%d reconnects=%d events=%d seconds=%.1f compared=%t faults=%d wrong=%d broken_prev=%d missing=%d repeated=%d out_of_order=%d",
		s.placed.Load(), s.delivered.Load(), s.cancelled.Load(), r.clients, s.cut.Load(), s.resumed.Load(), s.events.Load(),
		r.took.Seconds(), r.proven, r.faultSum, r.result.wrong, r.result.brokenPrev,
		r.result.missing, r.result.repeated, r.result.outOfOrder)
	return p.err
}

// printer writes lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func money(cents int64) string { return fmt.Sprintf("%d.%02d %s", cents/100, cents%100, currency) }

// Package check judges a run of the fault suite: it compares what clients were told with the log, read when the run is
// over, and finds every broken promise.
//
// The rules are written from the product's contract and not from its code, so that a mistake of the program is not made
// again here. They use none of its packages: what an event means, who is told of it and how money adds up is said once
// more, in the smallest form that can be compared.
//
// The log is streamed once. Each rule sees every event, with the state of the world before it, and keeps no more than it
// needs. An hour's run fits into some hundred MB.
package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// Options of a judgement.
type Options struct {
	// Last is the seq of the last event, which every client has to have been told of.
	Last int64
	// Program is the path of the program, whose own verifications are run too. Empty: they are not.
	Program string
	// Env is the program's environment.
	Env []string
	// Patience bounds how long one order's commands are searched for an order that explains them. Default 5 s.
	Patience time.Duration
}

// Violation is a promise that was broken.
type Violation struct {
	Rule string // of [Rules]
	Text string // what was seen, with what is needed to find it
}

// Looked says how many things a rule looked at.
type Looked struct {
	Rule string
	N    int
}

// Result of a judgement.
type Result struct {
	Events, Deliveries, Reconnects int
	// Violations are those that are told in words: of each rule the first twenty, and a line that says how many more.
	Violations []Violation
	// Broken is how many there are in all.
	Broken int
	Looked []Looked // a line a rule, in the order of [Rules]
}

// The rules.
const (
	ruleLog          = "log"          // seq is dense, versions are 1, 2, 3 …, times do not fall
	ruleAcknowledged = "acknowledged" // what was acknowledged is in the log, as it was answered
	ruleRefused      = "refused"      // what was refused is not
	ruleOnce         = "once"         // a command and a key are in the log once, whole, in one commit, and nothing that nobody asked for is
	ruleOrder        = "order"        // a command that was acknowledged before another began comes before it
	ruleFeed         = "feed"         // the notification log has what the contract says of each event, for whom it says
	ruleChain        = "chain"        // prev is what the connection was told of before
	ruleRepeated     = "repeated"     // no client is told of an event twice or out of order
	ruleMissing      = "missing"      // no client misses an event of its channels
	ruleForeign      = "foreign"      // no client is told of what none of its channels carries
	ruleRights       = "rights"       // nobody is told of what only a room carries that it has lost the right to
	ruleContent      = "content"      // what is told is what happened
	ruleCheckpoint   = "checkpoint"   // nothing comes later that a checkpoint or caught_up has passed
	ruleCaughtUp     = "caught up"    // caught_up covers all that anybody was answered before the client came back
	ruleResync       = "resync"       // no cursor is refused that is good
	ruleLast         = "last"         // every client gets to the end, and no client saw what no server may say
	ruleAnswers      = "answers"      // no answer is 500, and each that says no has a code
	ruleMinSeq       = "min_seq"      // a read is as far as it was asked to be
	ruleReads        = "reads"        // a read is the state of the log at its X-Seq
	ruleViews        = "views"        // the read models are the state of the log at the end
	ruleSteps        = "steps"        // orders take the steps of the contract
	rulePrices       = "prices"       // orders cost what the menu and the offer say, and none is taken while closed
	ruleMoney        = "money"        // what came in is given back or kept, and nothing is kept or given back twice
	ruleOffers       = "offers"       // no offer is used more often than it may be
	ruleCouriers     = "couriers"     // no courier carries two orders
	ruleInbox        = "inbox"        // each change of an order has one entry in its customer's inbox
	ruleLinear       = "linear"       // the answers of each order's commands and reads have an order that explains them
	ruleProgram      = "program"      // the program's own verifications find nothing
)

// Rules are the names of all rules.
func Rules() []string {
	return []string{
		ruleLog, ruleAcknowledged, ruleRefused, ruleOnce, ruleOrder, ruleFeed, ruleChain, ruleRepeated, ruleMissing, ruleForeign,
		ruleRights, ruleContent, ruleCheckpoint, ruleCaughtUp, ruleResync, ruleLast, ruleAnswers, ruleMinSeq, ruleReads, ruleViews, ruleSteps,
		rulePrices, ruleMoney, ruleOffers, ruleCouriers, ruleInbox, ruleLinear, ruleProgram,
	}
}

// Run judges a run that is over. The database has to be at rest, at a place that no fault stands before.
func Run(ctx context.Context, h *history.History, databaseURL string, o Options) (Result, error) {
	db, err := open(ctx, databaseURL)
	if err != nil {
		return Result{}, err
	}
	defer db.close(ctx)
	f := newFindings()
	j := newJudge(h, o, f)
	if err := db.events(ctx, j.event); err != nil {
		return Result{}, err
	}
	if err := db.views(ctx, j.views.add); err != nil {
		return Result{}, err
	}
	j.log.head, err = db.head(ctx)
	if err != nil {
		return Result{}, err
	}
	j.end()
	if o.Program != "" {
		verify(ctx, o, f)
	}
	f.blind(o.Program == "")
	return j.result(), nil
}

// judge is all rules over one run.
type judge struct {
	h        *history.History
	o        Options
	f        *findings
	w        *world
	log      *logRule
	commands *commandRule
	told     *toldRule
	reads    *readRule
	views    *viewRule
	rules    []rule
	events   int
}

// rule sees each event in the order of the log, with the world as it was before it.
type rule interface {
	event(e *event, w *world)
	// end is called behind the last event.
	end(w *world)
}

func newJudge(h *history.History, o Options, f *findings) *judge {
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	j := &judge{
		h: h, o: o, f: f, w: newWorld(), log: newLogRule(f), commands: newCommandRule(h, f), told: newToldRule(f),
		reads: newReadRule(h, f), views: newViewRule(f),
	}
	j.rules = []rule{
		j.log, j.commands, j.told, j.reads, &stepRule{f: f}, &priceRule{f: f}, newMoneyRule(f), newOfferRule(f), &courierRule{f: f},
		newInboxRule(f), j.views,
	}
	return j
}

func (j *judge) event(e *event) {
	j.events++
	for _, r := range j.rules {
		r.event(e, j.w)
	}
	j.w.apply(e)
}

func (j *judge) end() {
	for _, r := range j.rules {
		r.end(j.w)
	}
	judgeAnswers(j.h, j.f)
	answered := answersOf(j.h)
	for _, c := range j.h.Clients() {
		judgeClient(c, j.told, answered, j.o.Last, j.f)
	}
	judgeOrders(j.h, j.o.Patience, j.f)
}

func (j *judge) result() Result {
	r := Result{Events: j.events, Broken: j.f.broken, Violations: j.f.told()}
	for _, c := range j.h.Clients() {
		opened := 0
		for i := range c.Log {
			switch c.Log[i].Kind {
			case history.Event:
				r.Deliveries++
			case history.Opened:
				opened++
			}
		}
		r.Reconnects += max(0, opened-1)
	}
	for _, name := range Rules() {
		r.Looked = append(r.Looked, Looked{name, j.f.looked[name]})
	}
	return r
}

// findings are what the rules found.
type findings struct {
	looked map[string]int
	count  map[string]int
	broken int
	first  []Violation
}

// most is how many violations of a rule are told in words.
const most = 20

func newFindings() *findings { return &findings{looked: map[string]int{}, count: map[string]int{}} }

func (f *findings) look(rule string) { f.looked[rule]++ }

func (f *findings) add(rule, format string, args ...any) {
	f.broken++
	if f.count[rule]++; f.count[rule] <= most {
		f.first = append(f.first, Violation{rule, fmt.Sprintf(format, args...)})
	}
}

// blind adds a violation for each rule that looked at nothing: it could not have failed.
func (f *findings) blind(withoutProgram bool) {
	for _, name := range Rules() {
		if name == ruleProgram && withoutProgram {
			continue
		}
		if f.looked[name] == 0 {
			f.add(name, "the rule looked at nothing, so it shows nothing: the run was too short for it, or its users never did what it is about")
		}
	}
}

func (f *findings) told() []Violation {
	all := slices.Clone(f.first)
	for _, name := range Rules() {
		if n := f.count[name]; n > most {
			all = append(all, Violation{name, fmt.Sprintf("and %d more", n-most)})
		}
	}
	return all
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/orderlog/orderlog/faults/check"
	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/faults/nemesis"
	"github.com/orderlog/orderlog/faults/soak"
)

// result is the outcome of a run.
type result struct {
	judged       bool // else it was broken off, and nothing below says that all was well
	seed         uint64
	injected     int
	commands     int
	checked      check.Result
	violations   []check.Violation
	broken       int           // in all; only some are told
	impossible   []string      // faults that could not be injected here, and why
	notes        []string      // that are worth telling and no violations
	began, ended time.Duration // of what was broken
}

func (r *result) violate(rule, format string, args ...any) {
	r.violations = append(r.violations, check.Violation{Rule: rule, Text: fmt.Sprintf(format, args...)})
	r.broken++
}

// take takes in what the checker found, and what the nodes showed themselves.
func (r *result) take(a *attempt, found check.Result) {
	r.judged, r.seed, r.injected, r.commands, r.checked = true, a.seed, effective(a.history.Faults()), len(a.history.Commands()), found
	r.violations = append(r.violations, found.Violations...)
	r.broken += found.Broken
	for _, c := range a.cluster.Complaints() {
		r.violate("node", "%s", c)
	}
	if n := a.crowd.Skipped(); n > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%d commands were not tried because too many were under way", n))
	}
	a.judgeProgress()
	a.judgeSilence()
	if len(a.faults) > 0 {
		return
	}
	// Clients go from one node to another as they like, so what one of them uses may rise while the others' falls.
	switch verdict := soak.Together("all nodes", a.watches...); {
	case !verdict.Judged() || verdict.Steady():
		r.notes = append(r.notes, verdict.String())
	default:
		r.violate("steady", "%s", verdict)
	}
}

func (r *result) line() string {
	return fmt.Sprintf("FAULTS seed=%d injected=%d commands=%d deliveries=%d reconnects=%d violations=%d",
		r.seed, r.injected, r.commands, r.checked.Deliveries, r.checked.Reconnects, r.broken)
}

// markdown is the longer report.
func (r *result) markdown(a *attempt) string {
	var b strings.Builder
	h := a.history
	outcome := "`" + r.line() + "`"
	if !r.judged {
		outcome = fmt.Sprintf("**Not judged**: the run, of seed %d, was broken off. Only what was seen before that is told.", a.seed)
	}
	fmt.Fprintf(&b, "# A run of the fault suite\n\n%s\n\n", outcome)
	fmt.Fprintf(&b, "%d nodes, %d clients, %g commands a second, for %v. The log has %d events.\n", a.nodes, a.clients, a.rate, a.span, r.checked.Events)
	fmt.Fprintf(&b, "Commands were acknowledged in %.0f%% of the seconds in which things were broken.\n", 100*r.progress(h))

	b.WriteString("\n## What was broken\n\n| Kind | Times | Effect | Longest |\n|---|---:|---|---:|\n")
	names, count := nemesis.Tally(h.Faults())
	var never, missed []string
	for _, name := range names {
		var longest time.Duration
		for _, f := range h.Faults() {
			if f.Kind == name {
				longest = max(longest, f.Ended-f.Began)
			}
		}
		words, some := effects(h.Faults(), name)
		if !some {
			missed = append(missed, name)
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %.1f s |\n", name, count[name], words, longest.Seconds())
	}
	if len(missed) > 0 {
		fmt.Fprintf(&b, "\nNot effective, because there was nothing to strike: %s.\n", strings.Join(missed, ", "))
	}
	for _, name := range a.faults {
		if count[name] == 0 {
			never = append(never, name)
		}
	}
	if len(never) > 0 {
		fmt.Fprintf(&b, "\nThere was no time for %s.\n", strings.Join(never, ", "))
	}
	for _, why := range append(r.impossible, "PostgreSQL's own clock: it is the machine's, which is left alone; the nodes' clocks are set instead") {
		fmt.Fprintf(&b, "\nNot broken: %s.\n", why)
	}

	b.WriteString("\n## Commands\n\n| Command | Acknowledged | Refused | Unknown to the end | Attempts |\n|---|---:|---:|---:|---:|\n")
	tally(&b, h)
	b.WriteString("\n## What clients were told\n\n| Transport | Clients | Events | Connections |\n|---|---:|---:|---:|\n")
	told(&b, h)

	b.WriteString("\n## What was checked\n\n| Rule | Looked at |\n|---|---:|\n")
	for _, l := range r.checked.Looked {
		fmt.Fprintf(&b, "| %s | %d |\n", l.Rule, l.N)
	}
	b.WriteString("\n## Violations\n")
	if !r.judged {
		b.WriteString("\nNot judged.\n")
	} else {
		fmt.Fprintf(&b, "\n%d.\n", r.broken)
	}
	for _, v := range r.violations {
		fmt.Fprintf(&b, "\n- %s: %s\n", v.Rule, v.Text)
	}
	for _, n := range r.notes {
		fmt.Fprintf(&b, "\nNote: %s\n", n)
	}
	return b.String()
}

// progress is the part of the seconds in which something was acknowledged.
func (r *result) progress(h *history.History) float64 {
	seconds := make(map[int]bool)
	for _, c := range h.Commands() {
		if at := c.Acknowledged(); at != nil && at.Ended >= r.began && at.Ended < r.ended {
			seconds[int((at.Ended-r.began)/time.Second)] = true
		}
	}
	return float64(len(seconds)) / max(1, (r.ended-r.began).Seconds())
}

func tally(b *strings.Builder, h *history.History) {
	type row struct{ acknowledged, refused, unknown, attempts int }
	rows := make(map[string]row)
	for _, c := range h.Commands() {
		r := rows[c.Name]
		switch {
		case c.Acknowledged() != nil:
			r.acknowledged++
		case c.MayBeStored():
			r.unknown++
		default:
			r.refused++
		}
		r.attempts += len(c.Attempts)
		rows[c.Name] = r
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		r := rows[name]
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d |\n", name, r.acknowledged, r.refused, r.unknown, r.attempts)
	}
}

func told(b *strings.Builder, h *history.History) {
	type row struct{ clients, events, connections int }
	rows := make(map[string]row)
	for _, c := range h.Clients() {
		r := rows[c.Transport]
		r.clients++
		for i := range c.Log {
			switch c.Log[i].Kind {
			case history.Event:
				r.events++
			case history.Opened:
				r.connections++
			}
		}
		rows[c.Transport] = r
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		r := rows[name]
		fmt.Fprintf(b, "| %s | %d | %d | %d |\n", name, r.clients, r.events, r.connections)
	}
}

// writeHistory writes what happened, a line each.
func writeHistory(path string, h *history.History) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	to := json.NewEncoder(f)
	for _, v := range h.Faults() {
		err = errors.Join(err, to.Encode(map[string]any{"fault": v}))
	}
	for _, v := range h.Commands() {
		err = errors.Join(err, to.Encode(map[string]any{"command": v}))
	}
	for _, v := range h.Reads() {
		err = errors.Join(err, to.Encode(map[string]any{"read": v}))
	}
	for _, v := range h.Clients() {
		err = errors.Join(err, to.Encode(map[string]any{"client": v}))
	}
	return err
}

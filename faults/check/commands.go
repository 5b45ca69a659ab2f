package check

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// commandRule compares what users were answered with what is in the log.
type commandRule struct {
	f      *findings
	h      *history.History
	stored map[string]*stored // by the correlation id
	keys   map[[2]string]*stored
	places map[string]*stored // of couriers, by what is said of them
	last   *stored
	idle   []*history.Command // acknowledged without events as far as seen, by the seq that was answered
	asIs   map[string]bool    // whether there was nothing to do for a command of idle
}

// stored are the events of a command.
type stored struct {
	id          string
	first, last int64
	at          time.Time
	made        []made
}

type made struct {
	typ, subject, refund string
	amount               int64
}

func newCommandRule(h *history.History, f *findings) *commandRule {
	r := &commandRule{f: f, h: h, stored: map[string]*stored{}, keys: map[[2]string]*stored{}, places: map[string]*stored{}, asIs: map[string]bool{}}
	for _, c := range h.Commands() {
		if k, known := kinds[c.Name]; known && k.idle != nil && c.Acknowledged() != nil {
			r.idle = append(r.idle, c)
		}
	}
	slices.SortFunc(r.idle, func(a, b *history.Command) int { return cmp.Compare(a.Acknowledged().Seq, b.Acknowledged().Seq) })
	return r
}

func (r *commandRule) event(e *event, w *world) {
	r.settleIdle(e.seq, w)
	if e.reaction() {
		r.last = nil
		return
	}
	id := strings.ToLower(e.meta.CorrelationID)
	s := r.stored[id]
	if s == nil {
		s = &stored{id: id, first: e.seq, at: e.at}
		r.stored[id] = s
	} else if s != r.last || !s.at.Equal(e.at) {
		r.f.add(ruleOnce, "command %s is in the log from seq %d on, in a commit of %s, and again at seq %d", id, s.first, s.at.Format(time.RFC3339Nano), e.seq)
	}
	s.last = e.seq
	s.made = append(s.made, made{e.typ, subjectOf(&e.body, e.typ), e.body.RefundID, e.body.Amount})
	if e.typ == courierLocated {
		r.places[placeOf(&e.body)] = s
	}
	if e.meta.IdempotencyKey != "" {
		key := [2]string{e.meta.UserID, e.meta.IdempotencyKey}
		if before := r.keys[key]; before != nil && before != s {
			r.f.add(ruleOnce, "key %q of %s was used by command %s at seq %d and again by %s at seq %d", key[1], key[0], before.id, before.first, id, e.seq)
		}
		r.keys[key] = s
	}
	r.last = s
}

// settleIdle looks whether there was nothing to do for the commands that were answered before seq, with the world as
// it was for them.
func (r *commandRule) settleIdle(seq int64, w *world) {
	for len(r.idle) > 0 && r.idle[0].Acknowledged().Seq < seq {
		c := r.idle[0]
		r.idle = r.idle[1:]
		r.asIs[c.ID] = kinds[c.Name].idle(c, w)
	}
}

// subjects are what the events are about that commands make, as those name it.
var subjects = func() map[string]func(*body) string {
	m := map[string]func(*body) string{}
	for _, k := range kinds {
		for _, typ := range k.makes {
			m[typ] = k.subject
		}
	}
	return m
}()

func subjectOf(b *body, typ string) string {
	if subject := subjects[typ]; subject != nil {
		return subject(b)
	}
	return ""
}

func (r *commandRule) end(w *world) {
	r.settleIdle(1<<62, w)
	asked := map[*stored]bool{}
	for _, c := range r.h.Commands() {
		k, known := kinds[c.Name]
		if !known {
			r.f.add(ruleAcknowledged, "the checker does not know what %q is, of command %s: tell it", c.Name, c.ID)
			continue
		}
		s := r.of(c)
		asked[s] = true
		r.judgeOnce(c, k, s)
		if ack := c.Acknowledged(); ack != nil {
			r.judgeAcknowledged(c, k, s, ack)
		} else if !c.MayBeStored() {
			r.f.look(ruleRefused)
			if s != nil {
				r.f.add(ruleRefused, "%s was refused (%s), and is in the log at seq %d to %d", words(c), codes(c), s.first, s.last)
			}
		}
	}
	for id, s := range r.stored {
		if !asked[s] {
			r.f.add(ruleOnce, "command %q is in the log at seq %d to %d as %s, and nobody asked for it", id, s.first, s.last, s.made[0].typ)
		}
	}
	r.judgeOrder()
}

// of is what is in the log of a command. What was said over a socket has no id there, and is known by its place.
func (r *commandRule) of(c *history.Command) *stored {
	if c.Wanted["over"] != "" {
		return r.places[strings.Join([]string{c.User, strings.ToLower(c.Subject), c.Wanted["latitude"], c.Wanted["longitude"]}, " ")]
	}
	return r.stored[strings.ToLower(c.ID)]
}

func placeOf(b *body) string {
	return fmt.Sprint(b.AgentID, " ", strings.ToLower(b.OrderID), " ", b.Latitude, " ", b.Longitude)
}

func (r *commandRule) judgeOnce(c *history.Command, k kind, s *stored) {
	r.f.look(ruleOnce)
	done := false
	for _, a := range c.Attempts {
		if done && a.Outcome == history.Acknowledged && !a.Replayed {
			r.f.add(ruleOnce, "%s was acknowledged, and was answered as if it were new when it was asked for again at %s", words(c), a.Began)
		}
		done = done || a.Outcome == history.Acknowledged
	}
	if s == nil {
		return
	}
	// With a payment all refunds come in that the provider has told of before.
	times := map[made]int{}
	for _, m := range s.made {
		if slices.Contains(k.makes, m.typ) {
			times[made{typ: m.typ, refund: m.refund}]++
		}
	}
	for m, n := range times {
		if n > 1 {
			r.f.add(ruleOnce, "%s made %d × %s at seq %d to %d", words(c), n, m.typ, s.first, s.last)
		}
	}
}

func (r *commandRule) judgeAcknowledged(c *history.Command, k kind, s *stored, ack *history.Attempt) {
	r.f.look(ruleAcknowledged)
	if s == nil && ack.Replayed { // what it repeats may have been asked for under another id
		s = r.keys[[2]string{c.User, c.Key}]
		if s == nil {
			s = r.repeated(c, ack.Seq)
		}
	}
	if s == nil {
		if k.idle == nil || !r.asIs[c.ID] {
			r.f.add(ruleAcknowledged, "%s was acknowledged with X-Seq %d by node %d at %s, and is not in the log", words(c), ack.Seq, ack.Node, ack.Ended)
		}
		return
	}
	i := slices.IndexFunc(s.made, func(m made) bool { return slices.Contains(k.makes, m.typ) })
	switch {
	case i < 0:
		r.f.add(ruleAcknowledged, "%s was acknowledged, and is in the log at seq %d as %s", words(c), s.first, s.made[0].typ)
	case c.Subject != "" && s.made[i].subject != "" && !strings.EqualFold(s.made[i].subject, c.Subject):
		r.f.add(ruleAcknowledged, "%s was acknowledged, and is in the log at seq %d for %s", words(c), s.first, s.made[i].subject)
	case c.Wanted["amount"] != "" && c.Wanted["amount"] != strconv.FormatInt(s.made[i].amount, 10) && s.made[i].typ != paymentFailed:
		r.f.add(ruleAcknowledged, "%s of %s was acknowledged, and is in the log at seq %d with %d", words(c), c.Wanted["amount"], s.first, s.made[i].amount)
	case c.Wanted["kept"] == "false":
		r.f.add(ruleAcknowledged, "%s was not kept, as it was answered, and is in the log at seq %d", words(c), s.first)
	}
	for _, a := range c.Attempts {
		if a.Outcome == history.Acknowledged && a.Seq != s.last {
			r.f.add(ruleAcknowledged, "%s was acknowledged with X-Seq %d by node %d at %s, and its last event is %d", words(c), a.Seq, a.Node, a.Ended, s.last)
		}
	}
}

// repeated is the command of a webhook's event id, which no user has.
func (r *commandRule) repeated(c *history.Command, last int64) *stored {
	for _, key := range []string{c.Key, c.Wanted["eventId"]} {
		if key == "" {
			continue
		}
		for user, s := range r.keys {
			if user[1] == key && s.last == last {
				return s
			}
		}
	}
	return nil
}

// judgeOrder: the log has commands in an order that users can have seen.
func (r *commandRule) judgeOrder() {
	type span struct {
		c           *history.Command
		first, last int64
		at          time.Duration
	}
	var begun, ended []span
	for _, c := range r.h.Commands() {
		s := r.of(c)
		if s == nil || len(c.Attempts) == 0 {
			continue
		}
		begun = append(begun, span{c, s.first, s.last, c.Attempts[0].Began})
		if ack := c.Acknowledged(); ack != nil {
			ended = append(ended, span{c, s.first, s.last, ack.Ended})
		}
	}
	byTime := func(a, b span) int { return cmp.Compare(a.at, b.at) }
	slices.SortFunc(begun, byTime)
	slices.SortFunc(ended, byTime)
	var newest span
	for _, b := range begun {
		for len(ended) > 0 && ended[0].at < b.at {
			if ended[0].last > newest.last {
				newest = ended[0]
			}
			ended = ended[1:]
		}
		r.f.look(ruleOrder)
		if b.first <= newest.last {
			r.f.add(ruleOrder, "%s began at %s, after %s had been acknowledged, and has seq %d, before %d", words(b.c), b.at, words(newest.c), b.first, newest.last)
		}
	}
}

// words name a command for those who look for it.
func words(c *history.Command) string {
	text := c.Name + " " + c.ID + " of " + c.User
	if c.Subject != "" {
		text += " for " + c.Subject
	}
	return text
}

func codes(c *history.Command) string {
	var all []string
	for _, a := range c.Attempts {
		all = append(all, cmp.Or(a.Code, "no code"))
	}
	return strings.Join(all, ", ")
}

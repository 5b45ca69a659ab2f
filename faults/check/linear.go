package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/orderlog/orderlog/faults/history"
)

// asked is what was done to an order, or seen of it, as its users know it: the log has no part in this.
type asked struct {
	name       string // of the command; "read"
	role, user string
	to         string // status, or the courier
	outcome    history.Outcome
	status     string // of a read
	agent      string
}

// orderLife is the state of an order in the sequential specification.
type orderLife struct{ status, agent string }

func (s orderLife) final() bool { return s.status == "delivered" || s.status == "cancelled" }

// legal says whether a command can be carried out, and what becomes of the order then.
func (s orderLife) legal(a asked) (orderLife, bool) {
	switch a.name {
	case "order.place":
		return orderLife{status: "placed"}, s.status == ""
	case "order.status":
		next := orderLife{a.to, s.agent}
		if steps[s.status] != a.to || a.to == "" {
			return s, false
		}
		return next, a.role == "admin" || s.agent == a.user
	case "order.cancel":
		early := s.status == "placed" || s.status == "confirmed"
		return orderLife{"cancelled", s.agent}, early || (a.role == "admin" && s.status != "" && !s.final())
	case "order.assign":
		return orderLife{s.status, a.to}, s.status != "" && !s.final()
	}
	return s, false
}

// orderModel: what was acknowledged was possible, what was refused was not, and what nobody knows of may have been
// carried out at any time since, or never: it ends behind everything else, where nobody sees whether it was.
var orderModel = porcupine.Model{
	Init: func() any { return orderLife{} },
	Step: func(state, input, _ any) (bool, any) {
		s, _ := state.(orderLife)
		a, _ := input.(asked)
		if a.name == "read" {
			return s == orderLife{a.status, a.agent}, s
		}
		next, legal := s.legal(a)
		switch a.outcome {
		case history.Acknowledged:
			return legal, next
		case history.Refused:
			return !legal, s
		}
		if legal {
			return true, next
		}
		return true, s
	},
}

// judgeOrders looks, for each order, for an order of what was done to it that explains all answers.
func judgeOrders(h *history.History, patience time.Duration, f *findings) {
	byOrder := map[string][]porcupine.Operation{}
	began := map[int64]time.Duration{} // by the seq that was answered
	for _, c := range h.Commands() {
		// A command that may have had nothing to do can be answered with a seq from long before it.
		if ack := c.Acknowledged(); ack != nil && !ack.Replayed && kinds[c.Name].idle == nil {
			began[ack.Seq] = c.Attempts[0].Began
		}
		if c.Subject != "" {
			byOrder[c.Subject] = append(byOrder[c.Subject], operations(c)...)
		}
	}
	for _, r := range h.Reads() {
		since, known := began[r.MinSeq]
		if r.What != "order" || r.Status != http.StatusOK || !known {
			continue // it may be of any time
		}
		var doc struct{ Status, AgentID string }
		if json.Unmarshal(r.Body, &doc) != nil {
			continue // is found where reads are compared
		}
		byOrder[r.Subject] = append(byOrder[r.Subject], porcupine.Operation{
			// What is seen was so at some moment since the command began that the reader wanted to see.
			Input: asked{name: "read", status: doc.Status, agent: doc.AgentID}, Call: int64(since), Return: int64(r.Ended),
		})
	}
	for id, ops := range byOrder {
		if len(ops) == 0 {
			continue
		}
		f.look(ruleLinear)
		switch porcupine.CheckOperationsTimeout(orderModel, ops, patience) {
		case porcupine.Illegal:
			f.add(ruleLinear, "no order explains the %d answers about order %s:%s", len(ops), id, retold(ops))
		case porcupine.Unknown:
			f.add(ruleLinear, "could not judge the %d answers about order %s within %s", len(ops), id, patience)
		case porcupine.Ok:
		}
	}
}

// retold is what was done to an order, by the time when it began.
func retold(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, op := range ops {
		a, _ := op.Input.(asked)
		outcome := []string{"unknown", "acknowledged", "refused"}[a.outcome]
		if a.name == "read" {
			outcome = fmt.Sprintf("%s with courier %q", a.status, a.agent)
		}
		end := "?"
		if op.Return != math.MaxInt64 {
			end = time.Duration(op.Return).String()
		}
		fmt.Fprintf(&b, "\n\t%s to %s: %s %s by %s: %s", time.Duration(op.Call), end, a.name, a.to, a.user, outcome)
	}
	return b.String()
}

// operations are what a command says about its order.
func operations(c *history.Command) []porcupine.Operation {
	a := asked{name: c.Name, role: c.Role, user: c.User}
	switch c.Name {
	case "order.place", "order.cancel":
	case "order.status":
		a.to = c.Wanted["status"]
	case "order.assign":
		a.to = c.Wanted["agent"]
	default:
		return nil
	}
	if ack := c.Acknowledged(); ack != nil {
		a.outcome = history.Acknowledged
		return []porcupine.Operation{{Input: a, Call: int64(c.Attempts[0].Began), Return: int64(ack.Ended)}}
	}
	var ops []porcupine.Operation
	unknown := false
	for _, t := range c.Attempts {
		switch {
		case t.Outcome == history.Unknown && !unknown:
			unknown = true
			ops = append(ops, porcupine.Operation{Input: a, Call: int64(t.Began), Return: math.MaxInt64})
		case t.Outcome == history.Refused && (t.Code == "invalid_transition" || t.Code == "order_not_active"):
			refused := a
			refused.outcome = history.Refused
			ops = append(ops, porcupine.Operation{Input: refused, Call: int64(t.Began), Return: int64(t.Ended)})
		}
	}
	return ops
}

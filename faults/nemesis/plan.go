// Package nemesis decides what is broken when, and breaks it.
package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault is something that is to be broken.
type Fault struct {
	Kind   string
	Node   int           // -1: none in particular
	At     time.Duration // after the beginning
	For    time.Duration // how long it stays broken
	Amount time.Duration // a latency, or how far a clock is set
}

func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%7.2fs %-22s", f.At.Seconds(), f.Kind)
	if f.Node >= 0 {
		fmt.Fprintf(&b, " node %d", f.Node)
	}
	if f.For > 0 {
		fmt.Fprintf(&b, " for %.2fs", f.For.Seconds())
	}
	if f.Amount > 0 {
		fmt.Fprintf(&b, " by %v", f.Amount)
	}
	return b.String()
}

// stream keeps the random numbers of the plan apart from those of others with the same seed.
const stream = 0x6e656d6573697321

const (
	quietLeast = time.Second
	quietMost  = 2 * time.Second
	longest    = 10 // times that the longest fault fits into the span, so that several kinds do
)

// Plan decides what is broken in a span of time, by nothing but its arguments. One or two faults at a time, quiet between,
// so that there is progress to be lost. Each kind comes once before one comes again.
func Plan(seed uint64, span time.Duration, nodes int, names []string) (plan []Fault) {
	if len(names) == 0 {
		return nil
	}
	p := planner{random: rand.New(rand.NewPCG(seed, stream)), nodes: nodes, names: names, most: span / longest}
	for at := p.between(time.Second, quietLeast); ; {
		var round []Fault
		round = append(round, p.draw(at, nil))
		if p.random.IntN(4) > 0 {
			if f := p.draw(at+p.between(0, time.Second), round); !f.conflicts(round[0], nodes) {
				round = append(round, f)
			} else {
				p.deck = append(p.deck, f.Kind) // for later
			}
		}
		end := at
		for _, f := range round {
			end = max(end, f.At+f.For)
		}
		if end > span {
			return plan
		}
		plan = append(plan, round...)
		at = end + p.between(quietLeast, quietMost)
	}
}

type planner struct {
	random *rand.Rand
	nodes  int
	names  []string
	deck   []string
	most   time.Duration
}

// draw takes the next kind.
func (p *planner) draw(at time.Duration, others []Fault) Fault {
	if len(p.deck) == 0 {
		p.deck = slices.Clone(p.names)
		p.random.Shuffle(len(p.deck), func(i, j int) { p.deck[i], p.deck[j] = p.deck[j], p.deck[i] })
	}
	k := kindOf(p.deck[0])
	p.deck = p.deck[1:]
	f := Fault{Kind: k.name, Node: -1, At: at, For: p.between(min(k.least, p.most), min(k.most, p.most))}
	if k.part.ofNode() {
		f.Node = p.random.IntN(p.nodes)
		if len(others) > 0 && f.Node == others[0].Node { // another one: that is harder
			f.Node = (f.Node + 1) % p.nodes
		}
	}
	switch {
	case k.part == clocks:
		f.Amount = clockSteps[p.random.IntN(len(clockSteps))]
	case strings.HasSuffix(k.name, ".slow"):
		f.Amount = p.between(50*time.Millisecond, 400*time.Millisecond)
	}
	return f
}

// between is a random time in whole milliseconds.
func (p *planner) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(p.random.Int64N(int64(most-least)+1))).Truncate(time.Millisecond)
}

// parts are those that a fault breaks, by name.
func (f Fault) parts(nodes int) []string {
	k := kindOf(f.Kind)
	switch {
	case k.part == everyone: // with PostgreSQL
		all := []string{string(postgres)}
		for n := range nodes {
			all = append(all, fmt.Sprint(process, n))
		}
		return all
	case k.part.ofNode():
		return []string{fmt.Sprint(k.part, f.Node)}
	}
	return []string{string(k.part)}
}

func (f Fault) conflicts(g Fault, nodes int) bool {
	theirs := g.parts(nodes)
	return slices.ContainsFunc(f.parts(nodes), func(p string) bool { return slices.Contains(theirs, p) })
}

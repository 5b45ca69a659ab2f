package crowd

import (
	"math/rand/v2"
	"time"
)

// kind is what a user tries.
type kind int

const (
	place kind = iota
	step
	rush // two admins want different things of one order at the same moment, at two nodes
	assign
	reassign
	cancel
	pay
	webhook
	collect
	refund
	setStatus
	locate
	makeOffer
	changeOffer
	withdrawOffer
	changeProduct
	sendEntry
	readEntry
	closeShop
	look
	kinds int = iota
)

// weights say how often each kind is tried, of their sum.
var weights = [kinds]int{
	place: 130, step: 360, rush: 25, assign: 95, reassign: 15, cancel: 25,
	pay: 90, webhook: 75, collect: 30, refund: 25, setStatus: 20, locate: 60,
	makeOffer: 8, changeOffer: 8, withdrawOffer: 4, changeProduct: 8,
	sendEntry: 12, readEntry: 15, closeShop: 2, look: 40,
}

// attempt is what is tried next. It depends on the seed alone: which order it comes down to is chosen by which among
// those that are fit for it when its time has come.
type attempt struct {
	after    time.Duration // the one before
	kind     kind
	which    uint64
	variants rand.PCG // of the numbers that the attempt needs beyond that
	careless bool     // also something that others are busy with
	keyless  bool     // asked once, without a key
}

// plan makes attempts one after another.
type plan struct {
	arrivals, choices *rand.Rand
	rate              float64
}

func newPlan(seed uint64, rate float64) *plan {
	return &plan{arrivals: random(seed, ofArrivals), choices: random(seed, ofPlan), rate: rate}
}

// next is the next attempt. Users come when they like, and not on the beat.
func (p *plan) next() attempt {
	a := attempt{
		after:    time.Duration(p.arrivals.ExpFloat64() / p.rate * float64(time.Second)),
		kind:     p.kind(),
		which:    p.choices.Uint64(),
		variants: *rand.NewPCG(p.choices.Uint64(), p.choices.Uint64()),
	}
	a.careless = p.choices.IntN(12) == 0
	a.keyless = p.choices.IntN(10) == 0
	return a
}

func (p *plan) kind() kind {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := p.choices.IntN(sum)
	for k, w := range weights {
		if n -= w; n < 0 {
			return kind(k)
		}
	}
	panic("crowd: weights do not add up")
}

package main

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	overloadConnections = 4000 // at most; a request that finds none free waits for one
	overloadPatience    = 20 * time.Second
)

// offered is what became of the requests of a while.
type offered struct {
	took     []time.Duration // of what was accepted, sorted
	refusals []time.Duration // of what was refused, sorted
	late     []time.Duration // of all: how long after it was due a request went out; sorted
	failed   int
	why      error // of one that failed

	elapsed     time.Duration
	memory      int64         // bytes, the most the node had
	node, own   time.Duration // of processors
	connections int           // that the generator needed
}

func (o *offered) perSecond(n int) float64 { return float64(n) / o.elapsed.Seconds() }

// together is what became of the requests of several whiles.
func together(whiles []*offered) *offered {
	all := &offered{}
	for _, o := range whiles {
		all.took, all.refusals, all.failed = append(all.took, o.took...), append(all.refusals, o.refusals...), all.failed+o.failed
	}
	slices.Sort(all.took)
	slices.Sort(all.refusals)
	return all
}

// limited says where it was not the node that kept requests waiting.
func (o *offered) limited() string {
	if percentile(o.late, .99) < 50*time.Millisecond {
		return ""
	}
	return ": the generator was the limit, and its own delay is in the times"
}

// count takes note of a request.
func (o *offered) count(at, sent time.Time, status int, err error) {
	took := time.Since(at)
	o.late = append(o.late, sent.Sub(at))
	switch {
	case err != nil:
		o.failed, o.why = o.failed+1, err
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		o.refusals = append(o.refusals, took)
	default:
		o.took = append(o.took, took)
	}
}

// offer has requests come at a rate for a while, and waits until each has its answer. There are as many clients that none
// waits for another, as far as may be.
func (n *overloaded) offer(ctx context.Context, rate float64, during time.Duration) (*offered, error) {
	total := int(rate * during.Seconds())
	o, due := &offered{}, make(chan time.Time, total)
	var mu sync.Mutex
	var busy atomic.Int64
	var clients sync.WaitGroup
	client := func() {
		w := n.borrow()
		defer func() { n.giveBack(w) }()
		for at := range due {
			busy.Add(1)
			sent := time.Now()
			status, err := w.ask(n, at.Add(overloadPatience))
			mu.Lock()
			o.count(at, sent, status, err)
			mu.Unlock()
			busy.Add(-1)
		}
	}
	stopLooking := n.look(o)
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < total && ctx.Err() == nil; <-tick.C {
		for ; sent < total && time.Since(began).Seconds()*rate >= float64(sent); sent++ {
			due <- began.Add(time.Duration(float64(sent) / rate * float64(time.Second)))
			if o.connections < overloadConnections && int64(len(due))+busy.Load() > int64(o.connections) {
				o.connections++
				clients.Go(client)
			}
		}
	}
	close(due)
	clients.Wait()
	o.elapsed = time.Since(began)
	stopLooking()
	for _, times := range [][]time.Duration{o.took, o.refusals, o.late} {
		slices.Sort(times)
	}
	return o, ctx.Err()
}

// look watches the node while it is loaded.
func (n *overloaded) look(o *offered) (stop func()) {
	own, node := ownTime(), n.worked()
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if resident, err := n.server.resident(); err == nil {
				o.memory = max(o.memory, resident)
			}
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(ended)
		<-done
		o.node, o.own = n.worked()-node, ownTime()-own
	}
}

func (n *overloaded) worked() time.Duration {
	worked, _ := n.server.worked() // 0 where the system does not say
	return worked
}

func ownTime() time.Duration {
	var own syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil {
		return 0
	}
	return time.Duration(own.Utime.Nano() + own.Stime.Nano())
}

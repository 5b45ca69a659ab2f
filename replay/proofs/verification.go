package proofs

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/domain"
)

// keepReport is how long a report that nobody has taken yet is kept for whoever asked for it and went away to come back.
const keepReport = 5 * time.Minute

// Verification is a [Report], or how far it is.
type Verification struct {
	Done    bool
	Checked int64 // events so far
	Of      int64
	Report  Report // when Done
}

// verifications are those that are asked for over the network: one at a time, carried out by Run.
type verifications struct {
	wanted  chan *verification
	stopped chan struct{} // closed when Run has ended

	mu     sync.Mutex
	newest *verification // under way, or done and not taken yet; nil: none
}

type verification struct {
	checked, of atomic.Int64
	done        chan struct{}
	// What follows is set before done is closed.
	report  Report
	err     error
	endedAt time.Time
}

func newVerifications() *verifications {
	return &verifications{wanted: make(chan *verification, 1), stopped: make(chan struct{})}
}

func (n *Notary) runVerifications(ctx context.Context) {
	defer close(n.verifications.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case v := <-n.verifications.wanted:
			v.report, v.err = n.Verify(ctx, func(done, of int64) {
				v.checked.Store(done)
				v.of.Store(of)
			})
			v.endedAt = time.Now()
			close(v.done)
			if v.err == nil && !v.report.OK {
				n.log.Error("the log is not as it should be", "problems", len(v.report.Problems), "first", v.report.Problems[0].Detail)
			}
		}
	}
}

// Verification waits for a verification by this node, the one under way or a new one, which Run carries out. When ctx ends
// before, it says how far it is: ask again, and the report is there when it is done. The next who asks after a report was
// given begins anew.
//
// Errors: [domain.CodeUnavailable] when Run does not run any more, and what kept the verification from being done.
func (n *Notary) Verification(ctx context.Context) (Verification, error) {
	v := n.verifications.join()
	select {
	case <-v.done:
	case <-ctx.Done():
		select {
		case <-v.done:
		default:
			return Verification{Checked: v.checked.Load(), Of: v.of.Load()}, nil
		}
	case <-n.verifications.stopped:
		select {
		case <-v.done:
		default:
			return Verification{}, domain.Errorf(domain.CodeUnavailable, "The server is stopping; verify again in a moment.")
		}
	}
	n.verifications.taken(v)
	if v.err != nil {
		return Verification{}, v.err
	}
	return Verification{Done: true, Checked: v.report.Events, Of: v.report.Head, Report: v.report}, nil
}

// join returns the verification under way, or one that is done and that nobody has taken, or a new one.
func (vs *verifications) join() *verification {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if v := vs.newest; v != nil {
		select {
		case <-v.done:
			if time.Since(v.endedAt) < keepReport {
				return v
			}
		default:
			return v
		}
	}
	vs.newest = &verification{done: make(chan struct{})}
	vs.wanted <- vs.newest // has room: there is one at a time
	return vs.newest
}

func (vs *verifications) taken(v *verification) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.newest == v {
		vs.newest = nil
	}
}

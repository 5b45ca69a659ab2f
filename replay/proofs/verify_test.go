package proofs_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/replay/proofs"
)

func TestAGoodLogVerifies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.verify(t); !r.OK || r.Events != 0 || r.Head != 0 || len(r.Warnings) != 1 {
		t.Errorf("an empty log: %+v", r)
	}
	for range 7 {
		w.append(t, 700)
		w.project(t, 250)
		w.sign(t)
	}
	w.append(t, 50)
	var last [2]int64
	n := w.notary(t, nil)
	r, err := n.Verify(t.Context(), func(done, of int64) {
		if done > of || done < last[0] {
			t.Errorf("%d of %d after %d of %d", done, of, last[0], last[1])
		}
		last = [2]int64{done, of}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || r.Log != w.logID(t) || r.Events != 4950 || r.Head != 4950 || r.TreeSize != 4900 || r.Checkpoints != 7 ||
		r.FirstBadSeq != nil || r.Problems == nil || len(r.Problems)+len(r.Warnings) != 0 || r.StartedAt.IsZero() || r.Seconds <= 0 {
		t.Errorf("%+v", r)
	}
	if last != [2]int64{4950, 4950} {
		t.Errorf("the last progress was %v", last)
	}
	w.project(t, 1000)
	if c := w.sign(t); c.Root != r.Root {
		t.Errorf("the root of all events is %s, the verification says %s", c.Root, r.Root)
	}
}

func TestAGoodLogVerifiesWhileItGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 1000)
	w.project(t, 1000)
	w.sign(t)
	n := w.notary(t, nil)
	growing, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() {
		for growing.Err() == nil {
			w.append(t, 20)
		}
	})
	all.Go(func() {
		for growing.Err() == nil {
			w.projectOne(t, 70)
		}
	})
	all.Go(func() {
		for growing.Err() == nil {
			w.sign(t)
		}
	})
	before := int64(0)
	for range 15 {
		r, err := n.Verify(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK || len(r.Warnings) > 0 || r.Events != r.Head || r.Head < before {
			t.Fatalf("%+v", r)
		}
		before = r.Head
	}
}

// The server may end a session that is in a transaction and says nothing, and a node asks it to after 3 s. A verification
// is at other things than its transaction for as long as they take.
func TestAVerificationMayTakeItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 20)
	w.project(t, 10)
	other := w.pool
	w.pool = pgtest.Pool(t, w.url+"&idle_in_transaction_session_timeout=100")
	r, err := w.notary(t, nil).Verify(t.Context(), func(int64, int64) {
		parttest.Eventually(t, "its transaction is idle for longer than that, or is no more", func() bool {
			var patient bool
			err := other.QueryRow(t.Context(), `SELECT coalesce(bool_and(clock_timestamp() - state_change > '300 ms'), true)
				FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`).Scan(&patient)
			return err == nil && patient
		})
	})
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("%v; problems %v", err, r.Problems)
	}
}

func TestOneVerificationServesAllWhoAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 1000)
	n := w.notary(t, nil)
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := n.Verification(impatient); err != nil || v.Done {
		t.Errorf("without Run there is no report: %+v, %v", v, err)
	}
	stop := parttest.Run(t, n.Run)
	var first proofs.Report
	parttest.Eventually(t, "the report that was asked for", func() bool {
		v, err := n.Verification(impatient)
		if err != nil {
			t.Fatal(err)
		}
		first = v.Report
		return v.Done
	})
	if !first.OK || first.Events != 100 {
		t.Errorf("%+v", first)
	}
	w.tamper(t, `UPDATE events SET data = '{}' WHERE seq = 7`)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			v, err := n.Verification(t.Context())
			if err != nil || !v.Done || v.Report.OK || *v.Report.FirstBadSeq != 7 {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
	all.Wait()
	stop()
	if _, err := n.Verification(t.Context()); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("after the end: %v", err)
	}
}

func TestWhatCouldNotBeCheckedIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 1000)
	for name, change := range map[string]func(*proofs.Config){
		"no directory":  func(c *proofs.Config) { c.Dir = "" },
		"nothing in it": nil,
	} {
		r, err := w.notary(t, change).Verify(t.Context(), nil)
		if err != nil || !r.OK || len(r.Warnings) != 1 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	w.sign(t)
	r, err := w.notary(t, func(c *proofs.Config) { c.Key = "" }).Verify(t.Context(), nil)
	if err != nil || !r.OK || len(r.Warnings) != 1 || r.Checkpoints != 0 {
		t.Errorf("without a key: %+v, %v", r, err)
	}
	writeFile(t, w.dir+"/"+uuid.NewString()+".checkpoints", "")
	if r := w.verify(t); r.OK {
		t.Error("a file of another log is no problem")
	}
}

func TestALogWithHolesIsReadToTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 1000)
	w.project(t, 1000)
	w.sign(t)
	w.tamper(t, `DELETE FROM events WHERE seq % 3 = 0`, `UPDATE events SET type = 'x' WHERE seq = 998`)
	r := w.verify(t)
	if r.OK || r.Events != 667 || *r.FirstBadSeq != 3 || len(r.Problems) != 100 || len(r.Warnings) == 0 {
		t.Errorf("%d events, the first bad is %d: %d problems, %v", r.Events, *r.FirstBadSeq, len(r.Problems), r.Warnings)
	}
}

func TestAVerificationThatIsBrokenOffIsNoReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := w.notary(t, nil).Verify(ctx, nil); err == nil {
		t.Errorf("%+v", r)
	}
}

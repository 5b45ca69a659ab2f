package gate

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// enter has so many come, one after the other, and returns the order in which they are let in. Each leaves at once.
func enter(t *testing.T, g *Gate, many int) (order func() []int) {
	entered := make(chan int, many)
	for n := range many {
		go func() {
			p, err := g.Enter(t.Context())
			if err != nil {
				t.Errorf("%d, who waits, is refused: %v", n, err)
			}
			entered <- n
			p.Leave()
		}()
		synctest.Wait()
	}
	return func() (all []int) {
		for range many {
			all = append(all, <-entered)
		}
		return all
	}
}

func TestSoManyAreInsideAndSoManyWait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		waiting int
		want    []int
	}{
		"a short line is kept in order":      {3, []int{0, 1, 2}},
		"in a long one the newest are first": {4, []int{3, 0, 1, 2}},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := New(1, 4, time.Second)
			first, err := g.Enter(t.Context())
			if err != nil || !first.Inside() {
				t.Fatal(err)
			}
			order := enter(t, g, tc.waiting)
			if full := tc.waiting == 4; g.Full() != full {
				t.Errorf("%s: it says of being full: %t", name, !full)
			} else if began := time.Now(); full {
				if _, err := g.Enter(t.Context()); !errors.Is(err, ErrFull) || time.Since(began) > 0 {
					t.Errorf("%s: one too many: %v after %s", name, err, time.Since(began))
				}
			}
			first.Leave()
			first.Leave() // does no harm
			if got := order(); !slices.Equal(got, tc.want) {
				t.Errorf("%s: they came in as %v", name, got)
			}
			synctest.Wait()
			if g.Full() || g.free != 1 || g.waiting.Len() != 0 {
				t.Errorf("%s: %d places are free, %d wait", name, g.free, g.waiting.Len())
			}
		})
	}
}

func TestNobodyWaitsForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(1, 1, time.Second)
		p, _ := g.Enter(t.Context())
		defer p.Leave()
		began := time.Now()
		if _, err := g.Enter(t.Context()); !errors.Is(err, ErrFull) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := g.Enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("whose time is over: %v", err)
		}
	})
}

func TestWithoutAGateEverybodyIsLetIn(t *testing.T) {
	t.Parallel()
	var g *Gate
	p, err := g.Enter(t.Context())
	if err != nil || g.Full() {
		t.Error(err)
	}
	p.Leave()
}

func TestWhoStepsAsideLetsOthersIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(1, 4, time.Second)
		enters := func() *Place {
			t.Helper()
			p, err := g.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return &p
		}
		first := enters()
		back := first.Aside()
		if first.Aside()(); first.Inside() {
			t.Error("who is aside stepped aside once more, and came in")
		}
		second := enters()
		backAgain := second.Aside()
		third := enters()

		began := time.Now()
		back() // at once, with the third inside
		backAgain()
		if !first.Inside() || !second.Inside() || time.Since(began) > 0 {
			t.Errorf("back inside: %t, %t, after %s", first.Inside(), second.Inside(), time.Since(began))
		}
		order := enter(t, g, 1)
		third.Leave()
		first.Leave()
		synctest.Wait()
		if g.free != 0 || g.waiting.Len() != 1 {
			t.Errorf("with one inside %d places are free and %d wait", g.free, g.waiting.Len())
		}
		second.Leave()
		order()
		synctest.Wait()
		if g.free != 1 || g.aside != 0 {
			t.Errorf("in the end %d places are free, %d are aside", g.free, g.aside)
		}
	})
}

func TestSoManyStepAside(t *testing.T) {
	t.Parallel()
	g := New(1, 0, 0)
	for range maxAside {
		p, err := g.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Aside()()
	}
	p, err := g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Aside()()
	if !p.Inside() {
		t.Error("as many as may be are aside, and one more stepped aside")
	}
}

package gate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSoManyAreInsideAndSoManyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(1, 2, time.Second)
		first, err := g.Enter(t.Context())
		if err != nil || !first.Inside() {
			t.Fatal(err)
		}
		entered := make(chan int, 2)
		for n := range 2 {
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
		if !g.Full() {
			t.Error("it does not say that it is full")
		}
		began := time.Now()
		if _, err := g.Enter(t.Context()); !errors.Is(err, ErrFull) || time.Since(began) > 0 {
			t.Errorf("one too many: %v after %s", err, time.Since(began))
		}
		first.Leave()
		first.Leave() // does no harm
		if a, b := <-entered, <-entered; a != 0 || b != 1 {
			t.Errorf("they came in as %d, %d", a, b)
		}
		synctest.Wait()
		if g.Full() || len(g.places) != 0 || len(g.line) != 0 {
			t.Errorf("places %d, line %d are not given back", len(g.places), len(g.line))
		}
	})
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

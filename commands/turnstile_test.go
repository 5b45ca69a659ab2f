package commands_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

var contended = eventstore.StreamID{Type: "offer_tally", ID: uuid.UUID{1}}

// first takes the turn that is free.
func first(t *testing.T, turns *commands.Turnstile) (leave func()) {
	t.Helper()
	leave, err := commands.Enter(turns, t.Context(), contended)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

func TestTurnsComeInTheOrderOfAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns commands.Turnstile
		leave := first(t, &turns)
		var served []int
		for i := range 5 {
			go func() {
				leave, err := commands.Enter(&turns, t.Context(), contended)
				if err != nil {
					t.Error(err)
					return
				}
				served = append(served, i) // only one has the turn
				leave()
			}()
			synctest.Wait() // it stands in the line
		}
		if len(served) > 0 {
			t.Errorf("%v were served before their turn", served)
		}
		leave()
		synctest.Wait()
		if !slices.Equal(served, []int{0, 1, 2, 3, 4}) {
			t.Errorf("served in the order %v", served)
		}
		if n := commands.Lines(&turns); n != 0 {
			t.Errorf("%d lines are kept of which nobody is in", n)
		}
	})
}

func TestWhoGivesUpLeavesTheLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns commands.Turnstile
		leave := first(t, &turns)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := commands.Enter(&turns, ctx, contended)
		wantCode(t, err, domain.CodeUnavailable)

		start := time.Now()
		_, err = commands.Enter(&turns, t.Context(), contended)
		wantCode(t, err, domain.CodeOverloaded)
		if waited := time.Since(start); waited != commands.MaxTurnWait {
			t.Errorf("waited %s", waited)
		}
		leave()
		first(t, &turns)()
		if n := commands.Lines(&turns); n != 0 {
			t.Errorf("%d lines are left", n)
		}
	})
}

func TestALineHasAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns commands.Turnstile
		leave := first(t, &turns)
		for range commands.MaxInLine - 1 {
			go func() {
				leave, err := commands.Enter(&turns, t.Context(), contended)
				if err != nil {
					t.Error(err)
					return
				}
				leave()
			}()
		}
		synctest.Wait()
		start := time.Now()
		_, err := commands.Enter(&turns, t.Context(), contended)
		wantCode(t, err, domain.CodeOverloaded)
		if waited := time.Since(start); waited > 0 {
			t.Errorf("waited %s for a place in a full line", waited)
		}
		// Another stream has its own.
		other, err := commands.Enter(&turns, t.Context(), eventstore.StreamID{Type: "other"})
		if err != nil {
			t.Fatal(err)
		}
		other()
		leave()
		synctest.Wait()
	})
}

func TestAFreeTurnIsTakenWithoutALine(t *testing.T) {
	t.Parallel()
	var turns commands.Turnstile
	leave := commands.EnterIfFree(&turns, contended)
	if leave == nil {
		t.Fatal("nobody has the turn, and it was not given")
	}
	if again := commands.EnterIfFree(&turns, contended); again != nil {
		t.Error("two have the turn")
	}
	leave()
	first(t, &turns)()
}

package commands_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
)

// steps counts who has stepped aside.
type steps struct {
	mu           sync.Mutex
	aside, times int
	stepped      chan struct{} // told of each
}

func (s *steps) count(aside, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside += aside
	s.times += times
}

func (s *steps) now() (aside, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aside, s.times
}

func (s *steps) watch(ctx context.Context) context.Context {
	return commands.WithAside(ctx, func() (back func()) {
		s.count(1, 1)
		s.stepped <- struct{}{}
		return func() { s.count(-1, 0) }
	})
}

func TestACommandStepsAsideWhileTheProviderIsAsked(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	seen := steps{stepped: make(chan struct{}, 1)}
	s.bank.Meanwhile = func(context.Context) {
		if aside, _ := seen.now(); aside != 1 {
			t.Errorf("%d are aside while the provider is asked", aside)
		}
	}
	_, err := s.StartPayment(seen.watch(t.Context()), by(commands.Actor{UserID: o.CustomerID, Role: domain.RoleCustomer}),
		commands.StartPayment{OrderID: o.ID, Method: "card"})
	if aside, times := seen.now(); err != nil || aside != 0 || times != 1 {
		t.Errorf("%v; %d are still aside, it was stepped aside %d times", err, aside, times)
	}
}

func TestACommandStepsAsideWhileItWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	must(s.CreateOffer(t.Context(), by(admin), commands.CreateOffer{Terms: half()}))(t)
	wanted := s.wanted()
	wanted.OfferCode = "HALF"
	seen := steps{stepped: make(chan struct{}, 1)}
	var second sync.WaitGroup
	s.onNextAppend(func() { // the first, who has the turn and did not wait for it, is about to commit
		second.Go(func() {
			_, err := s.PlaceOrder(seen.watch(t.Context()), by(commands.Actor{UserID: "second", Role: domain.RoleCustomer}), wanted)
			if err != nil {
				t.Error(err)
			}
		})
		select {
		case <-seen.stepped:
		case <-time.After(30 * time.Second): // longer than a turn is waited for
			t.Error("it waits for its turn and did not step aside")
		}
	})
	if _, err := s.PlaceOrder(t.Context(), by(customer), wanted); err != nil {
		t.Error(err)
	}
	second.Wait()
	if aside, times := seen.now(); aside != 0 || times != 1 {
		t.Errorf("%d are still aside, it was stepped aside %d times", aside, times)
	}
}

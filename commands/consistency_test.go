package commands_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

func TestAPriceThatChangesBeforeTheCommitIsTheOneThatCounts(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.onNextAppend(func() { s.setPrice(s.dosa, 500) })
	out, err := s.PlaceOrder(t.Context(), by(customer), s.wanted())
	if err != nil {
		t.Fatal(err)
	}
	if out.Value.TotalAmount != 1000 {
		t.Errorf("total %d; want twice the new price", out.Value.TotalAmount)
	}
	if s.numbers.Taken() != 1 {
		t.Errorf("%d order numbers were taken for one order", s.numbers.Taken())
	}
	wantShown(s, order.Order{}, order.StreamType, out.Value.ID, out)
}

func TestAProductThatGoesBeforeTheCommitIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.onNextAppend(func() {
		must(s.ArchiveProduct(t.Context(), by(admin), commands.ArchiveProduct{ProductID: s.dosa.ID}))(t)
	})
	_, err := s.PlaceOrder(t.Context(), by(customer), s.wanted())
	wantCode(t, err, domain.CodeProductUnavailable)
}

func TestABusinessThatClosesBeforeTheCommitTakesNoOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.onNextAppend(func() { s.setOpen(false) })
	_, err := s.PlaceOrder(t.Context(), by(customer), s.wanted())
	wantCode(t, err, domain.CodeBusinessClosed)
}

func TestAnOrderDoesNotWaitForProductsItHasNot(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	chai := s.addProduct("Chai", 120)
	s.onNextAppend(func() { s.setPrice(chai, 130) })
	before := s.store.Appends()
	s.placed()
	if n := s.store.Appends() - before; n != 2 { // the order and the price
		t.Errorf("%d appends; want 2", n)
	}
}

func TestAConflictIsDecidedAnew(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	confirm := commands.ChangeOrderStatus{OrderID: o.ID, Status: "confirmed"}
	s.onNextAppend(func() { must(s.ChangeOrderStatus(t.Context(), by(admin), confirm))(t) })
	out, err := s.CancelOrder(t.Context(), by(admin), commands.CancelOrder{OrderID: o.ID, Reason: "late"})
	if err != nil {
		t.Fatal(err)
	}
	if out.Value.Version != 3 {
		t.Errorf("version %d; want 3: placed, confirmed, cancelled", out.Value.Version)
	}
	wantShown(s, order.Order{}, order.StreamType, o.ID, out)
}

func TestConflictsWithoutEndAreGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		svc := commands.New(s.store, s.numbers, s.bank, commands.Options{Patience: time.Minute, Backoff: time.Second})
		before, start := s.store.Appends(), time.Now()
		s.store.BeforeAppend = func(int) error {
			return fmt.Errorf("wrapped: %w", &eventstore.ConflictError{Expected: 1, Actual: 2})
		}
		_, err := svc.SetBusinessStatus(t.Context(), by(admin), commands.SetBusinessStatus{IsOpen: true})
		wantCode(t, err, domain.CodeVersionConflict)
		// The pauses grow, but not past 16 times the first.
		if took := time.Since(start); took < time.Minute || took > time.Minute+16*time.Second {
			t.Errorf("gave up after %s; want a minute", took)
		}
		if n := s.store.Appends() - before; n < 6 || n > 40 {
			t.Errorf("%d attempts in a minute", n)
		}
	})
}

func TestWaitingAfterAConflictEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		patient := commands.New(s.store, s.numbers, s.bank, commands.Options{Patience: time.Hour, Backoff: time.Hour})
		s.store.BeforeAppend = func(int) error { return &eventstore.ConflictError{} }
		start := time.Now()
		_, err := patient.SetBusinessStatus(ctx, by(admin), commands.SetBusinessStatus{IsOpen: true})
		wantCode(t, err, domain.CodeUnavailable)
		if waited := time.Since(start); waited > time.Second {
			t.Errorf("waited %s after the request had ended", waited)
		}
	})
}

func TestManyAtOnceTakeOneStepOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	codes := make([]domain.Code, 16)
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() {
			_, err := s.ChangeOrderStatus(t.Context(), by(admin), commands.ChangeOrderStatus{OrderID: o.ID, Status: "confirmed"})
			codes[i] = domain.CodeOf(err)
		})
	}
	wg.Wait()
	done := 0
	for _, code := range codes {
		switch code {
		case "":
			done++
		case domain.CodeInvalidTransition:
		default:
			t.Errorf("refused with %s", code)
		}
	}
	if done != 1 {
		t.Errorf("%d requests confirmed the order; want 1", done)
	}
}

func TestWhatTheStoreRefusesIsSaidInTheWiresCodes(t *testing.T) {
	t.Parallel()
	for cause, code := range map[error]domain.Code{
		eventstore.ErrOverloaded:     domain.CodeOverloaded,
		eventstore.ErrUnavailable:    domain.CodeUnavailable,
		eventstore.ErrClosed:         domain.CodeUnavailable,
		eventstore.ErrOutcomeUnknown: domain.CodeOutcomeUnknown,
		eventstore.ErrInvalid:        domain.CodeInternal,
		context.Canceled:             domain.CodeUnavailable,
	} {
		s := newShop(t)
		s.store.BeforeAppend = func(int) error { return fmt.Errorf("append: %w: %w", cause, context.Canceled) }
		if errors.Is(cause, eventstore.ErrInvalid) {
			s.store.BeforeAppend = func(int) error { return fmt.Errorf("append: %w", cause) }
		}
		_, err := s.SetBusinessStatus(t.Context(), by(admin), commands.SetBusinessStatus{})
		wantCode(t, err, code)
		if !errors.Is(err, cause) {
			t.Errorf("the cause is lost for the log: %v", err)
		}
	}
	s := newShop(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.SetBusinessStatus(ctx, by(admin), commands.SetBusinessStatus{})
	wantCode(t, err, domain.CodeUnavailable)
}

type brokenReads struct{ commands.Store }

func (brokenReads) ReadStreams(context.Context, []eventstore.StreamID) (map[eventstore.StreamID][]eventstore.Recorded, error) {
	return nil, errors.New("connection refused")
}

func TestADatabaseThatCannotBeReadIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	svc := commands.New(brokenReads{s.store}, s.numbers, s.bank, commands.Options{})
	_, err := svc.PlaceOrder(t.Context(), by(customer), s.wanted())
	wantCode(t, err, domain.CodeUnavailable)
	_, err = svc.SetBusinessStatus(t.Context(), by(admin), commands.SetBusinessStatus{})
	wantCode(t, err, domain.CodeUnavailable)
}

func TestTheBusinessHasOneStream(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	out, err := s.SetBusinessStatus(t.Context(), by(admin), commands.SetBusinessStatus{IsOpen: true, Message: "New menu"})
	if err != nil {
		t.Fatal(err)
	}
	if out.Value.Version != 2 || !out.Value.IsOpen || out.Value.Message != "New menu" {
		t.Errorf("announced %+v", out.Value)
	}
	wantShown(s, business.Initial(), business.StreamType, business.StreamID, out)
}

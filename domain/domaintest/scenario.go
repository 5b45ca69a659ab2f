// Package domaintest lets the tests of an aggregate read like its specification:
//
//	domaintest.Given[order.Order](t, placed).When(cancel(order.Cancel{…})).Then(cancelled)
//	domaintest.Given[order.Order](t).When(cancel(order.Cancel{…})).ThenError(domain.CodeNotFound)
package domaintest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
)

// At is the time at which given events were recorded.
var At = time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)

// State is the state of an aggregate: Apply returns the next one.
type State[S any] interface {
	Apply(e domain.Event, at time.Time) S
}

// Scenario is a decision under test.
type Scenario[S State[S]] struct {
	t      *testing.T
	state  S
	events []domain.Event
	err    error
}

// Given starts from the zero state with the events applied to it.
func Given[S State[S]](t *testing.T, events ...domain.Event) *Scenario[S] {
	t.Helper()
	var zero S
	return &Scenario[S]{t: t, state: Fold(zero, events...)}
}

// From starts from a state of its own, for an aggregate whose first state is not the zero one.
func From[S State[S]](t *testing.T, initial S, events ...domain.Event) *Scenario[S] {
	t.Helper()
	return &Scenario[S]{t: t, state: Fold(initial, events...)}
}

// Fold applies events to a state.
func Fold[S State[S]](state S, events ...domain.Event) S {
	for _, e := range events {
		state = state.Apply(e, At)
	}
	return state
}

// When decides.
func (s *Scenario[S]) When(decide func(S) ([]domain.Event, error)) *Scenario[S] {
	s.events, s.err = decide(s.state)
	return s
}

// Then requires exactly these events, and that each comes back from the log as it went in.
func (s *Scenario[S]) Then(want ...domain.Event) {
	s.t.Helper()
	if s.err != nil {
		s.t.Fatalf("refused: %v; want events %+v", s.err, want)
	}
	if len(s.events) != len(want) {
		s.t.Fatalf("events %+v; want %+v", s.events, want)
	}
	for i, e := range s.events {
		if !reflect.DeepEqual(e, want[i]) {
			s.t.Errorf("event %d\n got %#v\nwant %#v", i, e, want[i])
		}
		if err := RoundTrip(e); err != nil {
			s.t.Error(err)
		}
	}
}

// ThenError requires a refusal with a code and no events, and returns it.
func (s *Scenario[S]) ThenError(code domain.Code) *domain.Error {
	s.t.Helper()
	var refusal *domain.Error
	if !errors.As(s.err, &refusal) {
		s.t.Fatalf("error %v, events %+v; want the refusal %s", s.err, s.events, code)
	}
	if refusal.Code != code {
		s.t.Fatalf("refused with %v; want %s", refusal, code)
	}
	if len(s.events) > 0 {
		s.t.Errorf("refused, and yet events %+v", s.events)
	}
	if refusal.Message == "" {
		s.t.Error("the refusal says nothing")
	}
	return refusal
}

// ThenInvalid requires that a field was refused, and that the message names it.
func (s *Scenario[S]) ThenInvalid(field string) {
	s.t.Helper()
	refusal := s.ThenError(domain.CodeInvalidRequest)
	if got := refusal.Details["field"]; got != field {
		s.t.Errorf("refused field %v (%s); want %s", got, refusal.Message, field)
	}
}

// RoundTrip says how an event differs from itself after it was encoded and decoded.
func RoundTrip(e domain.Event) error {
	typ, data, err := domain.Encode(e)
	if err != nil {
		return err
	}
	back, err := domain.Decode(typ, data)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(e, back) {
		return errors.New("event changed in the log: " + typ + " " + string(data))
	}
	return nil
}

package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

// loaded is the state of a stream, and where the stream was.
type loaded[S any] struct {
	stream  eventstore.StreamID
	state   S
	version int64 // of the stream; 0: it does not exist
	seq     int64 // of its last event
}

// fold makes the state from a stream's events. A type this program does not know is an
// error: deciding on half a history would be worse than not deciding.
func fold[S state[S]](stream eventstore.StreamID, initial S, events []eventstore.Recorded) (loaded[S], error) {
	l := loaded[S]{stream: stream, state: initial}
	for _, r := range events {
		e, err := domain.Decode(r.Type, r.Data)
		if err != nil {
			return l, fmt.Errorf("load %s at version %d: %w", stream, r.Version, err)
		}
		l.state = l.state.Apply(e, r.RecordedAt)
		l.version, l.seq = r.Version, r.Seq
	}
	return l, nil
}

func (s *Service) read(ctx context.Context, ids []eventstore.StreamID) (map[eventstore.StreamID][]eventstore.Recorded, error) {
	streams, err := s.store.ReadStreams(ctx, ids)
	if err != nil {
		return nil, readRefusal(err)
	}
	return streams, nil
}

// onStream is the usual way of a command that depends on one stream and changes it.
func onStream[S state[S]](
	s *Service, stream eventstore.StreamID, initial S, decide func(S) ([]domain.Event, error),
) func(context.Context) (change[S], error) {
	return func(ctx context.Context) (change[S], error) {
		streams, err := s.read(ctx, []eventstore.StreamID{stream})
		if err != nil {
			return change[S]{}, err
		}
		l, err := fold(stream, initial, streams[stream])
		if err != nil {
			return change[S]{}, err
		}
		events, err := decide(l.state)
		if err != nil {
			return change[S]{}, err
		}
		return decided(l, events)
	}
}

// check holds the command to the version that was loaded.
func (l loaded[S]) check() eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: l.stream, Expected: l.version}
}

// decided is the change that events make to what was loaded.
func decided[S state[S]](l loaded[S], events []domain.Event, checks ...eventstore.StreamAppend) (change[S], error) {
	c := change[S]{answer: l.state, seq: l.seq}
	add := l.check()
	for _, e := range events {
		typ, data, err := domain.Encode(e)
		if err != nil {
			return change[S]{}, err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return change[S]{}, fmt.Errorf("make an event id: %w", err)
		}
		add.Events = append(add.Events, eventstore.NewEvent{ID: id, Type: typ, Data: data})
		c.answer = c.answer.Apply(e, time.Time{})
	}
	c.streams = append([]eventstore.StreamAppend{add}, checks...)
	return c, nil
}

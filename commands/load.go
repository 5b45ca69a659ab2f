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
type loaded[S applied[S]] struct {
	stream  eventstore.StreamID
	state   S
	version int64 // of the stream; 0: it does not exist
	seq     int64 // of its last event
}

// fold makes the state from a stream's events. A type this program does not know is an
// error: deciding on half a history would be worse than not deciding.
func fold[S applied[S]](stream eventstore.StreamID, initial S, events []eventstore.Recorded) (loaded[S], error) {
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

// load reads one stream whole.
func load[S applied[S]](ctx context.Context, s *Service, stream eventstore.StreamID, initial S) (loaded[S], error) {
	streams, err := s.read(ctx, []eventstore.StreamID{stream})
	if err != nil {
		return loaded[S]{}, err
	}
	return fold(stream, initial, streams[stream])
}

// newest reads the newest event of each of some streams.
func (s *Service) newest(ctx context.Context, ids ...eventstore.StreamID) (map[eventstore.StreamID]eventstore.Last, error) {
	last, err := s.store.ReadLast(ctx, ids)
	if err != nil {
		return nil, readRefusal(err)
	}
	return last, nil
}

// foldLast makes the state from the newest event of a stream whose every event says all of it.
func foldLast[S applied[S]](stream eventstore.StreamID, initial S, last map[eventstore.StreamID]eventstore.Last) (loaded[S], error) {
	newest, exists := last[stream]
	if !exists {
		return loaded[S]{stream: stream, state: initial}, nil
	}
	return fold(stream, initial, []eventstore.Recorded{newest.Recorded})
}

// onStream is the usual way of a command that depends on one stream and changes it.
func onStream[S state[S]](
	s *Service, stream eventstore.StreamID, initial S, decide func(S) ([]domain.Event, error),
) func(context.Context) (change[S], error) {
	return func(ctx context.Context) (change[S], error) {
		l, err := load(ctx, s, stream, initial)
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

// add adds events to what was loaded, at the version it had; with none it is a check.
func (l loaded[S]) add(events []domain.Event) (eventstore.StreamAppend, error) {
	add := l.check()
	for _, e := range events {
		typ, data, err := domain.Encode(e)
		if err != nil {
			return add, err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return add, fmt.Errorf("make an event id: %w", err)
		}
		add.Events = append(add.Events, eventstore.NewEvent{ID: id, Type: typ, Data: data})
	}
	return add, nil
}

// after is the state after events whose time is not known yet.
func (l loaded[S]) after(events []domain.Event) S {
	s := l.state
	for _, e := range events {
		s = s.Apply(e, time.Time{})
	}
	return s
}

// decided is the change that events make to what was loaded, which is the command's answer. others are what it adds
// to other streams, and what it is held to.
func decided[S state[S]](l loaded[S], events []domain.Event, others ...eventstore.StreamAppend) (change[S], error) {
	add, err := l.add(events)
	if err != nil {
		return change[S]{}, err
	}
	return change[S]{
		streams: append([]eventstore.StreamAppend{add}, others...), answer: l.after(events), seq: l.seq,
	}, nil
}

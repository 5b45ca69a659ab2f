// Package commandstest has a log in memory for tests of commands and of what calls them.
// It keeps the promises of eventstore.Store that commands depend on: dense sequence
// numbers, expected versions, all or nothing, and idempotency keys.
package commandstest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/eventstore"
)

// Store is a log in memory. The zero value is empty and ready; safe for concurrent use.
type Store struct {
	// BeforeAppend, when set, is called before each Append with the number of Appends so
	// far, this one included, and without a lock, so that it may change the log. An error
	// becomes the answer of that Append. Set it before the store is shared.
	BeforeAppend func(n int) error
	// AfterLookup, when set, is called after each LookupKey that found nothing.
	AfterLookup func()
	// Clock, when set, says when a commit is recorded and how old an event is. Without it each commit is a second
	// after the one before, and ages are as of the next one. Set it before the store is shared.
	Clock func() time.Time

	mu      sync.Mutex
	appends int
	commits int
	events  []eventstore.Recorded
	keys    map[[2]string]keyed
}

type keyed struct {
	fingerprint []byte
	result      eventstore.Result
}

// Start is the recording time of the first commit of a store without a Clock; each further one is a second later.
var Start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Append commits all of it or nothing.
func (s *Store) Append(ctx context.Context, a eventstore.Append) (eventstore.Result, error) {
	if err := ctx.Err(); err != nil {
		return eventstore.Result{}, err
	}
	s.mu.Lock()
	s.appends++
	n := s.appends
	s.mu.Unlock()
	if s.BeforeAppend != nil {
		if err := s.BeforeAppend(n); err != nil {
			return eventstore.Result{}, err
		}
	}

	if err := a.Validate(); err != nil {
		return eventstore.Result{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Key != nil {
		if res, found, err := s.lookup(*a.Key); found || err != nil {
			return res, err
		}
	}
	for _, sa := range a.Streams {
		if actual := s.version(sa.Stream); sa.Expected != eventstore.AnyVersion && sa.Expected != actual {
			return eventstore.Result{}, &eventstore.ConflictError{Stream: sa.Stream, Expected: sa.Expected, Actual: actual}
		}
	}
	meta, err := json.Marshal(a.Meta)
	if err != nil {
		return eventstore.Result{}, err
	}
	res := eventstore.Result{RecordedAt: s.now(), Answer: a.Answer}
	s.commits++
	for _, sa := range a.Streams {
		for _, e := range sa.Events {
			if e.ID == uuid.Nil {
				e.ID = uuid.Must(uuid.NewV7())
			}
			r := eventstore.Recorded{
				Seq: int64(len(s.events)) + 1, ID: e.ID, Stream: sa.Stream, Version: s.version(sa.Stream) + 1,
				Type: e.Type, Data: slices.Clone(e.Data), Meta: meta, RecordedAt: res.RecordedAt,
			}
			s.events = append(s.events, r)
			if res.FirstSeq == 0 {
				res.FirstSeq = r.Seq
			}
		}
	}
	res.LastSeq = int64(len(s.events))
	if a.Key != nil {
		if s.keys == nil {
			s.keys = map[[2]string]keyed{}
		}
		s.keys[[2]string{a.Key.Scope, a.Key.Key}] = keyed{a.Key.Fingerprint, res}
	}
	return res, nil
}

func (s *Store) now() time.Time {
	if s.Clock != nil {
		return s.Clock().UTC()
	}
	return Start.Add(time.Duration(s.commits) * time.Second)
}

func (s *Store) version(id eventstore.StreamID) int64 {
	var version int64
	for _, r := range s.events {
		if r.Stream == id {
			version = r.Version
		}
	}
	return version
}

// LookupKey returns what a key was used for.
func (s *Store) LookupKey(ctx context.Context, key eventstore.IdempotencyKey) (eventstore.Result, bool, error) {
	if err := ctx.Err(); err != nil {
		return eventstore.Result{}, false, err
	}
	s.mu.Lock()
	res, found, err := s.lookup(key)
	s.mu.Unlock()
	if !found && err == nil && s.AfterLookup != nil {
		s.AfterLookup()
	}
	return res, found, err
}

func (s *Store) lookup(key eventstore.IdempotencyKey) (eventstore.Result, bool, error) {
	k, found := s.keys[[2]string{key.Scope, key.Key}]
	if !found {
		return eventstore.Result{}, false, nil
	}
	if !bytes.Equal(k.fingerprint, key.Fingerprint) {
		return eventstore.Result{}, false, eventstore.ErrIdempotencyMismatch
	}
	k.result.Replayed = true
	return k.result, true, nil
}

// ReadStreams returns the whole of each stream that exists.
func (s *Store) ReadStreams(ctx context.Context, ids []eventstore.StreamID) (map[eventstore.StreamID][]eventstore.Recorded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := map[eventstore.StreamID][]eventstore.Recorded{}
	for _, r := range s.events {
		if slices.Contains(ids, r.Stream) {
			streams[r.Stream] = append(streams[r.Stream], r)
		}
	}
	return streams, nil
}

// ReadLast returns the newest event of each stream that exists.
func (s *Store) ReadLast(ctx context.Context, ids []eventstore.StreamID) (map[eventstore.StreamID]eventstore.Last, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := map[eventstore.StreamID]eventstore.Last{}
	for _, r := range s.events {
		if slices.Contains(ids, r.Stream) {
			last[r.Stream] = eventstore.Last{Recorded: r, Age: max(0, s.now().Sub(r.RecordedAt))}
		}
	}
	return last, nil
}

// ReadStream returns the events of a stream after a version.
func (s *Store) ReadStream(ctx context.Context, id eventstore.StreamID, afterVersion int64) ([]eventstore.Recorded, error) {
	streams, err := s.ReadStreams(ctx, []eventstore.StreamID{id})
	events := streams[id]
	return events[min(int(afterVersion), len(events)):], err
}

// ReadLog returns the events after a seq, at most limit.
func (s *Store) ReadLog(ctx context.Context, after int64, limit int) ([]eventstore.Recorded, error) {
	events := s.Events()
	events = events[min(int(after), len(events)):]
	return events[:min(limit, len(events))], ctx.Err()
}

// Events returns the whole log.
func (s *Store) Events() []eventstore.Recorded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Appends returns how often Append was called.
func (s *Store) Appends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appends
}

// Numbers are order numbers that count up from ORD-000001. Safe for concurrent use.
type Numbers struct {
	mu   sync.Mutex
	last int
}

// NextOrderNumber takes the next number.
func (n *Numbers) NextOrderNumber(context.Context) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	return fmt.Sprintf("ORD-%06d", n.last), nil
}

// Taken returns how many numbers were taken.
func (n *Numbers) Taken() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

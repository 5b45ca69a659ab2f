package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

// Start is where a session begins.
type Start struct {
	// LastSeq is the last seq that the client was told of, and Log the id of the log it is of, if the client knows it. nil:
	// it is told what comes from now on. 0: all that is kept.
	LastSeq *int64
	Log     string
	// Foreign says that the client was told something before that cannot be found in this log, because it holds the cursor of
	// another server. Without LastSeq it is told resync, different_log.
	Foreign bool
	// Rooms to be in from the beginning, order:ID and delivery:AGENT.
	Rooms []string
	// RoomsFrom has the seqs from which rooms count that the client was in, by their names as they were acknowledged. A room
	// from before LastSeq counts from LastSeq, and so does one that is not in it, unless its past is not the client's to
	// see: then it counts from now. Nothing is told of a room from before the client had the right to it.
	RoomsFrom map[string]int64
	// Wake and Notify are as in delivery.Wanted. They may be nil.
	Wake   chan struct{}
	Notify func()
}

// Open begins the session of a user, whose rights to the rooms are checked here; those that are refused are in
// Registered. remoteAddr is the client's IP address, empty when it has none. It waits for the hub to be ready. Close it
// when done. Errors: a *domain.Error unavailable, whose cause is logged, or the context's.
func (s *Service) Open(ctx context.Context, user auth.Identity, remoteAddr string, start Start) (*Session, error) {
	if !s.enter(user.UserID) {
		return nil, domain.Errorf(domain.CodeRateLimited, "you have %d connections open, as many as a user may have: close one first", s.cfg.MaxUserConnections)
	}
	x, err := s.open(ctx, user, start)
	ended := ctx.Err() // once: it may end at any moment
	if err != nil || ended != nil {
		s.leave(user.UserID)
	}
	switch {
	case ended != nil:
		if err == nil {
			x.sub.Close()
		}
		return nil, ended
	case errors.Is(err, errOverloaded):
		return nil, errOverloaded
	case err != nil:
		s.cfg.Logger.ErrorContext(ctx, "a client could not be registered", "user", user.UserID, "error", err)
		return nil, domain.Errorf(domain.CodeUnavailable, "this could not be done now: try again in a moment").WithCause(err)
	}
	x.remoteAddr = remoteAddr
	s.count(x, 1)
	return x, nil
}

// OpenAnonymous begins the session of a client that has no token. It is told what channel all carries, and may do
// nothing. Rooms are refused. Errors as of Open.
func (s *Service) OpenAnonymous(ctx context.Context, start Start) (*Session, error) {
	return s.Open(ctx, auth.Identity{}, "", start)
}

// open subscribes the user. A right that ends between its check and the subscription is checked again.
func (s *Service) open(ctx context.Context, user auth.Identity, start Start) (x *Session, err error) {
	select {
	case <-s.cfg.Hub.Ready():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for range maxChecks {
		if x, err = s.subscribe(ctx, user, start); !errors.Is(err, delivery.ErrEnded) {
			break
		}
	}
	return x, err
}

func (s *Service) subscribe(ctx context.Context, user auth.Identity, start Start) (*Session, error) {
	hub := s.cfg.Hub
	checked := hub.Position()
	rooms, refused, err := s.openRooms(ctx, user, start.Rooms)
	if err != nil {
		return nil, err
	}
	bounds, err := hub.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	now := hub.Position()
	a := Registered{
		UserID: user.UserID, Role: user.Role, Log: bounds.LogID, Seq: now, Channels: []string{projections.ChannelAll}, Refused: refused,
	}
	if user.UserID != "" {
		a.Channels = append(a.Channels, projections.ChannelRole(user.Role), projections.ChannelUser(user.UserID))
	}
	x := &Session{service: s, user: user, begin: now}
	// Live from the hub's position on, unless the client has a cursor that is good.
	w := delivery.Wanted{Cursor: now, Goal: now, Checked: checked, Wake: start.Wake, Notify: start.Notify}
	switch {
	case start.LastSeq != nil:
		last := *start.LastSeq
		if reason := judge(last, start.Log, bounds); reason != "" {
			x.resync = &Resync{now, reason}
		} else {
			a.Seq, w.Goal = max(now, bounds.Head), bounds.Head // what was answered to anybody comes before caught_up
			a.Recovered, x.announce, x.oldest = true, true, last == 0
			x.begin, w.Cursor = last, last
			if x.oldest {
				w.Cursor = bounds.Floor
			}
		}
	case start.Foreign:
		x.resync = &Resync{now, ReasonDifferentLog}
	}
	if len(rooms) > 0 {
		w.From = make(map[string]int64, len(rooms))
	}
	for _, m := range rooms {
		a.Channels = append(a.Channels, m.name)
		from, back := start.RoomsFrom[m.name]
		if !back && !m.hasPast(user) {
			from = now
		}
		w.From[m.name] = max(m.since, from)
	}
	w.Channels, x.roomsFrom = a.Channels, w.From
	x.sub, err = hub.Subscribe(w)
	x.registered, x.prev = a, x.begin
	x.setExpires(user.ExpiresAt)
	x.checkpointAt = time.Now().Add(s.cfg.CheckpointInterval)
	return x, err
}

// judge says why a cursor cannot be resumed; "" when it can. A client of another log must read the state anew
// even when its cursor is 0: what it holds is of that log.
func judge(lastSeq int64, log string, b projections.Bounds) ResyncReason {
	switch {
	case log != "" && !strings.EqualFold(log, b.LogID.String()):
		return ReasonDifferentLog
	case lastSeq == 0:
		return ""
	case lastSeq > b.Head:
		return ReasonAhead
	case lastSeq < b.Floor:
		return ReasonExpired
	}
	return ""
}

// openRooms sorts the rooms that a client wants back: rights may have changed since it was there.
func (s *Service) openRooms(ctx context.Context, user auth.Identity, names []string) (open []room, refused []string, _ error) {
	refused = []string{}
	if len(names) > 0 && user.UserID != "" {
		done, err := s.work(ctx)
		if err != nil {
			return nil, nil, err
		}
		defer done()
	}
	seen := map[string]bool{}
	for _, name := range names {
		var err error
		m, ok := parseRoom(name)
		if seen[m.name] {
			continue
		}
		if !ok || user.UserID == "" || len(seen) >= s.cfg.MaxRooms { // so many checks, whatever their outcome
			refused = append(refused, name)
			continue
		}
		seen[m.name] = true
		m.since, ok, err = m.open(ctx, s.cfg.Access, user)
		if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
			return nil, nil, fmt.Errorf("ask whether %q may be followed: %w", m.name, err)
		}
		if err != nil || !ok {
			refused = append(refused, name)
			continue
		}
		open = append(open, m)
	}
	return open, refused, nil
}

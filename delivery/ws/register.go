package ws

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

// register lets the token's user in and begins the stream.
func (r *reader) register(ctx context.Context, req request) {
	reg, err := decodeRegistration(req.Data)
	if err != nil {
		r.end(delivery.CodeBadMessage)
		return
	}
	token := reg.Token
	if token == "" {
		token, _ = auth.Bearer(r.authorization)
	}
	user, err := r.cfg.Verifier.Verify(ctx, token)
	if err != nil {
		r.end(r.tokenCode(ctx, err))
		return
	}
	// What the client says of itself grants nothing, but a client that is wrong about it must learn so.
	if (reg.UserID != nil && *reg.UserID != user.UserID) || (reg.Role != nil && *reg.Role != string(user.Role)) {
		r.end(domain.CodeForbidden)
		return
	}
	answered, start, err := r.open(ctx, user, reg)
	if err != nil {
		if ctx.Err() == nil {
			r.cfg.Logger.ErrorContext(ctx, "a client could not be registered", "user", user.UserID, "error", err)
		}
		r.end(domain.CodeUnavailable)
		return
	}
	r.user, r.sub, r.authorization = user, start.session.sub, ""
	r.countRegistered(user.UserID, user.Role)
	r.send(outgoing{line: encodeAnswer(answer{Event: "registered", Data: answered}), expires: user.ExpiresAt})
	r.ack(req, answered)
	r.send(start)
}

// tokenCode is why a token lets nobody in.
func (r *reader) tokenCode(ctx context.Context, err error) domain.Code {
	switch {
	case errors.Is(err, auth.ErrTokenExpired):
		return delivery.CodeTokenExpired
	case errors.Is(err, auth.ErrUnauthenticated):
		return domain.CodeUnauthenticated
	}
	if ctx.Err() == nil {
		r.cfg.Logger.ErrorContext(ctx, "a token could not be judged", "error", err)
	}
	return domain.CodeUnavailable
}

// open subscribes the user. It returns the answer, and what begins the stream. A right that ends between its check
// and the subscription is checked again.
func (r *reader) open(ctx context.Context, user auth.Identity, reg Register) (a Registered, start outgoing, err error) {
	select {
	case <-r.cfg.Hub.Ready():
	case <-ctx.Done():
		return a, start, ctx.Err()
	}
	for range maxChecks {
		a, start, err = r.subscribe(ctx, user, reg)
		if !errors.Is(err, delivery.ErrEnded) {
			break
		}
	}
	return a, start, err
}

func (r *reader) subscribe(ctx context.Context, user auth.Identity, reg Register) (Registered, outgoing, error) {
	hub := r.cfg.Hub
	checked := hub.Position()
	rooms, refused, err := r.openRooms(ctx, user, reg.Rooms)
	if err != nil {
		return Registered{}, outgoing{}, err
	}
	bounds, err := hub.Bounds(ctx)
	if err != nil {
		return Registered{}, outgoing{}, err
	}
	a := Registered{
		UserID: user.UserID, Role: user.Role, Log: bounds.LogID, Seq: hub.Position(),
		Channels: []string{projections.ChannelAll, projections.ChannelRole(user.Role), projections.ChannelUser(user.UserID)},
		Refused:  refused,
	}
	s := &session{}
	start := outgoing{session: s}
	// Live from the hub's position on, unless the client has a cursor that is good.
	cursor, goal := a.Seq, a.Seq
	s.prev = cursor
	if reg.LastSeq != nil {
		if reason := judge(*reg.LastSeq, reg.Log, bounds); reason != "" {
			start.line = encodeAnswer(answer{Event: "resync", Data: Resync{a.Seq, reason}})
		} else {
			a.Seq, goal = max(a.Seq, bounds.Head), bounds.Head // what was answered to anybody comes before caught_up
			a.Recovered, s.announce, s.oldest = true, true, *reg.LastSeq == 0
			s.prev, cursor = *reg.LastSeq, *reg.LastSeq
			if s.oldest {
				cursor = bounds.Floor
			}
		}
	}
	s.sub, err = subscribe(hub, user, a.Channels, rooms, cursor, goal, checked)
	for _, m := range rooms {
		a.Channels = append(a.Channels, m.name)
	}
	return a, start, err
}

// subscribe subscribes to the channels and the rooms. A room without a past for the user counts from now on.
func subscribe(hub *delivery.Hub, user auth.Identity, channels []string, rooms []room, cursor, goal, checked int64) (*delivery.Subscription, error) {
	var fromNow []room
	for _, m := range rooms {
		if m.hasPast(user) {
			channels = append(channels, m.name)
		} else {
			fromNow = append(fromNow, m)
		}
	}
	sub, err := hub.Subscribe(delivery.Wanted{Channels: channels, Cursor: cursor, Goal: goal, Checked: checked})
	if err != nil {
		return nil, err
	}
	for _, m := range fromNow {
		if _, _, err := sub.Join(m.name, checked, m.since); err != nil {
			sub.Close()
			return nil, err
		}
		sub.Answered(m.name, true) // what is told of it comes behind `registered`
	}
	return sub, nil
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
func (r *reader) openRooms(ctx context.Context, user auth.Identity, names []string) (open []room, refused []string, _ error) {
	refused = []string{}
	seen := map[string]bool{}
	for _, name := range names {
		var err error
		m, ok := parseRoom(name)
		if seen[m.name] {
			continue
		}
		if !ok || len(seen) >= r.cfg.MaxRooms { // so many checks, whatever their outcome
			refused = append(refused, name)
			continue
		}
		seen[m.name] = true
		m.since, ok, err = m.open(ctx, r.cfg.Access, user)
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

// refresh takes a new token for the same user, so that the connection outlives the old one.
func (r *reader) refresh(ctx context.Context, req request) {
	var d Refresh
	if err := decodeData(req.Data, &d, "{token}"); err != nil {
		r.refuse(ctx, req, err)
		return
	}
	token := d.Token
	if bare, ok := auth.Bearer(token); ok {
		token = bare
	}
	user, err := r.cfg.Verifier.Verify(ctx, token)
	if err != nil { // the old token still holds
		r.fail(req, r.tokenCode(ctx, err), "the new token is not accepted")
		return
	}
	if user.UserID != r.user.UserID || user.Role != r.user.Role {
		r.end(domain.CodeForbidden)
		return
	}
	r.user = user
	r.send(outgoing{expires: user.ExpiresAt})
	r.ack(req, Empty{})
}

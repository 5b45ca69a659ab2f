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
	r.countRegistered()
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

// open subscribes the user. It returns the answer, and what begins the stream.
func (r *reader) open(ctx context.Context, user auth.Identity, reg registration) (registered, outgoing, error) {
	hub := r.cfg.Hub
	select {
	case <-hub.Ready():
	case <-ctx.Done():
		return registered{}, outgoing{}, ctx.Err()
	}
	allowed, refused, err := r.allowedRooms(ctx, user, reg.Rooms)
	if err != nil {
		return registered{}, outgoing{}, err
	}
	var lastSeq int64
	if reg.LastSeq != nil {
		lastSeq = *reg.LastSeq
	}
	bounds, err := hub.Bounds(ctx)
	if err != nil {
		return registered{}, outgoing{}, err
	}
	a := registered{
		UserID: user.UserID, Role: user.Role, Log: bounds.LogID, Seq: hub.Position(),
		Channels: append([]string{"all", "role:" + string(user.Role), "user:" + user.UserID}, allowed...),
		Refused:  refused,
	}
	s := &session{}
	start := outgoing{session: s}
	// Live from the hub's position on, unless the client has a cursor that is good.
	cursor, goal := a.Seq, a.Seq
	s.prev = cursor
	if reg.LastSeq != nil {
		if reason := judge(lastSeq, reg.Log, bounds); reason != "" {
			start.line = encodeAnswer(answer{Event: "resync", Data: told{Seq: a.Seq, Reason: reason}})
		} else {
			a.Seq, goal = max(a.Seq, bounds.Head), bounds.Head // what was answered to anybody comes before caught_up
			a.Recovered, s.announce, s.oldest = true, true, lastSeq == 0
			s.prev, cursor = lastSeq, lastSeq
			if s.oldest {
				cursor = bounds.Floor
			}
		}
	}
	r.rooms = make(map[string]bool, len(allowed))
	for _, room := range allowed {
		r.rooms[room] = true
	}
	s.sub = hub.Subscribe(a.Channels, cursor, goal)
	return a, start, nil
}

// judge says why a cursor cannot be resumed; "" when it can. A client of another log must read the state anew
// even when its cursor is 0: what it holds is of that log.
func judge(lastSeq int64, log string, b projections.Bounds) resyncReason {
	switch {
	case log != "" && !strings.EqualFold(log, b.LogID.String()):
		return reasonDifferentLog
	case lastSeq == 0:
		return ""
	case lastSeq > b.Head:
		return reasonAhead
	case lastSeq < b.Floor:
		return reasonExpired
	}
	return ""
}

// allowedRooms sorts the rooms that a client wants back: rights may have changed since it was there.
func (r *reader) allowedRooms(ctx context.Context, user auth.Identity, rooms []string) (allowed, refused []string, _ error) {
	refused = []string{}
	seen := map[string]bool{}
	for _, room := range rooms {
		id, ok := parseOrderRoom(room)
		if !ok || len(allowed) >= r.cfg.MaxRooms {
			refused = append(refused, room)
			continue
		}
		name := orderRoom(id)
		if seen[name] {
			continue
		}
		seen[name] = true
		ok, err := r.cfg.Access.CanSeeOrder(ctx, user, id)
		if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
			return nil, nil, fmt.Errorf("ask whether %q may be followed: %w", name, err)
		}
		if err != nil || !ok {
			refused = append(refused, room)
			continue
		}
		allowed = append(allowed, name)
	}
	return allowed, refused, nil
}

// refresh takes a new token for the same user, so that the connection outlives the old one.
func (r *reader) refresh(ctx context.Context, req request) {
	reg, err := decodeRegistration(req.Data)
	if err != nil {
		r.fail(req, domain.CodeInvalidRequest, "data must be {token}")
		return
	}
	user, err := r.cfg.Verifier.Verify(ctx, reg.Token)
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
	r.ack(req, struct{}{})
}

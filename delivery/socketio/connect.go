package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// namespaceRoles are the namespaces there are, and the role that each is for; "" is every role and the anonymous.
var namespaceRoles = map[string]domain.Role{
	"/":         "",
	"/admin":    domain.RoleAdmin,
	"/delivery": domain.RoleDelivery,
	"/customer": domain.RoleCustomer,
}

var errClosing = errors.New("socketio: the server is going away")

// connect decides over a client that wants into a namespace.
//
// One that may not come in is told by a connect_error, after which socket.io-client does not try again. So one that only
// cannot come in now, because the database is away, there is too much to do, or its user has too many connections, is not
// told so: it waits a while, and then its connection is closed, after which the client comes back by itself.
func (h *Handler) connect(ctx context.Context, sock *namespace.Socket, raw json.RawMessage) (namespace.Application, error) {
	c := h.connOf(sock.Session())
	if c == nil || c.last() != nil {
		return nil, errClosing
	}
	pause, why := h.cfg.RetryPause, domain.CodeUnavailable
	for {
		s, err := h.admit(ctx, c, sock, raw)
		var refusal *namespace.Refusal
		switch code := domain.CodeOf(err); {
		case err == nil:
			return s, nil
		case errors.As(err, &refusal):
			h.counters.count(func(s *Stats) { s.Refused[domain.CodeNotFound]++ })
			return nil, refusal
		case !passes(code) && ctx.Err() == nil:
			h.counters.count(func(s *Stats) { s.Refused[code]++ })
			return nil, refuse(err)
		case ctx.Err() == nil && code != domain.CodeInternal:
			why = code
		}
		if !wait(ctx, pause/2+rand.N(pause)) {
			h.counters.count(func(s *Stats) { s.Refused[why]++ })
			return nil, err
		}
		pause *= 2
	}
}

// passes says whether what keeps a client out may be over in a moment.
func passes(code domain.Code) bool {
	return code == domain.CodeInternal || delivery.OutcomeOf(code).Retry
}

func refuse(err error) *namespace.Refusal {
	f, _ := session.FailureOf(err)
	return &namespace.Refusal{Message: f.Message, Data: f}
}

// wait answers false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// admit lets a client in, if it may be there.
func (h *Handler) admit(ctx context.Context, c *conn, sock *namespace.Socket, raw json.RawMessage) (*socket, error) {
	role, known := namespaceRoles[sock.Namespace()]
	if !known {
		return nil, namespace.InvalidNamespace
	}
	asked, err := decodeCredentials(raw)
	if err != nil {
		return nil, err
	}
	user, err := h.authenticate(ctx, c, asked)
	switch {
	case err != nil:
		return nil, err
	case role != "" && user.UserID == "":
		return nil, domain.Errorf(domain.CodeUnauthenticated, "the namespace %s needs a token: give it as auth.token", sock.Namespace())
	case role != "" && user.Role != role:
		return nil, domain.Errorf(domain.CodeForbidden, "the namespace %s is for the role %s: connect to / instead", sock.Namespace(), role)
	}
	return h.open(ctx, c, sock, user, asked)
}

// authenticate says who a client is: by its token in auth, else by the one of the handshake. With neither it is nobody.
func (h *Handler) authenticate(ctx context.Context, c *conn, asked credentials) (auth.Identity, error) {
	token := asked.token
	if token == "" {
		token = c.authorization
	}
	if token == "" {
		return auth.Identity{}, nil
	}
	return h.cfg.Sessions.Authenticate(ctx, token)
}

// open begins a socket's session: where the client's last one was cut, if that can be.
func (h *Handler) open(ctx context.Context, c *conn, sock *namespace.Socket, user auth.Identity, asked credentials) (*socket, error) {
	who := whoOf(user.UserID, user.Role)
	p := planFor(asked, who)
	p.start.Wake = sock.Session().Wake()
	recalled, err := h.recall(ctx, p, user)
	if err != nil {
		return nil, err
	}
	start := p.start
	start.RoomsFrom = recalled.From
	// First those that the client was in: there may be more than it may join.
	start.Rooms = append(slices.Sorted(maps.Keys(recalled.From)), start.Rooms...)
	x, err := h.cfg.Sessions.Open(ctx, user, c.remoteAddr, start)
	if err != nil {
		return nil, err
	}
	recovered := p.pid != nil && x.Registered().Recovered
	if !recovered { // it is a new connection to the client too, which has joined nothing by it yet
		if len(recalled.From) > 0 {
			x.Close()
			if x, err = h.cfg.Sessions.Open(ctx, user, c.remoteAddr, p.start); err != nil {
				return nil, err
			}
		}
		recalled = Recalled{}
	}
	if user.UserID != "" {
		c.countAs(nil)
	} else {
		c.countAs(h.anonymous)
	}
	s := newSocket(c, sock, user, x)
	if recovered {
		s.pid = *p.pid
	} else {
		s.pid = pid{
			log: x.Registered().Log, recovery: uuid.New(), start: x.Cursor(), who: who, given: givenOf(asked.lastSeq, asked.log),
		}.holding(p.held)
	}
	if x.Registered().Recovered {
		s.skipFirst = p.skipFirst
	}
	s.takeRooms(recalled)
	if err := s.keepRooms(ctx); err != nil {
		x.Close()
		return nil, errRooms(err)
	}
	sock.SetPID(s.pid.String())
	s.count(recovered)
	return s, nil
}

// recall returns the rooms of a connection that may be recovered.
func (h *Handler) recall(ctx context.Context, p plan, user auth.Identity) (rooms Recalled, err error) {
	if p.pid == nil || user.UserID == "" {
		return rooms, nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.RoomsTimeout)
	defer cancel()
	rooms, err = h.cfg.Rooms.Recall(ctx, p.pid.recovery, user.UserID, *p.start.LastSeq)
	if err != nil {
		if ctx.Err() == nil {
			h.cfg.Logger.ErrorContext(ctx, "the rooms of a connection could not be recalled", "user", user.UserID, "error", err)
		}
		return rooms, domain.Errorf(domain.CodeUnavailable, "this could not be done now: try again in a moment").WithCause(fmt.Errorf("recall: %w", err))
	}
	return rooms, nil
}

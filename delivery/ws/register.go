package ws

import (
	"context"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
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
	user, err := r.cfg.Sessions.Authenticate(ctx, token)
	if err != nil {
		r.end(domain.CodeOf(err))
		return
	}
	// What the client says of itself grants nothing, but a client that is wrong about it must learn so.
	if (reg.UserID != nil && *reg.UserID != user.UserID) || (reg.Role != nil && *reg.Role != string(user.Role)) {
		r.end(domain.CodeForbidden)
		return
	}
	x, err := r.cfg.Sessions.Open(ctx, user, r.remoteAddr, session.Start{
		LastSeq: reg.LastSeq, Log: reg.Log, Rooms: reg.Rooms, Notify: r.wake,
	})
	if err != nil {
		code := domain.CodeOf(err)
		if code != domain.CodeRateLimited { // nothing else is the client's own doing
			code = domain.CodeUnavailable
		}
		r.end(code)
		return
	}
	r.session, r.authorization = x, ""
	r.countRegistered(user.Role)
	registered := x.Registered().Data()
	begins := outgoing{line: encodeAnswer(answer{Event: "registered", Data: registered}), session: x}
	if ack := acknowledged(req, registered); ack != nil {
		r.send(outgoing{line: begins.line})
		begins.line = ack
	}
	r.send(begins)
}

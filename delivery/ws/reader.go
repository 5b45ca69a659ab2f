package ws

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// reader takes what the client sends, one message after the other.
type reader struct {
	*conn
	rate window

	// After registration.
	sub  *delivery.Subscription // the rooms that are joined are its channels
	user auth.Identity

	ended bool // the writer was asked to close
}

var errTooLarge = errors.New("ws: the message is too large")

// run reads until the client has closed or the transport is broken, which is the error it returns. After the
// connection was asked to end it looks at nothing any more, but reads on, so that the client gets the close frame.
func (r *reader) run(ctx context.Context) error {
	for {
		kind, body, err := r.socket.NextReader()
		if err != nil {
			return err
		}
		r.hear()
		if r.ended || r.closed.Load() {
			continue
		}
		text, err := readMessage(body, r.cfg.MaxMessageBytes)
		switch {
		case errors.Is(err, errTooLarge):
			r.end(domain.CodeMessageTooLarge)
		case err != nil:
			return err
		case kind != websocket.TextMessage:
			r.end(delivery.CodeBadMessage)
		default:
			r.message(ctx, text)
		}
	}
}

func readMessage(body io.Reader, limit int) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if err == nil && len(text) > limit {
		return nil, errTooLarge
	}
	return text, err
}

// message serves a text message: one object, or with the batch subprotocol one a line.
func (r *reader) message(ctx context.Context, text []byte) {
	lines := [][]byte{text}
	if r.socket.Subprotocol() == V1Batch {
		lines = bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	}
	for _, line := range lines {
		if !r.rate.allow(time.Now()) {
			r.end(domain.CodeRateLimited)
			return
		}
		req, err := decode(line)
		if err != nil {
			r.end(delivery.CodeBadMessage)
			return
		}
		r.serve(ctx, req)
		if r.ended {
			return
		}
	}
}

// Codes of errors that only this protocol has.
const (
	codeUnknownEvent      domain.Code = "unknown_event"
	codeAlreadyRegistered domain.Code = "already_registered"
	codeTooManyRooms      domain.Code = "too_many_rooms"
)

func (r *reader) serve(ctx context.Context, req request) {
	registered := r.sub != nil
	event, known := clientEventsByName[req.Event]
	switch {
	case req.Event == eventRegister && registered:
		r.fail(req, codeAlreadyRegistered, "this connection is registered: join rooms, or connect again")
	case req.Event != eventRegister && !registered:
		r.end(domain.CodeUnauthenticated)
	case !known:
		r.fail(req, codeUnknownEvent, "there is no such event: see the protocol's page for those there are")
	default:
		event.serve(r, ctx, req)
	}
}

func (r *reader) ping(_ context.Context, req request) {
	r.send(outgoing{line: encodeAnswer(answer{Event: "pong"})})
	r.ack(req, Empty{})
}

// end asks the writer to close because of a code, behind what was sent before.
func (r *reader) end(code domain.Code) {
	r.ended = true
	cl := closeFor(code)
	r.send(outgoing{close: &cl})
}

// ack answers a request that asked for it.
func (r *reader) ack(req request, data any) {
	if req.ID != nil {
		r.send(outgoing{line: encodeAnswer(answer{Ack: req.ID, Data: data})})
	}
}

// fail answers a request that went wrong: as its acknowledgement, or as an event.
func (r *reader) fail(req request, code domain.Code, message string) {
	f := Failure{Code: code, Message: message}
	if req.ID != nil {
		r.send(outgoing{line: encodeAnswer(answer{Ack: req.ID, Error: &f})})
		return
	}
	r.send(outgoing{line: encodeAnswer(answer{Event: "error", Data: f})})
}

// refuse answers with what an error says to the client, and keeps the rest for the log.
func (r *reader) refuse(ctx context.Context, req request, err error) {
	var known *domain.Error
	switch {
	case errors.As(err, &known):
		r.fail(req, known.Code, known.Message)
	case errors.Is(err, delivery.ErrExpired):
		r.fail(req, delivery.CodeCursorExpired, "the cursor is older than what is kept: read the state anew and join without lastSeq")
	case errors.Is(err, delivery.ErrEnded):
		r.fail(req, domain.CodeUnavailable, "the right to this changes all the time: try again in a moment")
	default:
		if ctx.Err() == nil {
			r.cfg.Logger.ErrorContext(ctx, "a message could not be served", "event", req.Event, "user", r.user.UserID, "error", err)
		}
		r.fail(req, domain.CodeUnavailable, "this could not be done now: try again in a moment")
	}
}

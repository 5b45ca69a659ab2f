package ws

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
)

// reader takes what the client sends, one message after the other.
type reader struct {
	*conn
	authorization string // the handshake's header, until the client has registered
	rate          session.Window
	session       *session.Session // after registration
	ended         bool             // the writer was asked to close
}

var errTooLarge = errors.New("ws: the message is too large")

// run reads until the client has closed or the transport is broken, and ends the connection then. After the connection
// was asked to end it looks at nothing any more, but reads on, so that the client gets the close frame.
//
// A stack that has grown while a message was served shrinks when garbage is collected, but not to the smallest there is: what
// is half full is not halved. So after a message another goroutine reads on, and this one, when nobody is writing, writes the answers.
func (r *reader) run() {
	for {
		text, err := r.next()
		switch {
		case err != nil:
			r.conn.end(err)
			return
		case text == nil:
			continue
		}
		if r.session == nil {
			r.h.spoke(r.conn)
		}
		r.serve(text)
		go r.run()
		r.wakeHere()
		return
	}
}

// next returns the next text message, nil when what came is not to be served.
func (r *reader) next() ([]byte, error) {
	kind, body, err := r.socket.NextReader()
	if err != nil {
		return nil, err
	}
	r.hear()
	if r.ended || r.closed.Load() {
		return nil, nil
	}
	growStack()
	text, err := readMessage(body, r.cfg.MaxMessageBytes)
	switch {
	case errors.Is(err, errTooLarge):
		r.end(domain.CodeMessageTooLarge)
	case err != nil:
		return nil, err
	case kind != websocket.TextMessage:
		r.end(delivery.CodeBadMessage)
	default:
		return text, nil
	}
	r.wake()
	return nil, nil
}

// growStack has the stack grow at once to what serving a message takes, while there is little on it to be moved.
//
//go:noinline
func growStack() byte {
	var room [6 << 10]byte
	return room[os.Getpagesize()&1]
}

func readMessage(body io.Reader, limit int) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if err == nil && len(text) > limit {
		return nil, errTooLarge
	}
	return text, err
}

// serve serves a text message: one object, or with the batch subprotocol one a line. A wake is to follow.
func (r *reader) serve(text []byte) {
	ctx, done := r.serving()
	defer done()
	lines := [][]byte{text}
	if r.socket.Subprotocol() == V1Batch {
		lines = bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	}
	for i, line := range lines {
		if i > 0 {
			r.wake() // the answers do not wait for each other
		}
		if !r.rate.Allow(time.Now()) {
			r.end(domain.CodeRateLimited)
			return
		}
		req, err := decode(line)
		if err != nil {
			r.end(delivery.CodeBadMessage)
			return
		}
		r.request(ctx, req)
		if r.ended {
			return
		}
	}
}

func (r *reader) request(ctx context.Context, req request) {
	switch {
	case r.session == nil && req.Event == "register":
		r.register(ctx, req)
	case r.session == nil:
		r.end(domain.CodeUnauthenticated)
	case req.Event == "register":
		r.send(outgoing{line: failed(req, session.Failure{
			Code: session.CodeAlreadyRegistered, Message: "this connection is registered: join rooms, or connect again",
		})})
	case req.Event == "ping":
		r.send(outgoing{line: encodeAnswer(answer{Event: "pong"})})
		r.send(outgoing{line: acknowledged(req, session.Empty{})})
	default:
		r.do(ctx, req)
	}
}

// do serves what is the same over all transports.
func (r *reader) do(ctx context.Context, req request) {
	reply, err := r.session.Do(ctx, req.Event, req.Data)
	switch {
	case errors.Is(err, session.ErrAnotherUser):
		r.end(domain.CodeForbidden)
		return
	case err != nil:
		failure, logIt := session.FailureOf(err)
		if logIt && ctx.Err() == nil {
			r.cfg.Logger.ErrorContext(ctx, "a message could not be served",
				"event", req.Event, "user", r.session.Registered().UserID, "error", err)
		}
		// The answer and that it is given go together: between the two the writer might tell of an end that the answer
		// has made a thing of the past.
		r.send(outgoing{line: failed(req, failure), reply: &reply})
	default:
		r.send(outgoing{line: acknowledged(req, reply.Data), reply: &reply})
	}
}

// end asks the writer to close because of a code, behind what was sent before.
func (r *reader) end(code domain.Code) {
	r.ended = true
	cl := closeFor(code)
	r.send(outgoing{close: &cl})
}

// acknowledged answers a request that asked for it; nil: it did not.
func acknowledged(req request, data any) []byte {
	if req.ID == nil {
		return nil
	}
	return encodeAnswer(answer{Ack: req.ID, Data: data})
}

// failed answers a request that went wrong: as its acknowledgement, or as an event.
func failed(req request, f session.Failure) []byte {
	if req.ID == nil {
		return encodeAnswer(answer{Event: "error", Data: f})
	}
	return encodeAnswer(answer{Ack: req.ID, Error: &f})
}

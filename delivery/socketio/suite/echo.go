package main

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
)

// echo gives back what it gets.
type echo struct {
	session *engine.Session
	waiting chan engine.Message // when it is full the client is not read
}

func acceptEcho(_ *http.Request, s *engine.Session) (engine.Peer, error) {
	return &echo{session: s, waiting: make(chan engine.Message, 64)}, nil
}

// Receive keeps a message until it can be sent.
func (e *echo) Receive(ctx context.Context, m engine.Message) error {
	m.Data = bytes.Clone(m.Data)
	select {
	case e.waiting <- m:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case e.session.Wake() <- struct{}{}:
	default:
	}
	return nil
}

// Fill sends what was kept.
func (e *echo) Fill(_ context.Context, b *engine.Batch) (next time.Time, again bool) {
	for !b.Full() {
		select {
		case m := <-e.waiting:
			if m.Binary {
				b.Binary(m.Data)
			} else {
				b.Text(m.Data)
			}
		default:
			return time.Time{}, false
		}
	}
	return time.Time{}, true
}

// Close has nothing to do.
func (e *echo) Close(engine.Reason) {}

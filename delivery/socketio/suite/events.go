package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
)

// connect tells a client what it said about itself, in the two namespaces that there are.
func connect(ctx context.Context, s *namespace.Socket, auth json.RawMessage) (namespace.Application, error) {
	if s.Namespace() != "/" && s.Namespace() != "/custom" {
		return nil, namespace.InvalidNamespace
	}
	if auth == nil {
		auth = json.RawMessage("{}")
	}
	return &application{s}, s.Emit(ctx, "auth", auth)
}

// application answers the events of the suite, in the main namespace.
type application struct {
	socket *namespace.Socket
}

// Event gives back what came with an event.
func (a *application) Event(ctx context.Context, e namespace.Event) error {
	if a.socket.Namespace() != "/" {
		return nil
	}
	switch {
	case e.Name == "message":
		return a.socket.Emit(ctx, "message-back", values(e)...)
	case e.Name == "message-with-ack" && e.ID != nil:
		return a.socket.Ack(ctx, *e.ID, values(e)...)
	}
	return nil
}

// Fill has nothing to tell: there are only answers.
func (a *application) Fill(context.Context, *namespace.Out) (next time.Time, again bool) {
	return time.Time{}, false
}

// Close has nothing to do.
func (a *application) Close(engine.Reason) {}

// values are the arguments of an event, with those that are attachments in their places.
func values(e namespace.Event) []any {
	all := make([]any, len(e.Args))
	for i, arg := range e.Args {
		all[i] = arg
		var p struct {
			Placeholder bool `json:"_placeholder"`
			Num         int  `json:"num"`
		}
		if json.Unmarshal(arg, &p) == nil && p.Placeholder && 0 <= p.Num && p.Num < len(e.Attachments) {
			all[i] = namespace.Binary(e.Attachments[p.Num])
		}
	}
	return all
}

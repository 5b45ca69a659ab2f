package namespace

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/orderlog/orderlog/delivery/socketio/packet"
)

// reserved are the names that the reference implementation uses for itself. An event of a client never has one.
var reserved = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

// receive hands an event of the client to the application.
func (s *Socket) receive(ctx context.Context, pkt packet.Packet) error {
	args, err := arguments(pkt.Data)
	if err != nil {
		return err
	}
	name := string(args[0]) // the decoder has seen to it that there is one
	if args[0][0] == '"' {
		if err := json.Unmarshal(args[0], &name); err != nil {
			return fmt.Errorf("the name of an event: %w", err)
		}
	}
	if slices.Contains(reserved, name) {
		return fmt.Errorf("%w: no event may be named %q", packet.ErrInvalid, name)
	}
	if !s.enter() {
		return nil // the server has just ended it
	}
	defer s.leave()
	return s.app.Event(ctx, Event{Name: name, Args: args[1:], Attachments: pkt.Attachments, ID: pkt.ID})
}

func arguments(array json.RawMessage) (args []json.RawMessage, err error) {
	if err := json.Unmarshal(array, &args); err != nil {
		return nil, fmt.Errorf("%w: the arguments of a packet: %w", packet.ErrInvalid, err)
	}
	return args, nil
}

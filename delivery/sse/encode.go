package sse

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
)

// What the server says beside the events of the log.
const (
	eventRegistered = "registered"
	eventCaughtUp   = "caught_up"
	eventCheckpoint = "checkpoint"
	eventResync     = "resync"
	eventLeft       = "left"
	eventError      = "error"
	eventReconnect  = "reconnect"
)

// noID leaves a client's last event id as it is: what is told has no place in the log.
const noID = -1

// comment is a line that clients pass over (section 9.2.5 of the standard), and the empty line that ends a block.
const comment = ": alive\n\n"

var form = delivery.NewForm()

// appendFrame appends an event of the log: its data with the seq added, as every transport but the WebSocket has it.
func appendFrame(dst []byte, f *delivery.Frame) []byte {
	return append(dst, f.Form(form, encodeFrame)...)
}

func encodeFrame(f *delivery.Frame) []byte {
	out := make([]byte, 0, len(f.Data())+len(f.Event)+64)
	out = f.AppendData(appendHead(out, f.Seq, f.Event))
	return append(out, "\n\n"...)
}

// appendHead begins a block: what follows is the data, which is one line, because JSON has no line break that is not
// escaped.
func appendHead(dst []byte, id int64, event string) []byte {
	if id != noID {
		dst = append(dst, "id: "...)
		dst = strconv.AppendInt(dst, id, 10)
		dst = append(dst, '\n')
	}
	dst = append(dst, "event: "...)
	dst = append(dst, event...)
	return append(dst, "\ndata: "...)
}

// appendMessage appends what is not from the log. It cannot fail: it is made of what can be encoded.
func appendMessage(dst []byte, id int64, event string, data any) []byte {
	encoded, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("sse: a message that cannot be encoded: %v", err))
	}
	dst = appendHead(dst, id, event)
	dst = append(dst, encoded...)
	return append(dst, "\n\n"...)
}

// appendRetry appends how long the client is to wait before it comes back, which holds until it is told another time.
func appendRetry(dst []byte, after time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, after.Milliseconds(), 10)
	return append(dst, '\n')
}

// appendTold appends what a session has to tell.
func appendTold(dst []byte, told session.Told) []byte {
	for _, room := range told.Left {
		dst = appendMessage(dst, noID, eventLeft, session.Left{Room: room})
	}
	for _, f := range told.Frames {
		dst = appendFrame(dst, f)
	}
	if told.Resync != nil {
		dst = appendMessage(dst, told.Resync.Seq, eventResync, *told.Resync)
	}
	if told.CaughtUp != nil {
		dst = appendMessage(dst, told.CaughtUp.Seq, eventCaughtUp, *told.CaughtUp)
	}
	if told.Checkpoint != nil {
		dst = appendMessage(dst, told.Checkpoint.Seq, eventCheckpoint, *told.Checkpoint)
	}
	return dst
}

// appendRegistered appends what begins a stream. A client that brought no cursor has one from here on: were it cut
// before the first event, it would else miss what came meanwhile.
func appendRegistered(dst []byte, r session.Registered, hadCursor bool) []byte {
	id := r.Seq
	if hadCursor {
		id = noID
	}
	return appendMessage(dst, id, eventRegistered, r)
}

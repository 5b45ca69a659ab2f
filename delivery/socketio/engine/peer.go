package engine

import (
	"context"
	"time"
)

// Peer is who is at this end of a session. Receive is called by one goroutine at a time and Fill by one goroutine at a
// time, but both may run at once. After Close neither is called.
type Peer interface {
	// Receive takes a message of the client; they come in the order in which they were sent. While it runs the client
	// is not read further, which delays nobody else. An error is a violation of the protocol above, and ends the
	// session. ctx ends when the session ends.
	Receive(ctx context.Context, m Message) error
	// Fill puts what is to be sent into b, until there is no more or b is full. It is called only when the transport can
	// take more: at the beginning, after something was written, after Session.Wake, and at the time that it asks for by
	// next (zero: never). again asks to be called without waiting although nothing was put in. Fill may wait, for a
	// database perhaps, until ctx ends, and then returns again; it must do so before it returns again with nothing.
	Fill(ctx context.Context, b *Batch) (next time.Time, again bool)
	// Close says that the session has ended. It is called once, after the last Receive and the last Fill have
	// returned, and never from within Session.Close.
	Close(reason Reason)
}

// Message is what a client sent. Data of a text is valid UTF-8. It is valid until Receive returns.
type Message struct {
	Binary bool
	Data   []byte
}

// Reason is why a session ended. Those who close sessions may have reasons of their own; they are counted, so they
// should be few.
type Reason string

// The reasons of the engine itself.
const (
	// ReasonClient: the client said that it goes.
	ReasonClient Reason = "client"
	// ReasonLost: the connection broke, or a polling request was cancelled.
	ReasonLost Reason = "lost"
	// ReasonPingTimeout: the pong did not come in time, or no poll.
	ReasonPingTimeout Reason = "ping_timeout"
	// ReasonProtocol: the client broke the protocol.
	ReasonProtocol Reason = "protocol"
	// ReasonTooLarge: the client sent more than MaxPayload at once.
	ReasonTooLarge Reason = "too_large"
	// ReasonSlow: the client did not read.
	ReasonSlow Reason = "slow"
	// ReasonShutdown: the server is stopping.
	ReasonShutdown Reason = "shutdown"
)

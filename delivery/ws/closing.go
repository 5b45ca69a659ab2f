package ws

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socket"
	"github.com/orderlog/orderlog/domain"
)

// closing is how a connection ends. The zero value is a connection that is gone: there is nobody to tell.
type closing struct {
	code   int
	reason string
	last   []byte // an object to send before; may be nil
	byPeer bool   // the client has begun it
}

// closeFor ends a connection because of a code, whose name is the reason.
func closeFor(code domain.Code) closing {
	return closing{code: delivery.OutcomeOf(code).Close, reason: string(code)}
}

// goingAway ends a connection because the server stops, and asks the client to come back after a while that differs
// from client to client.
func goingAway(spread time.Duration) closing {
	after := spread/10 + rand.N(spread-spread/10)
	return closing{
		code: websocket.CloseGoingAway, reason: "going_away",
		last: encodeAnswer(answer{Event: "reconnect", Data: session.Reconnect{AfterMs: after.Milliseconds()}}),
	}
}

// closeOf says how to answer an error of the socket's reader.
func closeOf(err error) closing {
	var byPeer *websocket.CloseError
	switch {
	case errors.As(err, &byPeer):
		if byPeer.Code == websocket.CloseNoStatusReceived {
			return closing{code: websocket.CloseNormalClosure, byPeer: true}
		}
		return closing{code: byPeer.Code, byPeer: true}
	case errors.Is(err, socket.ErrTooManyFrames):
		return closeFor(domain.CodeRateLimited)
	case socket.IsProtocolError(err):
		return closeFor(delivery.CodeBadMessage)
	}
	return closing{}
}

package session

import (
	"errors"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

// Codes of errors that only clients that are connected get.
const (
	CodeUnknownEvent      domain.Code = "unknown_event"
	CodeAlreadyRegistered domain.Code = "already_registered"
	CodeTooManyRooms      domain.Code = "too_many_rooms"
)

// ErrAnotherUser says that a refresh brought the token of another user, or of another role.
var ErrAnotherUser = domain.Errorf(domain.CodeForbidden, "the new token is of another user or role: connect again with it")

var (
	errTokenExpired = domain.Errorf(delivery.CodeTokenExpired, "the token has expired: get a new one")
	errAnonymous    = domain.Errorf(domain.CodeUnauthenticated, "this needs a token: connect again with one")
	errUnknownEvent = domain.Errorf(CodeUnknownEvent, "there is no such event: see the protocol's page for those there are")
)

// FailureOf is what a client is told of an error. logIt says that it hides what went wrong on this side, which belongs
// into the log unless the connection has just ended.
func FailureOf(err error) (f Failure, logIt bool) {
	var known *domain.Error
	switch {
	case errors.As(err, &known):
		return Failure{known.Code, known.Message}, false
	case errors.Is(err, delivery.ErrExpired):
		return Failure{delivery.CodeCursorExpired, "the cursor is older than what is kept: read the state anew and join without lastSeq"}, false
	case errors.Is(err, delivery.ErrEnded):
		return Failure{domain.CodeUnavailable, "the right to this changes all the time: try again in a moment"}, false
	}
	return Failure{domain.CodeUnavailable, "this could not be done now: try again in a moment"}, true
}

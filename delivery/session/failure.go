package session

import "github.com/orderlog/orderlog/domain"

// ErrAnotherUser says that a refresh brought the token of another user, or of another role.
var ErrAnotherUser = domain.Errorf(domain.CodeForbidden, "the new token is of another user or role: connect again with it")

// Codes of errors that only clients that are connected get.
const (
	CodeUnknownEvent      domain.Code = "unknown_event"
	CodeAlreadyRegistered domain.Code = "already_registered"
	CodeTooManyRooms      domain.Code = "too_many_rooms"
)

package commands

import (
	"context"
	"errors"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

// refusals says what a client is told of the store's errors. The first that matches
// counts: an unknown outcome may wrap the end of a context, and must not pass for it.
var refusals = []struct {
	cause   error
	code    domain.Code
	message string
}{
	{eventstore.ErrOutcomeUnknown, domain.CodeOutcomeUnknown, "the connection to the database was lost at the commit: repeat the request with the same Idempotency-Key, or look whether it was done"},
	{eventstore.ErrIdempotencyMismatch, domain.CodeIdempotencyMismatch, "this Idempotency-Key was used for another request: use a new one"},
	{eventstore.ErrOverloaded, domain.CodeOverloaded, "too much is asked at once: nothing was done, try again in a moment"},
	{eventstore.ErrUnavailable, domain.CodeUnavailable, "the database cannot be reached: nothing was done, try again in a moment"},
	{eventstore.ErrClosed, domain.CodeUnavailable, "the server is stopping: nothing was done, try again"},
	{context.Canceled, domain.CodeUnavailable, "the request was given up: nothing was done"},
	{context.DeadlineExceeded, domain.CodeUnavailable, "the request took too long: nothing was done, try again"},
}

// refusal turns an error of the store into what a client is told. Errors that are not
// the client's business, and conflicts, stay as they are.
func refusal(err error) error {
	for _, r := range refusals {
		if errors.Is(err, r.cause) {
			return domain.Errorf(r.code, "%s", r.message).WithCause(err)
		}
	}
	return err
}

// readRefusal is refusal for what only reads: whatever went wrong, nothing was done and
// asking again is safe.
func readRefusal(err error) error {
	var known *domain.Error
	if refused := refusal(err); errors.As(refused, &known) {
		return refused
	}
	return domain.Errorf(domain.CodeUnavailable, "the database could not be read: nothing was done, try again in a moment").WithCause(err)
}

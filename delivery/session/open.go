package session

import (
	"context"
	"errors"

	"github.com/orderlog/orderlog/internal/auth"
)

// Start is where a session begins.
type Start struct {
	// LastSeq is the last seq that the client was told of, and Log the id of the log it is of, if the client knows it. nil:
	// it is told what comes from now on. 0: all that is kept.
	LastSeq *int64
	Log     string
	// Rooms to be in from the beginning, order:ID and delivery:AGENT.
	Rooms []string
	// RoomsFrom is the seq from which a room counts, by the room's name as it was acknowledged; those that are not in it, and
	// those that count from before LastSeq, do from LastSeq. A room whose past is not the client's to see counts from now.
	RoomsFrom map[string]int64
	// Wake is as in delivery.Wanted. It may be nil.
	Wake chan struct{}
}

// Open begins the session of a user, whose rights to the rooms are checked here; those that are refused are in
// Registered. remoteAddr is the client's IP address, empty when it has none. It waits for the hub to be ready. Close it
// when done. Errors: a *domain.Error unavailable, whose cause is logged, or the context's.
func (s *Service) Open(ctx context.Context, user auth.Identity, remoteAddr string, start Start) (*Session, error) {
	return nil, errors.New("not yet")
}

// OpenAnonymous begins the session of a client that has no token. It is told what channel all carries, and may do
// nothing. Rooms are refused. Errors as of Open.
func (s *Service) OpenAnonymous(ctx context.Context, start Start) (*Session, error) {
	return nil, errors.New("not yet")
}

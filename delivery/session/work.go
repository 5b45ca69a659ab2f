package session

import (
	"context"
	"errors"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/gate"
)

// maxWaiting is no bound of its own: a connection waits with one message at a time, and connections are bounded.
const maxWaiting = 1 << 20

var errOverloaded = domain.Errorf(domain.CodeOverloaded, "more is asked than can be done now, and nothing was done: try again in a moment")

// work waits until the database may be asked on behalf of a connection. There are many of those, and all at once they would
// keep the requests waiting, which are answered in a moment or not at all.
func (s *Service) work(ctx context.Context) (done func(), err error) {
	place, err := s.gate.Enter(ctx)
	if errors.Is(err, gate.ErrFull) {
		return nil, errOverloaded
	}
	if err != nil {
		return nil, err
	}
	return place.Leave, nil
}

package commands

import (
	"context"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/eventstore"
)

// SetBusinessStatus asks to open or close the business.
type SetBusinessStatus struct {
	IsOpen       bool
	BusinessName string // empty: as it was
	Message      string // for the customers; empty: a default
}

// SetBusinessStatus opens or closes the business, and announces it also when it already
// was as asked. Admins may.
func (s *Service) SetBusinessStatus(ctx context.Context, req Request, cmd SetBusinessStatus) (Outcome[business.Business], error) {
	c := command{name: "open or close the business", roles: []domain.Role{domain.RoleAdmin}, asked: cmd, reason: cmd.Message}
	return execute(ctx, s, req, c, onStream(s, businessStream(), business.Initial(),
		func(b business.Business) ([]domain.Event, error) { return b.SetStatus(business.SetStatus(cmd)) }))
}

func businessStream() eventstore.StreamID {
	return eventstore.StreamID{Type: business.StreamType, ID: business.StreamID}
}

package ws

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/internal/auth"
)

// Locator takes what couriers say of where they are.
type Locator interface {
	// ReportLocation says that the order which the user carries is at a point. remoteAddr is the client's IP address,
	// empty when it has none. A refusal is a domain.Error.
	ReportLocation(ctx context.Context, user auth.Identity, remoteAddr string, orderID uuid.UUID, p courier.Point) (Located, error)
}

// Located acknowledges a location. One that comes too soon behind another is not kept.
type Located struct {
	OrderID uuid.UUID `json:"orderId" format:"uuid"` // set by the Handler
	Kept    bool      `json:"kept"`
	At      time.Time `json:"at,omitzero" doc:"When it was recorded."`
	Seq     int64     `json:"seq,omitempty" doc:"The seq that tells of it."`
}

// locateWait is how long a location may keep the client's next message waiting.
const locateWait = 5 * time.Second

// locate passes on where a courier is.
func (r *reader) locate(ctx context.Context, req request) {
	orderID, point, err := decodeLocation(req.Data)
	if err != nil {
		r.refuse(ctx, req, err)
		return
	}
	if r.cfg.Locator == nil {
		r.fail(req, domain.CodeUnavailable, "locations are not taken here")
		return
	}
	limited, cancel := context.WithTimeout(ctx, locateWait)
	defer cancel()
	located, err := r.cfg.Locator.ReportLocation(limited, r.user, r.remoteAddr, orderID, point)
	if err != nil {
		r.refuse(ctx, req, err)
		return
	}
	located.OrderID = orderID
	r.ack(req, located)
}

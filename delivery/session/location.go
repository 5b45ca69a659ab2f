package session

import (
	"context"
	"encoding/json"
	"time"

	"github.com/orderlog/orderlog/domain"
)

// locateWait is how long a location may keep the client's next message waiting.
const locateWait = 5 * time.Second

// locate passes on where a courier is.
func (x *Session) locate(ctx context.Context, data json.RawMessage) (Reply, error) {
	orderID, point, err := decodeLocation(data)
	if err != nil {
		return Reply{}, err
	}
	locator := x.service.cfg.Locator
	if locator == nil {
		return Reply{}, domain.Errorf(domain.CodeUnavailable, "locations are not taken here")
	}
	limited, cancel := context.WithTimeout(ctx, locateWait)
	defer cancel()
	located, err := locator.ReportLocation(limited, x.user, x.remoteAddr, orderID, point)
	located.OrderID = orderID
	return Reply{Data: located}, err
}

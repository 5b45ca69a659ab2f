package session

import (
	"context"
	"encoding/json"

	"github.com/orderlog/orderlog/domain"
)

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
	done, err := x.service.work(ctx)
	if err != nil {
		return Reply{}, err
	}
	defer done()
	located, err := locator.ReportLocation(ctx, x.user, x.remoteAddr, orderID, point)
	located.OrderID = orderID
	return Reply{Data: located}, err
}

package projections

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// Channels of the notification log. A connection is in ChannelAll, in the channel of its role and in that
// of its user; orders and couriers have channels that it may join.
const ChannelAll = "all"

// ChannelRole is the channel of everyone with a role.
func ChannelRole[R ~string](role R) string { return "role:" + string(role) }

// ChannelUser is the channel of one user.
func ChannelUser(id string) string { return "user:" + id }

// ChannelOrder is the channel of those who follow one order.
func ChannelOrder(id uuid.UUID) string { return "order:" + id.String() }

// ChannelCourier is the channel of those who follow one courier.
func ChannelCourier(agentID string) string { return "delivery:" + agentID }

// Ending says that an event took a right away: whoever is connected as User in Role leaves Channel, and hears of the
// event only if another of its channels carries it.
type Ending struct {
	Channel string `json:"channel"`
	User    string `json:"user"`
	Role    string `json:"role"`
}

// about is whom and what an event is about; the ids that the catalogue's channels leave open.
type about struct {
	customer string // or whoever else user:ID is
	agent    string // empty: none
	order    uuid.UUID
}

// Notify is the whole mapping from what happened to what the outside is told, through which channels, and to
// who must stop listening: a pure function of the event. ok is false for an event that nobody is told of. Which
// channels carry which event is in the catalogue; see [Catalogue].
func Notify(e Event) (n Notification, ok bool, err error) {
	switch b := e.Body.(type) {
	case business.Opened:
		return e.tell(EventBusinessStatus, businessStatus{true, b.BusinessName, b.Message}, about{})
	case business.Closed:
		return e.tell(EventBusinessStatus, businessStatus{false, b.BusinessName, b.Message}, about{})

	case order.Placed:
		return e.tell(EventOrderNew, orderNew{
			b.OrderID, b.OrderNumber, b.CustomerName, b.Items, b.Subtotal, b.Discount, b.TotalAmount, b.Currency,
		}, about{b.CustomerID, "", b.OrderID})
	case order.StatusChanged:
		return e.tell(EventOrderStatus, orderStatus{b.OrderID, b.OrderNumber, b.To, b.Message},
			about{b.CustomerID, b.AgentID, b.OrderID})
	case order.Assigned:
		return e.tell(EventOrderAssigned, orderAssigned{b.OrderID, b.OrderNumber, b.AgentID},
			about{b.CustomerID, b.AgentID, b.OrderID}, taken(b)...)
	case order.Cancelled:
		return e.tell(EventOrderCancelled, orderCancelled{b.OrderID, b.OrderNumber, b.Reason, b.RefundDue},
			about{b.CustomerID, b.AgentID, b.OrderID})

	case courier.StatusChanged:
		return e.tell(EventDeliveryStatus, deliveryStatus{b.AgentID, b.Status, b.CurrentOrder}, about{agent: b.AgentID})
	case courier.OrderTaken:
		return e.tell(EventDeliveryStatus, deliveryStatus{b.AgentID, b.Status, &b.OrderID}, about{agent: b.AgentID})
	case courier.OrderReleased:
		return e.tell(EventDeliveryStatus, deliveryStatus{b.AgentID, b.Status, nil}, about{agent: b.AgentID}, released(b))
	case courier.Located:
		return e.tell(EventDeliveryLocation, deliveryLocation{
			b.OrderID, b.AgentID, Location{b.Latitude, b.Longitude}, Motion{b.Speed, b.Heading, b.Accuracy},
		}, about{b.CustomerID, b.AgentID, b.OrderID})

	case payment.Captured:
		return e.tell(EventPaymentReceived, paymentOf(b.Of, b.Amount, ""), about{customer: b.CustomerID, order: b.OrderID})
	case payment.Failed:
		return e.tell(EventPaymentFailed, paymentOf(b.Of, b.Amount, b.Reason), about{customer: b.CustomerID, order: b.OrderID})
	case payment.Refunded:
		return e.tell(EventPaymentRefunded, paymentOf(b.Of, b.Amount, b.Reason), about{customer: b.CustomerID, order: b.OrderID})

	case inbox.Entered:
		return e.tell(EventNotificationNew, notificationNew{b.ID, b.Title, b.Message, b.Type, b.OrderID}, about{customer: b.UserID})

	case offer.Created:
		return e.tell(EventOfferNew, offerOf(b.Terms), about{})
	case offer.Updated:
		return e.tell(EventOfferUpdated, offerOf(b.Terms), about{})
	case offer.Withdrawn:
		return e.tell(EventOfferWithdrawn, offerOf(b.Terms), about{})
	}
	return Notification{}, false, nil
}

// taken ends the order's room for the courier from whom an order was taken.
func taken(e order.Assigned) []Ending {
	if e.PreviousAgentID == "" {
		return nil
	}
	return []Ending{{ChannelOrder(e.OrderID), e.PreviousAgentID, string(domain.RoleDelivery)}}
}

// released ends the courier's room for the customer whose order it carried. A courier carries one order at a
// time, so there is no other because of which that customer may still follow it.
func released(e courier.OrderReleased) Ending {
	return Ending{ChannelCourier(e.AgentID), e.CustomerID, string(domain.RoleCustomer)}
}

// channels are those of an event, with the ids filled in.
func (a about) channels(event string) []string {
	named := channelsOf[event]
	channels := make([]string, 0, len(named))
	for _, name := range named {
		switch name {
		case toCustomer, toUser:
			name = ChannelUser(a.customer)
		case toOrder:
			name = ChannelOrder(a.order)
		case toAgent, toCourier:
			if a.agent == "" {
				continue
			}
			if name == toAgent {
				name = ChannelUser(a.agent)
			} else {
				name = ChannelCourier(a.agent)
			}
		}
		channels = append(channels, name)
	}
	return channels
}

func (e Event) tell(event string, payload any, a about, endings ...Ending) (Notification, bool, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return Notification{}, false, fmt.Errorf("payload of %s for seq %d: %w", event, e.Seq, err)
	}
	return Notification{
		Seq: e.Seq, Event: event, Channels: a.channels(event), Data: data, At: e.RecordedAt, Endings: endings,
	}, true, nil
}

package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

// PlaceOrder asks for a new order of the actor. Names and prices are the menu's.
type PlaceOrder struct {
	Items           []OrderItem
	DeliveryAddress string
	CustomerName    string // empty: the token's name, else the user id
	OfferCode       string // empty: none
	PaymentMethod   string // cod, card, upi or wallet
	Note            string
}

// OrderItem is a line of a PlaceOrder.
type OrderItem struct {
	Product  string // the product's id
	Quantity int64
}

// PlaceOrder places an order. Customers may. It is held to the business being open, and
// to the products as they are, at the commit.
func (s *Service) PlaceOrder(ctx context.Context, req Request, cmd PlaceOrder) (Outcome[order.Order], error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome[order.Order]{}, fmt.Errorf("make an order id: %w", err)
	}
	p := placing{service: s, id: id, actor: req.Actor, cmd: cmd}
	c := command{name: "place an order", roles: []domain.Role{domain.RoleCustomer}, asked: cmd}
	return execute(ctx, s, req, c, p.decide)
}

// placing is one PlaceOrder over all its attempts.
type placing struct {
	service *Service
	id      uuid.UUID
	actor   Actor
	cmd     PlaceOrder
	number  string // the order's; taken once
}

func (p *placing) decide(ctx context.Context) (change[order.Order], error) {
	place, err := p.ask()
	if err != nil {
		return change[order.Order]{}, err
	}
	onMenu, checks, err := p.load(ctx, place.Items)
	if err != nil {
		return change[order.Order]{}, err
	}
	if p.number == "" {
		if p.number, err = p.service.numbers.NextOrderNumber(ctx); err != nil {
			return change[order.Order]{}, readRefusal(err)
		}
	}
	place.OrderNumber = p.number
	none := loaded[order.Order]{stream: orderStream(p.id)}
	events, err := none.state.Place(place, onMenu, nil)
	if err != nil {
		return change[order.Order]{}, err
	}
	return decided(none, events, checks...)
}

// ask turns the request into what the aggregate is asked, without its number.
func (p *placing) ask() (order.Place, error) {
	place := order.Place{
		OrderID: p.id, CustomerID: p.actor.UserID, CustomerName: p.cmd.CustomerName,
		DeliveryAddress: p.cmd.DeliveryAddress, PaymentMethod: p.cmd.PaymentMethod,
		Note: p.cmd.Note, OfferCode: p.cmd.OfferCode,
	}
	for _, name := range []string{p.actor.Name, p.actor.UserID} {
		if strings.TrimSpace(place.CustomerName) == "" {
			place.CustomerName = name
		}
	}
	for i, item := range p.cmd.Items {
		id, err := uuid.Parse(item.Product)
		if err != nil {
			return place, domain.Invalid(fmt.Sprintf("items[%d].product", i), "must be the id of a product, a UUID").With("index", i)
		}
		place.Items = append(place.Items, order.PlaceItem{Product: id, Quantity: item.Quantity})
	}
	if err := place.Validate(); err != nil {
		return place, err
	}
	if place.OfferCode != "" {
		return place, domain.Errorf(domain.CodeOfferNotFound, "there is no offer %q: order without it", place.OfferCode).
			With("field", "offerCode")
	}
	return place, nil
}

// load returns the products that were asked for and exist, and the checks that hold the
// append to what was read. It refuses while the business is closed.
func (p *placing) load(ctx context.Context, items []order.PlaceItem) (map[uuid.UUID]menu.Product, []eventstore.StreamAppend, error) {
	onMenu := make(map[uuid.UUID]menu.Product, len(items))
	ids := []eventstore.StreamID{businessStream()}
	for _, item := range items {
		if _, seen := onMenu[item.Product]; !seen { // a product may be on two lines
			onMenu[item.Product] = menu.Product{}
			ids = append(ids, productStream(item.Product))
		}
	}
	streams, err := p.service.read(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	shop, err := fold(ids[0], business.Initial(), streams[ids[0]])
	if err != nil {
		return nil, nil, err
	}
	if err := shop.state.CheckOpen(); err != nil {
		return nil, nil, err
	}
	checks := []eventstore.StreamAppend{shop.check()}
	for _, id := range ids[1:] {
		product, err := fold(id, menu.Product{}, streams[id])
		if err != nil {
			return nil, nil, err
		}
		onMenu[id.ID] = product.state
		checks = append(checks, product.check())
	}
	return onMenu, checks, nil
}

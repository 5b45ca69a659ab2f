package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
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

// PlaceOrder places an order. Customers may. It is held to the business being open, to the
// products and the offer as they are, and to a use of the offer being left, at the commit.
func (s *Service) PlaceOrder(ctx context.Context, req Request, cmd PlaceOrder) (Outcome[order.Order], error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome[order.Order]{}, fmt.Errorf("make an order id: %w", err)
	}
	p := placing{service: s, id: id, actor: req.Actor, cmd: cmd}
	c := command{name: "place an order", roles: []domain.Role{domain.RoleCustomer}, asked: cmd}
	if cmd.OfferCode != "" {
		c.contended = tallyStream(cmd.OfferCode, "")
	}
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

// basis is what an order is decided on.
type basis struct {
	onMenu map[uuid.UUID]menu.Product
	offer  offer.Offer
	uses   tallies
	checks []eventstore.StreamAppend // that hold the append to what was read
}

func (p *placing) decide(ctx context.Context) (change[order.Order], error) {
	place, err := p.ask()
	if err != nil {
		return change[order.Order]{}, err
	}
	b, err := p.load(ctx, place)
	if err != nil {
		return change[order.Order]{}, err
	}
	var discount func(domain.Money) (int64, error)
	if place.OfferCode != "" {
		place.OfferCode = b.offer.Code // as it is spelled there
		discount = func(subtotal domain.Money) (int64, error) {
			return b.offer.Discount(subtotal.Amount, p.service.opts.Now(), b.uses.all.state, b.uses.own.state)
		}
	}
	none := loaded[order.Order]{stream: orderStream(p.id)}
	if p.number == "" {
		if _, err := none.state.Place(place, b.onMenu, discount); err != nil { // takes no number
			return change[order.Order]{}, err
		}
		if p.number, err = p.service.numbers.NextOrderNumber(ctx); err != nil {
			return change[order.Order]{}, readRefusal(err)
		}
	}
	place.OrderNumber = p.number
	events, err := none.state.Place(place, b.onMenu, discount)
	if err != nil {
		return change[order.Order]{}, err
	}
	if place.OfferCode == "" {
		return decided(none, events, b.checks...)
	}
	counted, err := b.uses.count(p.id)
	if err != nil {
		return change[order.Order]{}, err
	}
	return decided(none, events, append(counted, b.checks...)...)
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
	var err error
	if place.Items, err = placeItems(p.cmd.Items); err != nil {
		return place, err
	}
	return place, place.Validate()
}

// load reads what the order depends on. It refuses while the business is closed.
func (p *placing) load(ctx context.Context, place order.Place) (basis, error) {
	ids := append([]eventstore.StreamID{businessStream()}, productStreams(place.Items)...)
	if place.OfferCode != "" {
		ids = append(ids, offerStream(place.OfferCode))
	}
	streams, err := p.service.read(ctx, ids)
	if err != nil {
		return basis{}, err
	}
	shop, err := fold(businessStream(), business.Initial(), streams[businessStream()])
	if err != nil {
		return basis{}, err
	}
	if err := shop.state.CheckOpen(); err != nil {
		return basis{}, err
	}
	b := basis{checks: []eventstore.StreamAppend{shop.check()}}
	products, err := foldProducts(place.Items, streams)
	if err != nil {
		return basis{}, err
	}
	b.onMenu = onMenu(products)
	for _, product := range products {
		b.checks = append(b.checks, product.check())
	}
	if place.OfferCode == "" {
		return b, nil
	}
	asked, err := existingOffer(place.OfferCode, streams)
	if err != nil {
		return basis{}, err
	}
	b.offer, b.checks = asked.state, append(b.checks, asked.check())
	b.uses, err = p.service.tallies(ctx, b.offer.Code, p.actor.UserID)
	return b, err
}

// placeItems turns lines as the customer wrote them into what the aggregate is asked.
func placeItems(items []OrderItem) ([]order.PlaceItem, error) {
	var lines []order.PlaceItem
	for i, item := range items {
		id, err := uuid.Parse(item.Product)
		if err != nil {
			return nil, domain.Invalid(fmt.Sprintf("items[%d].product", i), "must be the id of a product, a UUID").With("index", i)
		}
		lines = append(lines, order.PlaceItem{Product: id, Quantity: item.Quantity})
	}
	return lines, nil
}

// productStreams names the products of some lines, each once: a product may be on two.
func productStreams(items []order.PlaceItem) []eventstore.StreamID {
	var ids []eventstore.StreamID
	for _, item := range items {
		if id := productStream(item.Product); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func foldProducts(items []order.PlaceItem, streams map[eventstore.StreamID][]eventstore.Recorded) ([]loaded[menu.Product], error) {
	var products []loaded[menu.Product]
	for _, id := range productStreams(items) {
		product, err := fold(id, menu.Product{}, streams[id])
		if err != nil {
			return nil, err
		}
		products = append(products, product)
	}
	return products, nil
}

func onMenu(products []loaded[menu.Product]) map[uuid.UUID]menu.Product {
	m := make(map[uuid.UUID]menu.Product, len(products))
	for _, p := range products {
		m[p.stream.ID] = p.state
	}
	return m
}

// existingOffer is the offer of a code, or the refusal if there is none.
func existingOffer(code string, streams map[eventstore.StreamID][]eventstore.Recorded) (loaded[offer.Offer], error) {
	l, err := fold(offerStream(code), offer.Offer{}, streams[offerStream(code)])
	if err == nil && l.version == 0 {
		err = domain.Errorf(domain.CodeOfferNotFound, "there is no offer %q: order without it", code).With("field", "offerCode")
	}
	return l, err
}

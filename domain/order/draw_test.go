package order_test

import (
	"fmt"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
)

func drawActor(t *rapid.T) domain.Actor {
	return domain.Actor{
		UserID: rapid.SampledFrom([]string{"c1", "c2", "a1", "a2", "boss", ""}).Draw(t, "user"),
		Role:   rapid.SampledFrom([]domain.Role{domain.RoleCustomer, domain.RoleAdmin, domain.RoleDelivery}).Draw(t, "role"),
	}
}

var productIDs = []uuid.UUID{dosa, chai, soldOut, archived}

// drawMenu mostly draws what can be ordered, so that most orders come to life.
func drawMenu(t *rapid.T) map[uuid.UUID]menu.Product {
	products := map[uuid.UUID]menu.Product{}
	for i, id := range productIDs {
		products[id] = menu.Product{
			ID: id, Version: 1, Name: fmt.Sprintf("product %d", i), Currency: "EUR",
			Price:     rapid.Int64Range(0, domain.MaxPrice).Draw(t, "price"),
			Available: rapid.IntRange(0, 9).Draw(t, "available") > 0,
			Archived:  rapid.IntRange(0, 9).Draw(t, "archived") == 9,
		}
	}
	return products
}

func drawPlace(t *rapid.T) order.Place {
	item := rapid.Custom(func(t *rapid.T) order.PlaceItem {
		return order.PlaceItem{
			Product:  rapid.SampledFrom(productIDs).Draw(t, "product"),
			Quantity: rapid.Int64Range(1, order.MaxQuantity).Draw(t, "quantity"),
		}
	})
	return order.Place{
		OrderID: orderID, OrderNumber: "ORD-000001", CustomerName: "Ann",
		CustomerID:      rapid.SampledFrom([]string{"c1", "c2"}).Draw(t, "customer"),
		Items:           rapid.SliceOfN(item, 0, 6).Draw(t, "items"),
		DeliveryAddress: rapid.StringN(0, 30, -1).Draw(t, "address"),
		PaymentMethod:   rapid.SampledFrom([]string{"cod", "card", "upi", "wallet"}).Draw(t, "payment"),
	}
}

// drawDiscount draws what offers do, and what none should.
func drawDiscount(t *rapid.T, cmd *order.Place) func(domain.Money) (int64, error) {
	cmd.OfferCode = rapid.SampledFrom([]string{"", "TEN"}).Draw(t, "offer")
	if cmd.OfferCode == "" {
		return nil
	}
	percent := rapid.Int64Range(0, 100).Draw(t, "percent")
	return func(subtotal domain.Money) (int64, error) {
		if percent == 100 {
			return 0, domain.Errorf(domain.CodeOfferNotApplicable, "too good to be true: order without it")
		}
		return subtotal.Amount / 100 * percent, nil
	}
}

var paymentIDs = []uuid.UUID{{15: 1}, {15: 2}}

func drawPayment(t *rapid.T) uuid.UUID { return rapid.SampledFrom(paymentIDs).Draw(t, "payment") }

package projections

import (
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// Payloads of the events to clients, with the fields that clients of the old server know. Amounts are minor
// units of the currency beside them.
type (
	businessStatus struct {
		IsOpen       bool   `json:"isOpen"`
		BusinessName string `json:"businessName"`
		Message      string `json:"message"`
	}
	orderNew struct {
		OrderID      uuid.UUID    `json:"orderId"`
		OrderNumber  string       `json:"orderNumber"`
		CustomerName string       `json:"customerName"`
		Items        []order.Item `json:"items"`
		Subtotal     int64        `json:"subtotal"`
		Discount     int64        `json:"discount"`
		TotalAmount  int64        `json:"totalAmount"`
		Currency     string       `json:"currency"`
	}
	orderStatus struct {
		OrderID     uuid.UUID    `json:"orderId"`
		OrderNumber string       `json:"orderNumber"`
		Status      order.Status `json:"status"`
		Message     string       `json:"message"`
	}
	orderAssigned struct {
		OrderID     uuid.UUID `json:"orderId"`
		OrderNumber string    `json:"orderNumber"`
		AgentID     string    `json:"agentId"`
	}
	orderCancelled struct {
		OrderID     uuid.UUID `json:"orderId"`
		OrderNumber string    `json:"orderNumber"`
		Reason      string    `json:"reason"`
		RefundDue   int64     `json:"refundDue"` // minor units of the order's currency
	}
	deliveryStatus struct {
		DeliveryBoyID string         `json:"deliveryBoyId"`
		Status        courier.Status `json:"status"`
		CurrentOrder  *uuid.UUID     `json:"currentOrder"` // null: none
	}
	deliveryLocation struct {
		OrderID       uuid.UUID `json:"orderId"`
		DeliveryBoyID string    `json:"deliveryBoyId"`
		Location      Location  `json:"location"`
		Motion
	}
	paymentNews struct {
		OrderID       uuid.UUID      `json:"orderId"`
		OrderNumber   string         `json:"orderNumber"`
		PaymentID     uuid.UUID      `json:"paymentId"`
		Amount        int64          `json:"amount"` // that came in, was asked for, or was given back
		Currency      string         `json:"currency"`
		PaymentMethod payment.Method `json:"paymentMethod"`
		Reason        string         `json:"reason,omitempty"`
	}
	notificationNew struct {
		ID      uuid.UUID  `json:"id"`
		Title   string     `json:"title"`
		Message string     `json:"message"`
		Type    string     `json:"type"`
		OrderID *uuid.UUID `json:"orderId,omitempty"`
	}
	offerNews struct {
		Code          string             `json:"code"`
		Description   string             `json:"description"`
		DiscountType  offer.DiscountType `json:"discountType"`
		DiscountValue int64              `json:"discountValue"`
		MinOrder      int64              `json:"minOrder"`
		MaxDiscount   int64              `json:"maxDiscount"`
		StartsAt      *time.Time         `json:"startsAt,omitempty"`
		EndsAt        *time.Time         `json:"endsAt,omitempty"`
	}
)

// Location is a place on earth.
type Location struct {
	Lat float64 `json:"lat"` // degrees north
	Lng float64 `json:"lng"` // degrees east
}

// Motion is what a phone may know beside the place. Nil: it did not say.
type Motion struct {
	Speed    *float64 `json:"speed,omitempty"`    // metres a second
	Heading  *float64 `json:"heading,omitempty"`  // degrees from north, clockwise
	Accuracy *float64 `json:"accuracy,omitempty"` // metres
}

func paymentOf(of payment.Of, amount int64, reason string) paymentNews {
	return paymentNews{of.OrderID, of.OrderNumber, of.PaymentID, amount, of.Currency, of.Method, reason}
}

func offerOf(t offer.Terms) offerNews {
	return offerNews{
		t.Code, t.Description, t.DiscountType, t.DiscountValue, t.MinOrder, t.MaxDiscount, t.StartsAt, t.EndsAt,
	}
}

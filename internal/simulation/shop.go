package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// dishes are the menu of the evening. Prices are in cents.
var dishes = []struct {
	name, description string
	price             int64
}{
	{"Margherita", "Tomato, mozzarella, basil", 950},
	{"Quattro Formaggi", "Four cheeses, no regrets", 1250},
	{"Diavola", "Spicy salami, chilli oil", 1190},
	{"Masala Dosa", "Potato filling, two chutneys", 890},
	{"Paneer Tikka", "From the clay oven", 1090},
	{"Chicken Biryani", "Saffron rice, raita", 1350},
	{"Pad Thai", "Tamarind, peanuts, lime", 1150},
	{"Falafel Plate", "Hummus, pickles, flatbread", 980},
	{"Caesar Salad", "Anchovies on the side", 850},
	{"Tiramisu", "Made this morning", 550},
	{"Mango Lassi", "Half a litre", 420},
	{"Lemonade", "With mint", 350},
}

const currency = "EUR"

// shop is the business for the evening: how it was found, what is on the menu, and the offer.
type shop struct {
	found    bool // it was looked at
	open     bool // as found
	message  string
	left     bool     // as it was found
	products []string // ids, in the order of dishes
	offer    offer
}

// offer takes a percentage off, up to an amount, for so many orders and so many of one customer.
type offer struct {
	Code           string `json:"code"`
	Description    string `json:"description"`
	DiscountType   string `json:"discountType"`
	DiscountValue  int64  `json:"discountValue"`
	MinOrder       int64  `json:"minOrder"`
	MaxDiscount    int64  `json:"maxDiscount"`
	MaxUses        int64  `json:"maxUses"`
	MaxUsesPerUser int64  `json:"maxUsesPerUser"`

	uses atomic.Int64 // by orders that stand
}

// discount is what the offer takes off, by its own rules.
func (o *offer) discount(subtotal int64) int64 {
	return min(subtotal*o.DiscountValue/100, o.MaxDiscount, subtotal)
}

// openShop opens the business, and puts a menu and an offer of this run's own there.
func (e *evening) openShop(ctx context.Context) error {
	admin := e.admins[0].user
	var found struct {
		IsOpen  bool   `json:"isOpen"`
		Message string `json:"message"`
	}
	if _, err := e.api.get(ctx, admin, "/business", &found); err != nil {
		return err
	}
	e.shop.found, e.shop.open, e.shop.message = true, found.IsOpen, found.Message
	if !found.IsOpen {
		if _, err := e.api.patch(ctx, admin, "/business/status", map[string]any{"isOpen": true}, nil); err != nil {
			return err
		}
	}
	for _, d := range dishes {
		var made struct {
			ID string `json:"id"`
		}
		_, err := e.api.post(ctx, admin, "/products", map[string]any{
			"name": d.name, "description": d.description, "price": d.price, "currency": currency, "available": true,
		}, &made)
		if err != nil {
			return err
		}
		e.shop.products = append(e.shop.products, made.ID)
	}
	// About a third of the orders want it, and the last of them find it used up.
	e.shop.offer.Code = "EVENING-" + e.tag
	e.shop.offer.Description = "A fifth off tonight"
	e.shop.offer.DiscountType, e.shop.offer.DiscountValue = "percent", 20
	e.shop.offer.MinOrder, e.shop.offer.MaxDiscount = 1000, 800
	e.shop.offer.MaxUses, e.shop.offer.MaxUsesPerUser = max(1, int64(e.cfg.Orders)/6), 3
	if _, err := e.api.post(ctx, admin, "/offers", &e.shop.offer, nil); err != nil {
		return err
	}
	e.shop.offer.Description = "A fifth off tonight, while it lasts"
	_, err := e.api.patch(ctx, admin, "/offers/"+e.shop.offer.Code, map[string]any{"description": e.shop.offer.Description}, nil)
	return err
}

// tidy takes back what the run put there, as far as the server lets it: the offer is withdrawn and the menu archived.
func (e *evening) tidy(ctx context.Context) error {
	admin := e.admins[0].user
	var faults []error
	for _, id := range e.shop.products {
		if _, err := e.api.delete(ctx, admin, "/products/"+id); err != nil {
			faults = append(faults, err)
		}
	}
	if e.shop.offer.Code != "" {
		if _, err := e.api.delete(ctx, admin, "/offers/"+e.shop.offer.Code); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// lastCall announces the business as it was found, to everybody: the last thing that the run's clients have to hear.
// It returns its seq.
func (e *evening) lastCall(ctx context.Context) (int64, error) {
	body := map[string]any{"isOpen": e.shop.open}
	if e.shop.message != "" {
		body["message"] = e.shop.message
	}
	seq, err := e.api.patch(ctx, e.admins[0].user, "/business/status", body, nil)
	if err == nil && seq == 0 {
		err = errors.New("the answer to PATCH /business/status has no X-Seq")
	}
	if err != nil {
		return 0, fmt.Errorf("the business cannot be left as it was found: %w", err)
	}
	e.shop.left = true
	return seq, nil
}

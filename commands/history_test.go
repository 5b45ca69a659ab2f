package commands_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/commands/commandstest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/internal/paysandbox"
)

// A step of a random history: what is asked, and numbers that choose by whom and of what. A history
// of such steps can be asked of any log.
type step struct {
	What          string
	Who, Which, N int
}

var whats = []string{
	"place", "place", "place", "place with an offer", "place with an offer", "go on", "go on", "go on", "go on", "any status", "deliver", "cancel",
	"courier status", "courier status", "assign", "assign", "assign", "locate", "locate",
	"pay", "pay", "pay by cash", "collect", "refund", "refund", "captured", "captured", "captured", "failed", "provider refunds", "repeat the last message",
	"a new offer", "change an offer", "withdraw an offer", "read all",
}

// drawSteps draws a history. Each step is a number that is scattered over the choices, because rapid favours small
// numbers, and a history of the same few choices comes nowhere.
func drawSteps(t *rapid.T) []step {
	numbers := rapid.SliceOfN(rapid.Uint64(), 60, 160).Draw(t, "steps")
	steps := make([]step, len(numbers))
	for i, n := range numbers {
		steps[i] = stepOf(rand.New(rand.NewPCG(n, uint64(i))))
	}
	return steps
}

func stepOf(random *rand.Rand) step {
	return step{What: whats[random.IntN(len(whats))], Who: random.IntN(6), Which: random.IntN(51), N: random.IntN(51)}
}

// town is everybody who asks something of a business, and what they know of it. Safe for concurrent use.
type town struct {
	services []*commands.Service
	product  string

	mu       sync.Mutex
	orders   []uuid.UUID
	payments []payment.Payment
	last     *commands.ProviderEvent
	answers  map[domain.Code]int // by what came of it; "" is done
}

const (
	offerUses   = 5 // of TENTH, by all
	offerPerOne = 2 // and by one customer
)

var (
	townCustomers = []string{"ann", "ben", "cid"}
	townCouriers  = []string{"dan", "eve", "fay"}
)

func as(user string, role domain.Role) commands.Request {
	return commands.Request{Actor: domain.Actor{UserID: user, Role: role, Name: user}}
}

func openTown(ctx context.Context, services ...*commands.Service) (*town, error) {
	w := &town{services: services, answers: map[domain.Code]int{}}
	s, boss := services[0], as("boss", domain.RoleAdmin)
	if _, err := s.SetBusinessStatus(ctx, boss, commands.SetBusinessStatus{IsOpen: true}); err != nil {
		return nil, err
	}
	p, err := s.AddProduct(ctx, boss, commands.AddProduct{Name: "Dosa", Price: 799, Currency: "EUR", Available: true})
	if err != nil {
		return nil, err
	}
	w.product = p.Value.ID.String()
	_, err = s.CreateOffer(ctx, boss, commands.CreateOffer{Terms: offer.Terms{
		Code: "TENTH", Description: "A tenth off", DiscountType: offer.DiscountPercent, DiscountValue: 10,
		MaxUses: offerUses, MaxUsesPerUser: offerPerOne,
	}})
	return w, err
}

// ask carries out one step, through one of the services.
func (w *town) ask(ctx context.Context, s step) error {
	err := w.do(ctx, w.services[(s.Who+s.N)%len(w.services)], s)
	w.mu.Lock()
	defer w.mu.Unlock()
	code := domain.CodeOf(err)
	w.answers[code]++
	if code == domain.CodeInternal {
		return fmt.Errorf("%+v: %w", s, err)
	}
	return nil
}

func (w *town) do(ctx context.Context, c *commands.Service, s step) error {
	boss := as("boss", domain.RoleAdmin)
	customer := as(townCustomers[s.Who%len(townCustomers)], domain.RoleCustomer)
	rider := as(townCouriers[s.Who%len(townCouriers)], domain.RoleDelivery)
	someone := []commands.Request{boss, boss, boss, customer, rider}[s.N%5]
	statuses := []string{"confirmed", "preparing", "ready", "out_for_delivery", "delivered"}
	switch s.What {
	case "place", "place with an offer":
		cmd := commands.PlaceOrder{
			Items: []commands.OrderItem{{Product: w.product, Quantity: int64(s.N%4 + 1)}}, DeliveryAddress: "1 Main St", PaymentMethod: "card",
		}
		if s.What != "place" {
			if cmd.OfferCode = "tenth"; s.N%5 == 4 {
				cmd.OfferCode = offerCode(s)
			}
		}
		out, err := c.PlaceOrder(ctx, customer, cmd)
		if err == nil {
			w.mu.Lock()
			w.orders = append(w.orders, out.Value.ID)
			w.mu.Unlock()
		}
		return err
	case "go on": // to whatever is next
		id := w.order(s)
		for _, status := range statuses {
			_, err := c.ChangeOrderStatus(ctx, boss, commands.ChangeOrderStatus{OrderID: id, Status: status})
			if domain.CodeOf(err) != domain.CodeInvalidTransition {
				return err
			}
		}
		return nil
	case "deliver": // whatever is missing
		id := w.order(s)
		for _, status := range statuses {
			_, err := c.ChangeOrderStatus(ctx, boss, commands.ChangeOrderStatus{OrderID: id, Status: status})
			if err != nil && domain.CodeOf(err) != domain.CodeInvalidTransition {
				return err
			}
		}
		return nil
	case "any status":
		_, err := c.ChangeOrderStatus(ctx, someone, commands.ChangeOrderStatus{OrderID: w.order(s), Status: statuses[s.N%5]})
		return err
	case "cancel":
		_, err := c.CancelOrder(ctx, someone, commands.CancelOrder{OrderID: w.order(s), Reason: "because"})
		return err
	case "courier status":
		_, err := c.SetCourierStatus(ctx, rider, commands.SetCourierStatus{Status: []string{"online", "online", "busy", "offline"}[s.N%4]})
		return err
	case "assign":
		_, err := c.AssignOrder(ctx, boss, commands.AssignOrder{OrderID: w.order(s), AgentID: townCouriers[s.Who%len(townCouriers)]})
		return err
	case "locate":
		cmd := commands.ReportLocation{OrderID: w.order(s), Point: courier.Point{Latitude: 48, Longitude: float64(s.N)}}
		_, err := c.ReportLocation(ctx, rider, cmd)
		for _, other := range townCouriers { // one of them carries it
			if domain.CodeOf(err) == domain.CodeForbidden {
				_, err = c.ReportLocation(ctx, as(other, domain.RoleDelivery), cmd)
			}
		}
		return err
	case "pay", "pay by cash":
		method := []string{"card", "upi", "wallet"}[s.N%3]
		if s.What != "pay" {
			method = "cod"
		}
		out, err := c.StartPayment(ctx, someone, commands.StartPayment{OrderID: w.order(s), Method: method})
		if err == nil {
			w.mu.Lock()
			w.payments = append(w.payments, out.Value)
			w.mu.Unlock()
		}
		return err
	case "a new offer":
		_, err := c.CreateOffer(ctx, boss, commands.CreateOffer{Terms: offer.Terms{
			Code: offerCode(s), Description: "Cheaper", DiscountType: offer.DiscountAmount, DiscountValue: int64(s.N + 1), MinOrder: 1000,
		}})
		return err
	case "change an offer":
		code, bound := offerCode(s), int64(s.N)
		change := offer.Change{MaxDiscount: &bound}
		if s.N%2 == 0 {
			code = "TENTH"
		}
		_, err := c.UpdateOffer(ctx, boss, commands.UpdateOffer{Code: code, Change: change})
		return err
	case "withdraw an offer":
		_, err := c.WithdrawOffer(ctx, boss, commands.WithdrawOffer{Code: offerCode(s)})
		return err
	case "read all":
		_, err := c.ReadAllNotifications(ctx, customer)
		return err
	case "collect":
		_, err := c.CollectPayment(ctx, someone, commands.CollectPayment{PaymentID: w.payment(s).ID})
		return err
	case "refund":
		cmd := commands.RefundPayment{PaymentID: w.payment(s).ID, Reason: "cold"}
		if amount := int64(s.N * 30); s.N%3 > 0 {
			cmd.Amount = &amount
		}
		_, err := c.RefundPayment(ctx, boss, cmd)
		return err
	case "captured", "failed", "provider refunds":
		p := w.payment(s)
		e := commands.ProviderEvent{
			EventID: uuid.NewString(), PaymentID: p.ID, Amount: p.Amount, Currency: "EUR",
			Type: map[string]string{"captured": "payment.captured", "failed": "payment.failed", "provider refunds": "payment.refunded"}[s.What],
		}
		if s.What == "provider refunds" {
			e.Amount = int64(s.N*40 + 1)
		} else if s.N == 13 {
			e.Amount++ // not what was asked for
		}
		w.mu.Lock()
		w.last = &e
		w.mu.Unlock()
		_, err := c.ProviderEvent(ctx, as("payment-provider", domain.RoleSystem), e)
		return err
	case "repeat the last message":
		w.mu.Lock()
		e := w.last
		w.mu.Unlock()
		if e == nil {
			return nil
		}
		_, err := c.ProviderEvent(ctx, as("payment-provider", domain.RoleSystem), *e)
		return err
	}
	return fmt.Errorf("nobody knows how to %s", s.What)
}

// offerCode is one of a few offers that may be there, beside TENTH.
func offerCode(s step) string { return fmt.Sprintf("OFFER-%d", s.Which%4) }

// order is one of the orders, more often a late one; of nobody's when there is none.
func (w *town) order(s step) uuid.UUID {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.orders) == 0 {
		return uuid.UUID{1}
	}
	return w.orders[max(0, len(w.orders)-1-s.Which%min(len(w.orders), 6))]
}

func (w *town) payment(s step) payment.Payment {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.payments) == 0 {
		return payment.Payment{ID: uuid.UUID{2}, Amount: 1}
	}
	return w.payments[max(0, len(w.payments)-1-s.Which%min(len(w.payments), 6))]
}

// TestWhateverIsAskedTheBooksBalance asks random things in random order, and after each looks at all there is.
func TestWhateverIsAskedTheBooksBalance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		store := &commandstest.Store{}
		w, err := openTown(t.Context(), commands.New(store, &commandstest.Numbers{}, paysandbox.New(), commands.Options{}))
		if err != nil {
			rt.Fatal(err)
		}
		for _, s := range drawSteps(rt) {
			if err := w.ask(t.Context(), s); err != nil {
				rt.Fatal(err)
			}
			l, err := read(store.Events())
			if err == nil {
				err = l.check()
			}
			if err != nil {
				rt.Fatalf("after %+v: %v", s, err)
			}
		}
	})
}

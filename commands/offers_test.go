package commands_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/commands/commandstest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
)

// half takes half off, up to 300.
func half() offer.Terms {
	return offer.Terms{Code: "Half", Description: "Half off", DiscountType: offer.DiscountPercent, DiscountValue: 50, MaxDiscount: 300}
}

func (s *shop) offer(change func(*offer.Terms)) offer.Offer {
	s.t.Helper()
	terms := half()
	change(&terms)
	return must(s.CreateOffer(s.t.Context(), by(admin), commands.CreateOffer{Terms: terms}))(s.t)
}

// use places an order of two dosas with the offer.
func (s *shop) use(a commands.Actor) (order.Order, error) {
	cmd := s.wanted()
	cmd.OfferCode = "HALF"
	out, err := s.PlaceOrder(s.t.Context(), by(a), cmd)
	return out.Value, err
}

func (s *shop) uses(customerID string) int64 {
	return stateOf(s, offer.Tally{}, offer.TallyStreamType, offer.TallyID("half", customerID)).Uses
}

func TestAnOrderUsesAnOffer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.offer(func(*offer.Terms) {})
	before := len(s.store.Events())
	o, err := s.use(customer)
	if err != nil {
		t.Fatal(err)
	}
	if o.Subtotal != 900 || o.Discount != 300 || o.TotalAmount != 600 || o.OfferCode != "Half" {
		t.Errorf("placed %+v; want 300 off, by the offer's own name", o)
	}
	if got := s.types(before); got != "order.placed offer.use_counted offer.use_counted" {
		t.Errorf("events %s", got)
	}
	if all, own, other := s.uses(""), s.uses(customer.UserID), s.uses(stranger.UserID); all != 1 || own != 1 || other != 0 {
		t.Errorf("used %d times, %d by the customer, %d by another", all, own, other)
	}
	before = len(s.store.Events())
	s.cancel(o)
	if got := s.types(before); got != "order.cancelled offer.use_returned offer.use_returned" || s.uses("") != 0 || s.uses(customer.UserID) != 0 {
		t.Errorf("cancelled: events %s, used %d times", got, s.uses(""))
	}
}

func TestAnOfferThatDoesNotApplyLeavesNoOrder(t *testing.T) {
	t.Parallel()
	start := commandstest.Start
	for rule, change := range map[string]func(*offer.Terms){
		offer.RuleNotStarted:     func(o *offer.Terms) { o.StartsAt = new(start.Add(time.Hour)) },
		offer.RuleExpired:        func(o *offer.Terms) { o.EndsAt = &start },
		offer.RuleMinOrder:       func(o *offer.Terms) { o.MinOrder = 901 },
		offer.RuleMaxUses:        func(o *offer.Terms) { o.MaxUses = 1 },
		offer.RuleMaxUsesPerUser: func(o *offer.Terms) { o.MaxUsesPerUser = 1 },
		offer.RuleWithdrawn:      func(*offer.Terms) {},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.Service = commands.New(s.store, s.numbers, s.bank, commands.Options{Now: func() time.Time { return start }})
			s.offer(change)
			switch rule {
			case offer.RuleMaxUses, offer.RuleMaxUsesPerUser:
				if _, err := s.use(customer); err != nil {
					t.Fatal(err)
				}
			case offer.RuleWithdrawn:
				must(s.WithdrawOffer(t.Context(), by(admin), commands.WithdrawOffer{Code: "half"}))(t)
			}
			before, numbers := len(s.store.Events()), s.numbers.Taken()
			_, err := s.use(customer)
			wantCode(t, err, domain.CodeOfferNotApplicable)
			wantDetail(t, err, "rule", rule)
			_, _, err = s.CheckOffer(t.Context(), customer, commands.CheckOffer{Code: "half", Items: s.wanted().Items})
			wantDetail(t, err, "rule", rule)
			if s.types(before) != "" || s.numbers.Taken() != numbers {
				t.Errorf("a refused order left %q and took %d numbers", s.types(before), s.numbers.Taken()-numbers)
			}
		})
	}
}

// What changes between the load and the append counts.
func TestAnOrderRacesWithWhatItsOfferAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change    func(*offer.Terms)
		meanwhile func(*shop)
		rule      string
	}{
		"the last use is taken by another": {func(o *offer.Terms) { o.MaxUses = 1 }, func(s *shop) {
			// On another node: it is in no line of this one.
			other := commands.New(s.store, s.numbers, s.bank, commands.Options{})
			cmd := s.wanted()
			cmd.OfferCode = "half"
			must(other.PlaceOrder(s.t.Context(), by(stranger), cmd))(s.t)
		}, offer.RuleMaxUses},
		"the customer's last use is taken": {func(o *offer.Terms) { o.MaxUsesPerUser = 1 }, func(s *shop) {
			other := commands.New(s.store, s.numbers, s.bank, commands.Options{})
			cmd := s.wanted()
			cmd.OfferCode = "half"
			must(other.PlaceOrder(s.t.Context(), by(customer), cmd))(s.t)
		}, offer.RuleMaxUsesPerUser},
		"the offer is withdrawn": {func(*offer.Terms) {}, func(s *shop) {
			must(s.WithdrawOffer(s.t.Context(), by(admin), commands.WithdrawOffer{Code: "half"}))(s.t)
		}, offer.RuleWithdrawn},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.offer(c.change)
			s.onNextAppend(func() { c.meanwhile(s) })
			_, err := s.use(customer)
			wantCode(t, err, domain.CodeOfferNotApplicable)
			wantDetail(t, err, "rule", c.rule)
		})
	}
}

func TestTheLastUsesGoToAsManyAsThereAre(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.offer(func(o *offer.Terms) { o.MaxUses = 10 })
	// Patience that any two attempts exhaust: nobody of a node may come second even once.
	s.Service = commands.New(s.store, s.numbers, s.bank, commands.Options{Patience: time.Nanosecond})
	var had atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			_, err := s.use(commands.Actor{UserID: fmt.Sprintf("c%d", i), Role: domain.RoleCustomer})
			switch code := domain.CodeOf(err); code {
			case "":
				had.Add(1)
			case domain.CodeOfferNotApplicable:
			default:
				t.Errorf("refused with %s", code)
			}
		})
	}
	wg.Wait()
	if had.Load() != 10 || s.uses("") != 10 {
		t.Errorf("%d orders have the offer, %d uses are counted; want 10", had.Load(), s.uses(""))
	}
}

// Those for whom nothing is left do not wait in line to be told so.
func TestThatAnOfferIsUsedUpIsToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.offer(func(o *offer.Terms) { o.MaxUsesPerUser = 1 })
		if _, err := s.use(stranger); err != nil {
			t.Fatal(err)
		}
		working, finish := make(chan struct{}), make(chan struct{})
		s.onNextAppend(func() {
			close(working)
			<-finish
		})
		done := make(chan error)
		go func() {
			_, err := s.use(customer)
			done <- err
		}()
		<-working // and has the turn
		start := time.Now()
		_, err := s.use(stranger)
		wantDetail(t, err, "rule", offer.RuleMaxUsesPerUser)
		if waited := time.Since(start); waited > 0 {
			t.Errorf("waited %s", waited)
		}
		close(finish)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Who waited for its turn decides on what is there then, and so is not refused once more at the commit.
func TestWhoWaitedInLineIsServedAtTheFirstAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.offer(func(*offer.Terms) {})
		before := s.store.Appends()
		working, finish := make(chan struct{}), make(chan struct{})
		s.onNextAppend(func() {
			close(working)
			<-finish
		})
		done := make(chan error)
		go func() {
			_, err := s.use(customer)
			done <- err
		}()
		<-working
		go func() {
			_, err := s.use(stranger)
			done <- err
		}()
		synctest.Wait() // the second stands in line
		close(finish)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := s.store.Appends() - before; n != 2 {
			t.Errorf("%d attempts for two orders", n)
		}
	})
}

func TestAnOffersLife(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	create, err := s.CreateOffer(t.Context(), by(admin), commands.CreateOffer{Terms: half()})
	if err != nil {
		t.Fatal(err)
	}
	id := offer.StreamID("half")
	wantShown(s, offer.Offer{}, offer.StreamType, id, create)
	terms := half()
	terms.Code = "HALF"
	_, err = s.CreateOffer(t.Context(), by(admin), commands.CreateOffer{Terms: terms})
	wantCode(t, err, domain.CodeOfferExists)

	if _, err := s.use(customer); err != nil {
		t.Fatal(err)
	}
	update, err := s.UpdateOffer(t.Context(), by(admin), commands.UpdateOffer{Code: "hAlf", Change: offer.Change{DiscountValue: new(int64(10))}})
	if err != nil {
		t.Fatal(err)
	}
	// The answer is what the read model will show, which counts the uses.
	wantShown(s, offer.Offer{Uses: 1}, offer.StreamType, id, update)
	if o, err := s.use(customer); err != nil || o.Discount != 90 {
		t.Errorf("used as it is now: %+v, %v", o, err)
	}

	withdraw, err := s.WithdrawOffer(t.Context(), by(admin), commands.WithdrawOffer{Code: "half"})
	if err != nil || !withdraw.Value.Withdrawn || withdraw.Value.Uses != 2 {
		t.Errorf("withdrawn %+v, %v", withdraw, err)
	}
	events := len(s.store.Events())
	if again, err := s.WithdrawOffer(t.Context(), by(admin), commands.WithdrawOffer{Code: "half"}); err != nil || again != withdraw || s.types(events) != "" {
		t.Errorf("withdrawn again: %+v, %v", again, err)
	}
	_, err = s.UpdateOffer(t.Context(), by(admin), commands.UpdateOffer{Code: "half", Change: offer.Change{MaxUses: new(int64(1))}})
	wantCode(t, err, domain.CodeOfferNotApplicable)
	_, err = s.CreateOffer(t.Context(), by(admin), commands.CreateOffer{Terms: half()})
	wantCode(t, err, domain.CodeOfferExists)
	_, err = s.WithdrawOffer(t.Context(), by(admin), commands.WithdrawOffer{Code: "none"})
	wantCode(t, err, domain.CodeOfferNotFound)
}

// To remove a bound of time is not what leaving it is, also to a key.
func TestAKeyTellsChangesOfAnOfferApart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.offer(func(o *offer.Terms) { o.EndsAt = new(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)) })
	cmd := commands.UpdateOffer{Code: "half", Change: offer.Change{MaxUses: new(int64(5))}}
	must(s.UpdateOffer(t.Context(), keyed(admin, "k"), cmd))(t)
	cmd.Change.EndsAt = new((*time.Time)(nil))
	_, err := s.UpdateOffer(t.Context(), keyed(admin, "k"), cmd)
	wantCode(t, err, domain.CodeIdempotencyMismatch)
}

func TestCheckingAnOfferChangesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.offer(func(o *offer.Terms) { o.MaxUsesPerUser = 1 })
	s.setPrice(s.dosa, 450)
	before := len(s.store.Events())
	got, seq, err := s.CheckOffer(t.Context(), customer, commands.CheckOffer{Code: "half", Items: s.wanted().Items})
	want := commands.OfferCheck{Code: "Half", Subtotal: 900, Discount: 300, TotalAmount: 600, Currency: "EUR"}
	if err != nil || got != want || seq != int64(before) || s.types(before) != "" {
		t.Errorf("checked %+v at %d, %v; want %+v at %d", got, seq, err, want, before)
	}
	check := func(a commands.Actor, code string, items ...commands.OrderItem) domain.Code {
		_, _, err := s.CheckOffer(t.Context(), a, commands.CheckOffer{Code: code, Items: items})
		return domain.CodeOf(err)
	}
	item := s.wanted().Items[0]
	for name, c := range map[string]struct{ got, want domain.Code }{
		"by nobody":       {check(commands.Actor{Role: domain.RoleCustomer}, "half", item), domain.CodeUnauthenticated},
		"by an admin":     {check(admin, "half", item), domain.CodeForbidden},
		"by a courier":    {check(raj, "half", item), domain.CodeForbidden},
		"of no offer":     {check(customer, "none", item), domain.CodeOfferNotFound},
		"of nothing":      {check(customer, "half"), domain.CodeInvalidRequest},
		"of no product":   {check(customer, "half", commands.OrderItem{Product: uuid.NewString(), Quantity: 1}), domain.CodeNotFound},
		"of no pieces":    {check(customer, "half", commands.OrderItem{Product: item.Product}), domain.CodeInvalidRequest},
		"of no id at all": {check(customer, "half", commands.OrderItem{Product: "dosa", Quantity: 1}), domain.CodeInvalidRequest},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q; want %q", name, c.got, c.want)
		}
	}
}

package offer_test

import (
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/offer"
)

var (
	orderID = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000a")
	now     = begin.Add(24 * time.Hour)
)

func TestTheDiscountIsCappedAndRoundedDown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		subtotal, want int64
		change         func(*offer.Terms)
	}{
		"ten per cent":              {1000, 100, func(*offer.Terms) {}},
		"rounded down":              {1999, 199, func(*offer.Terms) {}},
		"up to the most":            {100_000, 200, func(*offer.Terms) {}},
		"without a most":            {100_000, 10_000, func(c *offer.Terms) { c.MaxDiscount = 0 }},
		"of the least order":        {500, 50, func(*offer.Terms) {}},
		"of nothing":                {0, 0, func(c *offer.Terms) { c.MinOrder = 0 }},
		"of one":                    {1, 0, func(c *offer.Terms) { c.MinOrder, c.DiscountValue = 0, 99 }},
		"all of it":                 {700, 700, func(c *offer.Terms) { c.DiscountValue, c.MaxDiscount = 100, 0 }},
		"all of what barely fits":   {math.MaxInt64, math.MaxInt64, func(c *offer.Terms) { c.DiscountValue, c.MaxDiscount = 100, 0 }},
		"an amount":                 {1000, 150, func(c *offer.Terms) { c.DiscountType, c.DiscountValue = offer.DiscountAmount, 150 }},
		"an amount, up to the most": {1000, 200, func(c *offer.Terms) { c.DiscountType, c.DiscountValue = offer.DiscountAmount, 300 }},
		"an amount, up to what it is of": {600, 600, func(c *offer.Terms) {
			c.DiscountType, c.DiscountValue, c.MaxDiscount = offer.DiscountAmount, 9000, 0
		}},
	} {
		o := domaintest.Fold(offer.Offer{}, offer.Created{Terms: ten(c.change)})
		if got, err := o.Discount(c.subtotal, now, offer.Tally{}, offer.Tally{}); err != nil || got != c.want {
			t.Errorf("%s: %d off %d, %v; want %d", name, got, c.subtotal, err, c.want)
		}
	}
}

func TestEveryRuleIsNamedWithItsFigure(t *testing.T) {
	t.Parallel()
	active := []domain.Event{created}
	for rule, c := range map[string]struct {
		events   []domain.Event
		subtotal int64
		now      time.Time
		all, own int64
		figure   string
		want     any
	}{
		offer.RuleWithdrawn:      {append(active, withdrawn), 1000, now, 0, 0, "code", "TEN"},
		offer.RuleNotStarted:     {active, 1000, begin.Add(-time.Nanosecond), 0, 0, "startsAt", begin},
		offer.RuleExpired:        {active, 1000, end, 0, 0, "endsAt", end},
		offer.RuleMinOrder:       {active, 499, now, 0, 0, "minOrder", int64(500)},
		offer.RuleMaxUses:        {active, 1000, now, 10, 0, "maxUses", int64(10)},
		offer.RuleMaxUsesPerUser: {active, 1000, now, 9, 2, "maxUsesPerUser", int64(2)},
	} {
		refusal := given(t, c.events...).When(func(o offer.Offer) ([]domain.Event, error) {
			_, err := o.Discount(c.subtotal, c.now, offer.Tally{Uses: c.all}, offer.Tally{Uses: c.own})
			return nil, err
		}).ThenError(domain.CodeOfferNotApplicable)
		if refusal.Details["rule"] != rule || refusal.Details[c.figure] != c.want {
			t.Errorf("%s: details %v", rule, refusal.Details)
		}
	}
	if _, err := (offer.Offer{}).Discount(1000, now, offer.Tally{}, offer.Tally{}); domain.CodeOf(err) != domain.CodeOfferNotFound {
		t.Errorf("an offer that does not exist: %v", err)
	}
	if off, err := domaintest.Fold(offer.Offer{}, created).Discount(-1, now, offer.Tally{}, offer.Tally{}); err == nil {
		t.Errorf("%d off less than nothing", off)
	}
}

func TestAnOfferIsGoodUpToItsLastUseAndMoment(t *testing.T) {
	t.Parallel()
	o := domaintest.Fold(offer.Offer{}, created)
	for _, at := range []time.Time{begin, now, end.Add(-time.Nanosecond)} {
		if _, err := o.Discount(500, at, offer.Tally{Uses: 9}, offer.Tally{Uses: 1}); err != nil {
			t.Errorf("at %s: %v", at, err)
		}
	}
	unbounded := domaintest.Fold(offer.Offer{}, offer.Created{Terms: ten(func(c *offer.Terms) {
		c.MinOrder, c.MaxUses, c.MaxUsesPerUser, c.StartsAt, c.EndsAt = 0, 0, 0, nil, nil
	})})
	for _, at := range []time.Time{{}, now, end.AddDate(1000, 0, 0)} {
		if _, err := unbounded.Discount(1, at, offer.Tally{Uses: math.MaxInt64}, offer.Tally{Uses: math.MaxInt64}); err != nil {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

// TestTheDiscountIsNeverMoreThanItMayBe compares with arithmetic that cannot overflow.
func TestTheDiscountIsNeverMoreThanItMayBe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		terms := offer.Terms{
			Code: "ANY", Description: "x", DiscountType: rapid.SampledFrom([]offer.DiscountType{offer.DiscountPercent, offer.DiscountAmount}).Draw(t, "type"),
			MaxDiscount: rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, domain.MaxPrice)).Draw(t, "most"),
		}
		highest := domain.MaxPrice
		if terms.DiscountType == offer.DiscountPercent {
			highest = 100
		}
		terms.DiscountValue = rapid.Int64Range(1, highest).Draw(t, "value")
		subtotal := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, math.MaxInt64)).Draw(t, "subtotal")
		events, err := offer.Offer{}.Create(terms)
		if err != nil {
			t.Fatal(err)
		}
		off, err := domaintest.Fold(offer.Offer{}, events...).Discount(subtotal, now, offer.Tally{}, offer.Tally{})
		if err != nil {
			t.Fatal(err)
		}
		exact := big.NewInt(terms.DiscountValue)
		if terms.DiscountType == offer.DiscountPercent {
			exact.Mul(exact, big.NewInt(subtotal)).Div(exact, big.NewInt(100))
		}
		for _, bound := range []int64{subtotal, terms.MaxDiscount} {
			if b := big.NewInt(bound); (bound != 0 || bound == subtotal) && exact.Cmp(b) > 0 {
				exact = b
			}
		}
		if off < 0 || off > subtotal || exact.Cmp(big.NewInt(off)) != 0 {
			t.Fatalf("%d off %d by %+v; want %s", off, subtotal, terms, exact)
		}
	})
}

func TestATallyCountsUsesAndTakesThemBack(t *testing.T) {
	t.Parallel()
	count := func(tally offer.Tally) ([]domain.Event, error) {
		return tally.Count("TEN", offer.ScopeAll, "c1", orderID), nil
	}
	giveBack := func(tally offer.Tally) ([]domain.Event, error) {
		return tally.Return("TEN", offer.ScopeCustomer, "c1", orderID), nil
	}
	counted := func(uses int64) offer.Counted {
		return offer.Counted{Code: "TEN", Scope: offer.ScopeAll, CustomerID: "c1", OrderID: orderID, Uses: uses}
	}
	returned := func(uses int64) offer.Returned {
		return offer.Returned{Code: "TEN", Scope: offer.ScopeCustomer, CustomerID: "c1", OrderID: orderID, Uses: uses}
	}
	domaintest.Given[offer.Tally](t).When(count).Then(counted(1))
	domaintest.Given[offer.Tally](t, counted(1)).When(count).Then(counted(2))
	// The newest event alone says how many there are.
	domaintest.Given[offer.Tally](t, counted(7)).When(count).Then(counted(8))
	domaintest.Given[offer.Tally](t, counted(7)).When(giveBack).Then(returned(6))
	domaintest.Given[offer.Tally](t, counted(1), returned(0)).When(count).Then(counted(1))
	domaintest.Given[offer.Tally](t).When(giveBack).Then() // nothing to give back
	domaintest.Given[offer.Tally](t, counted(7), created).When(count).Then(counted(8))
}

func TestCodesThatDifferInCaseAreTheSameOffer(t *testing.T) {
	t.Parallel()
	// They are where the offer and its tallies are found for ever: what they are may not change.
	for want, got := range map[string]uuid.UUID{
		"d0372a8b-e7b1-52ee-a486-b81fc7ee3fd9": offer.StreamID("TEN"),
		"3a2b9599-3005-5e05-b680-21a2b0641b9c": offer.TallyID("TEN", ""),
		"4a5fd654-74fb-541e-b050-ce76041ec13c": offer.TallyID("TEN", "c1"),
	} {
		if got.String() != want {
			t.Errorf("stream %s; want %s", got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"TEN", "ten", true},
		{"Ten-1_a", "tEN-1_A", true},
		{"TEN", "TEN1", false},
		{"SAVE", "ſave", false}, // a letter that becomes an S, and is none of a code
		{"KILO", "\u212Ailo", false},
	} {
		got := []bool{
			offer.SameCode(c.a, c.b), offer.StreamID(c.a) == offer.StreamID(c.b),
			offer.TallyID(c.a, "c1") == offer.TallyID(c.b, "c1"), offer.TallyID(c.a, "") == offer.TallyID(c.b, ""),
		}
		if want := []bool{c.same, c.same, c.same, c.same}; !reflect.DeepEqual(got, want) {
			t.Errorf("%q and %q: code, stream, tally, tally of all the same: %v", c.a, c.b, got)
		}
	}
	if offer.TallyID("TEN", "c1") == offer.TallyID("TEN", "C1") {
		t.Error("two customers have one tally")
	}
}

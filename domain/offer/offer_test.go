package offer_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/offer"
)

type decision = func(offer.Offer) ([]domain.Event, error)

var (
	begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)

	created   = offer.Created{Terms: ten(func(*offer.Terms) {})}
	withdrawn = offer.Withdrawn(created)
)

// ten is ten per cent off orders of 500 and more, at most 200, for January.
func ten(change func(*offer.Terms)) offer.Terms {
	terms := offer.Terms{
		Code: "TEN", Description: "Ten per cent off", DiscountType: offer.DiscountPercent, DiscountValue: 10,
		MinOrder: 500, MaxDiscount: 200, MaxUses: 10, MaxUsesPerUser: 2, StartsAt: new(begin), EndsAt: new(end),
	}
	change(&terms)
	return terms
}

func given(t *testing.T, events ...domain.Event) *domaintest.Scenario[offer.Offer] {
	t.Helper()
	return domaintest.Given[offer.Offer](t, events...)
}

func create(change func(*offer.Terms)) decision {
	return func(o offer.Offer) ([]domain.Event, error) { return o.Create(ten(change)) }
}

func update(cmd offer.Change) decision {
	return func(o offer.Offer) ([]domain.Event, error) { return o.Update(cmd) }
}

func TestCreating(t *testing.T) {
	t.Parallel()
	given(t).When(create(func(*offer.Terms) {})).Then(created)
	least := offer.Terms{Code: "A1", Description: "x", DiscountType: offer.DiscountAmount, DiscountValue: 1}
	given(t).When(func(o offer.Offer) ([]domain.Event, error) { return o.Create(least) }).Then(offer.Created{Terms: least})

	for _, events := range [][]domain.Event{{created}, {created, withdrawn}} {
		refusal := given(t, events...).When(create(func(*offer.Terms) {})).ThenError(domain.CodeOfferExists)
		if refusal.Details["code"] != "TEN" {
			t.Errorf("details %v", refusal.Details)
		}
	}
}

func TestTermsAreBounded(t *testing.T) {
	t.Parallel()
	cases := map[string][]func(*offer.Terms){
		"code": {
			func(c *offer.Terms) { c.Code = "" },
			func(c *offer.Terms) { c.Code = "A" },
			func(c *offer.Terms) { c.Code = strings.Repeat("A", 65) },
			func(c *offer.Terms) { c.Code = "TEN OFF" },
			func(c *offer.Terms) { c.Code = "TEN\x00" },
			func(c *offer.Terms) { c.Code = "ZEHNÄ" },
			func(c *offer.Terms) { c.Code = "../TEN" },
		},
		"description": {
			func(c *offer.Terms) { c.Description = " " },
			func(c *offer.Terms) { c.Description = strings.Repeat("é", 501) },
		},
		"discountType": {
			func(c *offer.Terms) { c.DiscountType = "" },
			func(c *offer.Terms) { c.DiscountType = "half" },
		},
		"discountValue": {
			func(c *offer.Terms) { c.DiscountValue = 0 },
			func(c *offer.Terms) { c.DiscountValue = -1 },
			func(c *offer.Terms) { c.DiscountValue = 101 },
			func(c *offer.Terms) { c.DiscountType, c.DiscountValue = offer.DiscountAmount, 0 },
			func(c *offer.Terms) { c.DiscountType, c.DiscountValue = offer.DiscountAmount, domain.MaxPrice+1 },
		},
		"minOrder": {
			func(c *offer.Terms) { c.MinOrder = -1 },
			func(c *offer.Terms) { c.MinOrder = domain.MaxPrice + 1 },
		},
		"maxDiscount": {
			func(c *offer.Terms) { c.MaxDiscount = -1 },
			func(c *offer.Terms) { c.MaxDiscount = math.MaxInt64 },
		},
		"maxUses":        {func(c *offer.Terms) { c.MaxUses = -1 }, func(c *offer.Terms) { c.MaxUses = math.MaxInt64 }},
		"maxUsesPerUser": {func(c *offer.Terms) { c.MaxUsesPerUser = -1 }, func(c *offer.Terms) { c.MaxUsesPerUser = math.MaxInt64 }},
		"startsAt":       {func(c *offer.Terms) { *c.StartsAt = time.Time{} }},
		"endsAt": {
			func(c *offer.Terms) { *c.EndsAt = begin },
			func(c *offer.Terms) { *c.EndsAt = begin.Add(-time.Second) },
			// In UTC this is in the year 10000, which RFC 3339 cannot write.
			func(c *offer.Terms) { *c.EndsAt = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200)) },
		},
	}
	for field, changes := range cases {
		for _, change := range changes {
			given(t).When(create(change)).ThenInvalid(field)
		}
	}
	for _, change := range []func(*offer.Terms){
		func(c *offer.Terms) { c.Code = "aZ-0_9" },
		func(c *offer.Terms) { c.Code = strings.Repeat("A", 64) },
		func(c *offer.Terms) { c.DiscountValue = 100 },
		func(c *offer.Terms) { c.DiscountType, c.DiscountValue = offer.DiscountAmount, domain.MaxPrice },
		func(c *offer.Terms) { c.MinOrder, c.MaxDiscount, c.MaxUses, c.MaxUsesPerUser = 0, 0, 0, 0 },
		func(c *offer.Terms) { c.StartsAt = nil },
		func(c *offer.Terms) { c.EndsAt = nil },
	} {
		given(t).When(create(change)).Then(offer.Created{Terms: ten(change)})
	}
}

func TestMomentsAreKeptInUTC(t *testing.T) {
	t.Parallel()
	given(t).When(create(func(c *offer.Terms) {
		*c.StartsAt = begin.In(time.FixedZone("IST", 19800))
		*c.EndsAt = end.In(time.FixedZone("IST", 19800))
	})).Then(created)
}

func TestUpdatingSetsWhatIsGiven(t *testing.T) {
	t.Parallel()
	none := (*time.Time)(nil)
	for name, c := range map[string]struct {
		ask  offer.Change
		want func(*offer.Terms)
	}{
		"description": {offer.Change{Description: new("Tenth off")}, func(c *offer.Terms) { c.Description = "Tenth off" }},
		"type and value": {
			offer.Change{DiscountType: new(offer.DiscountAmount), DiscountValue: new(int64(300))},
			func(c *offer.Terms) { c.DiscountType, c.DiscountValue = offer.DiscountAmount, 300 },
		},
		"bounds": {
			offer.Change{MinOrder: new(int64(1)), MaxDiscount: new(int64(2)), MaxUses: new(int64(3)), MaxUsesPerUser: new(int64(4))},
			func(c *offer.Terms) { c.MinOrder, c.MaxDiscount, c.MaxUses, c.MaxUsesPerUser = 1, 2, 3, 4 },
		},
		"no bounds": {
			offer.Change{MinOrder: new(int64(0)), MaxDiscount: new(int64(0)), MaxUses: new(int64(0)), MaxUsesPerUser: new(int64(0))},
			func(c *offer.Terms) { c.MinOrder, c.MaxDiscount, c.MaxUses, c.MaxUsesPerUser = 0, 0, 0, 0 },
		},
		"other moments": {
			offer.Change{StartsAt: new(new(begin.Add(time.Hour))), EndsAt: new(new(end.Add(time.Hour)))},
			func(c *offer.Terms) { c.StartsAt, c.EndsAt = new(begin.Add(time.Hour)), new(end.Add(time.Hour)) },
		},
		"no moments": {
			offer.Change{StartsAt: &none, EndsAt: &none},
			func(c *offer.Terms) { c.StartsAt, c.EndsAt = nil, nil },
		},
		"the same": {offer.Change{MaxUses: new(int64(10))}, func(*offer.Terms) {}}, // the log says who set it
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given(t, created).When(update(c.ask)).Then(offer.Updated{Terms: ten(c.want)})
		})
	}
}

func TestUpdatingIsRefusedWhereTheResultCannotBe(t *testing.T) {
	t.Parallel()
	given(t, created).When(update(offer.Change{})).ThenError(domain.CodeInvalidRequest)
	given(t, created).When(update(offer.Change{DiscountValue: new(int64(101))})).ThenInvalid("discountValue")
	given(t, created).When(update(offer.Change{StartsAt: new(new(end))})).ThenInvalid("endsAt")
	amount := offer.Updated{Terms: ten(func(c *offer.Terms) { c.DiscountType, c.DiscountValue = offer.DiscountAmount, 300 })}
	given(t, created, amount).When(update(offer.Change{DiscountType: new(offer.DiscountPercent)})).ThenInvalid("discountValue")

	given(t).When(update(offer.Change{MaxUses: new(int64(1))})).ThenError(domain.CodeOfferNotFound)
	refusal := given(t, created, withdrawn).When(update(offer.Change{MaxUses: new(int64(1))})).ThenError(domain.CodeOfferNotApplicable)
	if refusal.Details["rule"] != offer.RuleWithdrawn {
		t.Errorf("details %v", refusal.Details)
	}
}

func TestWithdrawing(t *testing.T) {
	t.Parallel()
	given(t, created).When(offer.Offer.Withdraw).Then(withdrawn)
	given(t, created, withdrawn).When(offer.Offer.Withdraw).Then() // once is enough
	given(t).When(offer.Offer.Withdraw).ThenError(domain.CodeOfferNotFound)
	changed := offer.Updated{Terms: ten(func(c *offer.Terms) { c.DiscountValue = 20 })}
	given(t, created, changed).When(offer.Offer.Withdraw).Then(offer.Withdrawn(changed))
}

func TestStateFollowsTheEvents(t *testing.T) {
	t.Parallel()
	want := offer.Offer{Terms: created.Terms, CreatedAt: domaintest.At, UpdatedAt: domaintest.At, Version: 1}
	got := domaintest.Fold(offer.Offer{}, created, business.Opened{}) // one of another aggregate changes nothing
	if !reflect.DeepEqual(got, want) {
		t.Errorf("created\n got %+v\nwant %+v", got, want)
	}
	later := domaintest.At.Add(time.Hour)
	changed := offer.Updated{Terms: ten(func(c *offer.Terms) { c.DiscountValue, c.EndsAt = 20, nil })}
	want.Terms, want.UpdatedAt, want.Version = changed.Terms, later, 2
	if got = got.Apply(changed, later); !reflect.DeepEqual(got, want) {
		t.Errorf("updated\n got %+v\nwant %+v", got, want)
	}
	want.Withdrawn, want.Version = true, 3
	if got = got.Apply(offer.Withdrawn(changed), later); !reflect.DeepEqual(got, want) {
		t.Errorf("withdrawn\n got %+v\nwant %+v", got, want)
	}
	if got := (offer.Offer{}).Apply(created, time.Time{}).Stamp(domaintest.At); !reflect.DeepEqual(got, domaintest.Fold(offer.Offer{}, created)) {
		t.Errorf("stamped %+v", got)
	}
}

func TestAStateSharesNothingWithItsEvent(t *testing.T) {
	t.Parallel()
	e := offer.Created{Terms: ten(func(*offer.Terms) {})}
	o := domaintest.Fold(offer.Offer{}, e)
	*e.StartsAt, *e.EndsAt = time.Time{}, time.Time{}
	if !o.StartsAt.Equal(begin) || !o.EndsAt.Equal(end) {
		t.Error("a change of the event's moments reached the state")
	}
	events, err := o.Withdraw()
	if err != nil {
		t.Fatal(err)
	}
	*events[0].(offer.Withdrawn).EndsAt = time.Time{}
	if !o.EndsAt.Equal(end) {
		t.Error("a change of a decided event's moments reached the state")
	}
}

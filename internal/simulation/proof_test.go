package simulation

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
)

// books is what a server says of one order and the offer, after an evening of a single order.
type books struct {
	order, payments, track, offer string
	told                          []fact
}

// kept are the books of an order that was delivered with the offer, paid for, and partly given back.
func kept() books {
	return books{
		order:    `{"id":"o","status":"delivered","totalAmount":900}`,
		payments: `{"items":[{"id":"p0"},{"id":"p1","captured":900,"refunded":300,"refundDue":0}]}`,
		track:    `{"items":[{},{},{}]}`,
		offer:    `{"uses":1}`,
		told: []fact{
			{event: "order:assigned"},
			{event: "order:status:update", subject: subject{Status: "confirmed"}},
			{event: "payment:received"},
			{event: "order:status:update", subject: subject{Status: "delivered"}},
		},
	}
}

func TestEveryOrderIsAudited(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*books, *order, *offer)
		says   string
	}{
		"all is well":      {func(*books, *order, *offer) {}, ""},
		"an unsure point":  {func(_ *books, o *order, _ *offer) { o.kept, o.unsure = 2, 1 }, ""},
		"another status":   {func(b *books, _ *order, _ *offer) { b.order = `{"status":"ready","totalAmount":900}` }, "is ready for 900"},
		"another total":    {func(b *books, _ *order, _ *offer) { b.order = `{"status":"delivered","totalAmount":9}` }, "delivered for 9 "},
		"a step untold":    {func(b *books, _ *order, _ *offer) { b.told = b.told[:3] }, "were told confirmed and"},
		"a point lost":     {func(b *books, _ *order, _ *offer) { b.track = `{"items":[{},{}]}` }, "2 points and 3 were kept"},
		"a point too many": {func(b *books, _ *order, _ *offer) { b.track = `{"items":[{},{},{},{}]}` }, "4 points"},
		"a payment lost":   {func(_ *books, o *order, _ *offer) { o.payments = 3 }, "has 2 payments and should have 3"},
		"money lost":       {func(_ *books, o *order, _ *offer) { o.captured = 1000 }, "captured 900 and refunded 300"},
		"a refund lost":    {func(_ *books, o *order, _ *offer) { o.refunded = 400 }, "captured 900 and refunded 300"},
		"more given back than came in": {func(b *books, _ *order, _ *offer) {
			b.payments = `{"items":[{"id":"p0","captured":0,"refunded":0,"refundDue":1},{"id":"p1","captured":900,"refunded":300}]}`
		}, "payment p0 has captured 0, refunded 0, due 1"},
		"a cancelled order's money kept": {func(b *books, o *order, f *offer) {
			o.status, b.order = "cancelled", `{"status":"cancelled","totalAmount":900}`
			b.told[3] = fact{event: "order:cancelled"}
			o.steps = o.steps[:1]
			f.uses.Store(0)
			b.offer = `{"uses":0}`
		}, "of 900 captured 600 are neither given back nor due"},
		"a use not counted":  {func(b *books, _ *order, _ *offer) { b.offer = `{"uses":0}` }, "counts 0 uses, and 1 orders"},
		"the offer overused": {func(_ *books, _ *order, f *offer) { f.MaxUses = 0 }, "may be used 0 times and was 1"},
		"one used it too often": {func(_ *books, _ *order, f *offer) {
			f.MaxUsesPerUser = 0
		}, "ada used the offer more than 0 times"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := kept()
			boss := someone(domain.RoleAdmin, "boss")
			o := &order{
				number: 7, id: "o", customer: &customer{user: someone(domain.RoleCustomer, "ada")}, total: 900, withOffer: true,
				status: "delivered", steps: []string{"confirmed", "delivered"}, payments: 2, captured: 900, refunded: 300, kept: 3,
			}
			e := &evening{stats: &stats{}, admins: []admin{{user: boss}}, orders: []*order{o}}
			e.shop.offer.Code, e.shop.offer.MaxUses, e.shop.offer.MaxUsesPerUser = "X", 1, 1
			e.shop.offer.uses.Store(1)
			tc.change(&b, o, &e.shop.offer)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, map[string]string{
					"/api/v1/orders/o": b.order, "/api/v1/orders/o/payments": b.payments,
					"/api/v1/delivery/orders/o/track": b.track, "/api/v1/offers/X": b.offer,
				}[r.URL.Path])
			}))
			t.Cleanup(server.Close)
			e.api = newAPI(server.URL)
			t.Cleanup(e.api.close)
			if err := e.checkOrders(t.Context(), map[string][]fact{"order:o": b.told}); err != nil {
				t.Fatal(err)
			}
			if err := e.checkOffer(t.Context()); err != nil {
				t.Fatal(err)
			}
			faults, n := e.stats.faults()
			if said := strings.Join(faults, "; "); (n == 0) != (tc.says == "") || !strings.Contains(said, tc.says) || n > 1 {
				t.Errorf("found %d faults: %s; want %q", n, said, tc.says)
			}
		})
	}
}

func TestUsersHearOnlyOfTheirOwnOrders(t *testing.T) {
	t.Parallel()
	ada, ron := &customer{user: someone(domain.RoleCustomer, "ada")}, &courier{user: someone(domain.RoleDelivery, "ron")}
	e := &evening{
		courierOf: map[string]*courier{"ron": ron},
		orders:    []*order{{id: "o", customer: ada, couriers: map[string]bool{"ron": true}}},
	}
	mine := e.businessOf()
	for _, tc := range []struct {
		who          *user
		event, order string
		want         bool
	}{
		{ada.user, "order:cancelled", "o", true},
		{ada.user, "order:cancelled", "p", false},
		{ada.user, "offer:new", "", true},
		{ron.user, "order:new", "p", true},
		{ron.user, "order:assigned", "o", true},
		{ron.user, "order:assigned", "p", false},
		{someone(domain.RoleAdmin, "boss"), "order:assigned", "p", true},
	} {
		if got := mine(tc.who, fact{event: tc.event, subject: subject{Order: tc.order}}); got != tc.want {
			t.Errorf("%s may hear of %s of %q: %t", tc.who.id, tc.event, tc.order, got)
		}
	}
}

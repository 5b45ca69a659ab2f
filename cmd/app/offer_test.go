package main

import (
	"fmt"
	"sync"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// TestTheLastUsesOfAnOfferAreTakenOnce lets 100 customers order at the same moment, at two processes, with an offer of
// which 10 uses are left.
func TestTheLastUsesOfAnOfferAreTakenOnce(t *testing.T) {
	t.Parallel()
	const customers, left = 100, 10
	url := pgtest.Database(t)
	nodes := []*server{startProcess(t, serverSettings(t, url)), startProcess(t, serverSettings(t, url))}
	product := nodes[0].openShop(t)
	admin := tokenFor(t, "boss", domain.RoleAdmin)
	nodes[0].must(t, 201, "POST", "/api/v1/offers", admin, map[string]any{
		"code": "LAST10", "description": "Half off", "discountType": "percent", "discountValue": 50, "maxUses": left, "maxUsesPerUser": 1,
	})

	var mu sync.Mutex
	answers := map[string]int{}
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range customers {
		token := tokenFor(t, fmt.Sprintf("customer-%d", i), domain.RoleCustomer)
		wg.Go(func() {
			body := orderOf(product)
			body["offerCode"] = "LAST10"
			<-begin
			a, err := nodes[i%2].call(t.Context(), "POST", "/api/v1/orders", token, body)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[fmt.Sprintf("%d %v %v %v", a.status, a.body["code"], a.body["rule"], a.body["discount"])]++
		})
	}
	close(begin)
	wg.Wait()
	const taken, refused = "201 <nil> <nil> 950", "409 offer_not_applicable max_uses <nil>"
	if answers[taken] != left || answers[refused] != customers-left {
		t.Errorf("the answers were %v; want %d times %q and %d times %q", answers, left, taken, customers-left, refused)
	}

	// What reads say is what the log says.
	head := nodes[0].must(t, 200, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": true}).seq()
	orders := nodes[1].must(t, 200, "GET", fmt.Sprintf("/api/v1/orders?limit=200&min_seq=%d", head), admin, nil)
	discounted := 0
	for _, o := range orders.body["items"].([]any) {
		if o := o.(map[string]any); o["offerCode"] == "LAST10" && o["discount"] == 950.0 && o["totalAmount"] == 950.0 {
			discounted++
		}
	}
	if n := len(orders.body["items"].([]any)); n != left || discounted != left {
		t.Errorf("%d orders, %d of them with the offer; want %d", n, discounted, left)
	}
	if o := nodes[0].must(t, 200, "GET", fmt.Sprintf("/api/v1/offers/LAST10?min_seq=%d", head), admin, nil); o.body["uses"] != float64(left) {
		t.Errorf("the offer says %v", o.body)
	}
}

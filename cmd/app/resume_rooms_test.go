package main

import (
	"slices"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// goes sets what the courier does, which only those in its room and admins are told, and returns the seq of that.
func (s shop) goes(t *testing.T, courier, status string) int64 {
	t.Helper()
	return s.must(t, 200, "PATCH", "/api/v1/delivery/status", tokenFor(t, courier, domain.RoleDelivery), map[string]any{"status": status}).seq()
}

// assign gives an order to a courier, who is online.
func (s shop) assign(t *testing.T, order, courier string) {
	t.Helper()
	s.must(t, 200, "POST", "/api/v1/orders/"+order+"/assign", s.admin, map[string]any{"agentId": courier})
}

// placed are n new orders, of which couriers are told no more.
func (s shop) placed(t *testing.T, n int) <-chan string {
	t.Helper()
	orders := make(chan string, n)
	for range n {
		orders <- s.place(t, s.ada)
	}
	return orders
}

// What a room carried while its client was away comes when it is back, on another node as well. A client of Socket.IO
// that is recovered is in its rooms without asking.
func TestAClientThatComesBackIsInItsRooms(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	here, there := openedShopOn(t, url), start(t, serverSettings(t, url))
	overEveryTransport(t, func(t *testing.T, made func() driver) {
		dave := own(t, "dave")
		c := newClient(t, made(), dave, domain.RoleDelivery, "delivery:"+dave)
		k := c.arrive(t, here.url)
		first := here.goes(t, dave, "online")
		k.hears(t, "delivery:status:update", first)
		k.cut()
		second := here.goes(t, dave, "offline")
		k = c.arrive(t, there.url)
		third := here.goes(t, dave, "online")
		k.hears(t, "delivery:status:update", third)
		k.cut()
		k = c.arrive(t, here.url)
		fourth := here.goes(t, dave, "offline")
		k.hears(t, "delivery:status:update", fourth)
		if want := []int64{1, first, second, third, fourth}; !slices.Equal(c.got, want) {
			t.Errorf("it got %v, want %v", c.got, want)
		}
	})
}

// A right that is lost ends the room at once, over every transport: the client is told that it left, and nothing more
// that only the room carries, now or when it is back.
func TestARightThatIsLostEndsTheRoom(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	orders := s.placed(t, len(transports))
	overEveryTransport(t, func(t *testing.T, made func() driver) {
		dave, erin, order := own(t, "dave"), own(t, "erin"), <-orders
		s.goes(t, dave, "online")
		s.goes(t, erin, "online")
		s.assign(t, order, dave)

		c := newClient(t, made(), dave, domain.RoleDelivery, "order:"+order)
		k := c.arrive(t, s.url)
		s.assign(t, order, erin)
		if f := k.hears(t, "left", 0); !includes(t, string(f.data), `{"room":"order:`+order+`"}`) {
			t.Errorf("it left %s", f.data)
		}
		s.move(t, order, "confirmed")
		told := s.note(t, dave)
		k.hears(t, "notification:new", told)
		k.cut()

		s.move(t, order, "preparing")
		told = s.note(t, dave)
		k = c.begin(t, s.url)
		k.hears(t, "notification:new", told)
		k.hears(t, "caught_up", 0)
	})
}

// So does a right that is lost while the client is away. Over Socket.IO, where nothing else says that the room is not
// among those it is put back in, it is told that it left.
func TestARightThatIsLostWhileTheClientIsAway(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	orders := s.placed(t, len(transports))
	overEveryTransport(t, func(t *testing.T, made func() driver) {
		dave, erin, order := own(t, "dave"), own(t, "erin"), <-orders
		s.goes(t, dave, "online")
		s.goes(t, erin, "online")
		s.assign(t, order, dave)
		c := newClient(t, made(), dave, domain.RoleDelivery, "order:"+order)
		c.arrive(t, s.url).cut()
		s.assign(t, order, erin)
		s.move(t, order, "confirmed")

		k, left := c.begin(t, s.url), 0
		for {
			f, err := k.next(t.Context())
			if err != nil {
				t.Fatalf("heard %s, %v", f.data, err)
			}
			if f.event == "left" && includes(t, string(f.data), `{"room":"order:`+order+`"}`) {
				left++
			}
			if f.event == "order:status:update" {
				t.Errorf("it is told what only the room carries: %s", f.data)
			}
			if f.event == "caught_up" {
				break
			}
		}
		_, silent := c.driver.(*overSocketIO)
		if want := map[bool]int{true: 1}[silent]; left != want {
			t.Errorf("it was told %d times that it left, want %d", left, want)
		}
	})
}

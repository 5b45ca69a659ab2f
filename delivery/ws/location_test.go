package ws

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/proxies"
)

// locator answers as it is told to.
type locator func(ctx context.Context, user auth.Identity, remoteAddr string, orderID uuid.UUID, p courier.Point) (session.Located, error)

func (l locator) ReportLocation(ctx context.Context, user auth.Identity, remoteAddr string, orderID uuid.UUID, p courier.Point) (session.Located, error) {
	return l(ctx, user, remoteAddr, orderID, p)
}

func TestALocationIsPassedOnAndAcknowledged(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	type report struct {
		user, from string
		order      uuid.UUID
		point      string
	}
	reports := make(chan report, 1)
	s := serve(t, options{ws: func(c *Config) {
		c.TrustedProxies = proxies.Trusted{netip.MustParsePrefix("127.0.0.0/8")}
	}, session: func(c *session.Config) {
		c.Locator = locator(func(ctx context.Context, user auth.Identity, remoteAddr string, orderID uuid.UUID, p courier.Point) (session.Located, error) {
			if limit, ok := ctx.Deadline(); !ok || time.Until(limit) > 5*time.Second {
				t.Error("it may take as long as it likes")
			}
			point := fmt.Sprint(p.Latitude, p.Longitude, p.Speed != nil && *p.Speed == 3.5, p.Heading == nil, p.Accuracy == nil)
			reports <- report{user.UserID, remoteAddr, orderID, point}
			return session.Located{Kept: p.Speed != nil, At: at, Seq: 12}, nil
		})
	}})
	c := s.dial(t, http.Header{"X-Forwarded-For": {"198.51.100.1, 203.0.113.9"}})
	c.register("dora", domain.RoleDelivery, "")
	m := c.ask("delivery:location", fmt.Sprintf(`{"orderId":%q,"latitude":52.5,"longitude":-13.25,"speed":3.5,"heading":null,"battery":80}`, order1))
	want := report{"dora", "203.0.113.9", order1, "52.5 -13.25 true true true"}
	if got := <-reports; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if m.Data.OrderID != order1.String() || !m.Data.Kept || m.Data.At != "2026-01-02T03:04:05Z" || m.Data.Seq != 12 {
		t.Errorf("got %s", m.raw)
	}
	// Without an id nothing is answered when it went well.
	c.say(`{"event":"delivery:location","data":{"orderId":%q,"latitude":0,"longitude":0}}`, order1)
	<-reports
	c.say(`{"event":"ping"}`)
	c.expect("pong")
}

func TestLocationsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, options{ws: func(c *Config) {
		c.MaxMessages = 1 << 10
	}, session: func(c *session.Config) {
		c.Locator = locator(func(_ context.Context, _ auth.Identity, _ string, orderID uuid.UUID, _ courier.Point) (session.Located, error) {
			if orderID == deliverytest.BrokenOrder {
				return session.Located{}, deliverytest.ErrDatabase
			}
			return session.Located{}, domain.Errorf(domain.CodeOrderNotActive, "it is delivered")
		})
	}})
	c := s.dial(t, nil)
	c.register("dora", domain.RoleDelivery, "")
	at := func(order any, more string) string { return fmt.Sprintf(`{"orderId":"%v"%s}`, order, more) }
	for _, tc := range []struct{ data, code, names string }{
		{at(order1, `,"latitude":1,"longitude":2`), "order_not_active", "delivered"},
		{at(deliverytest.BrokenOrder, `,"latitude":1,"longitude":2`), "unavailable", "again"},
		{at("5", `,"latitude":1,"longitude":2`), "invalid_request", "orderId"},
		{`{"orderId":5,"latitude":1,"longitude":2}`, "invalid_request", "orderId must be text"},
		{`{"latitude":1,"longitude":2}`, "invalid_request", "orderId"},
		{at(order1, `,"longitude":2`), "invalid_request", "latitude"},
		{at(order1, `,"latitude":1`), "invalid_request", "longitude"},
		{at(order1, `,"latitude":null,"longitude":2`), "invalid_request", "latitude"},
		{at(order1, `,"latitude":"1","longitude":2`), "invalid_request", "latitude must be a number"},
		{at(order1, `,"latitude":1,"longitude":1e999`), "invalid_request", "longitude must be a number"},
		{at(order1, `,"latitude":90.1,"longitude":2`), "invalid_request", "latitude"},
		{at(order1, `,"latitude":1,"longitude":-181`), "invalid_request", "longitude"},
		{at(order1, `,"latitude":1,"longitude":2,"speed":-1`), "invalid_request", "speed"},
		{at(order1, `,"latitude":1,"longitude":2,"heading":361`), "invalid_request", "heading"},
		{at(order1, `,"latitude":1,"longitude":2,"accuracy":true`), "invalid_request", "accuracy"},
		{`"` + order1.String() + `"`, "invalid_request", "latitude"},
		{`[]`, "invalid_request", "latitude"},
		{`null`, "invalid_request", "latitude"},
	} {
		if m := c.ask("delivery:location", tc.data); m.code() != tc.code || !strings.Contains(m.Error.Message, tc.names) {
			t.Errorf("%s: got %s, want %s naming %q", tc.data, m.raw, tc.code, tc.names)
		}
		c.say(`{"event":"delivery:location","data":%s}`, tc.data)
		if m := c.expect("error"); m.Data.Code != tc.code {
			t.Errorf("%s: got %s, want %s", tc.data, m.raw, tc.code)
		}
	}
	for _, broken := range []string{`NaN`, `01`, `.5`, `0x1`, `Infinity`} { // no JSON at all
		c := s.dial(t, nil)
		c.register("dora", domain.RoleDelivery, "")
		c.say(`{"event":"delivery:location","data":{"orderId":%q,"latitude":%s,"longitude":2}}`, order1, broken)
		c.expectClose(4400, "bad_message")
	}
}

func TestLocationsNeedATaker(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, nil)
	c.register("dora", domain.RoleDelivery, "")
	if m := c.ask("delivery:location", fmt.Sprintf(`{"orderId":%q,"latitude":1,"longitude":2}`, order1)); m.code() != "unavailable" {
		t.Errorf("got %s", m.raw)
	}
}

package socketio

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
)

// What the guide of the system before this one shows works as it is there.
func TestTheClientsOfTheOlderSystemAreServed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	n := w.node(t, options{})

	nobody := newClient(t, nil).connect(n)
	nobody.emit("register", map[string]any{"userId": "507f1f77bcf86cd799439011", "role": "customer"})
	if h := nobody.expect("registered"); h.data.UserID != nil || h.data.Role != nil || h.at != "" {
		t.Errorf("nobody is %s", h.raw)
	}
	w.tell(projections.EventBusinessStatus, "all")
	nobody.expect(projections.EventBusinessStatus)

	ann := newClient(t, map[string]any{"token": "Bearer " + tokenOf("ann", domain.RoleCustomer)}).connect(n)
	ann.emit("register", map[string]any{"userId": "ann", "role": "customer"})
	if h := ann.expect("registered"); h.data.UserID == nil || *h.data.UserID != "ann" || *h.data.Role != "customer" {
		t.Errorf("ann is %s", h.raw)
	}
	ann.emit("join:order", deliverytest.Order1.String())
	if ack := ann.ask("join:delivery", "dan"); ack.error != nil || ack.data.Room != "delivery:dan" {
		t.Errorf("got %s", ack.raw)
	}
	w.tell(projections.EventOrderStatus, projections.ChannelOrder(deliverytest.Order1))
	if h := ann.expect(projections.EventOrderStatus); h.data.Seq != 2 || h.at != "2" {
		t.Errorf("got %s", h.raw)
	}
	ann.emit("leave:order", deliverytest.Order1.String())
	ann.ask("ping")
	w.tell(projections.EventOrderStatus, projections.ChannelOrder(deliverytest.Order1))
	w.tell("end", "all")
	if h := ann.hear(); h.name != "end" {
		t.Errorf("got %s", h.raw)
	}
}

func TestRegisteringSaysWhoTheSocketIs(t *testing.T) {
	t.Parallel()
	n := newWorld().node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer)}).connect(n)
	for _, ok := range []any{nil, map[string]any{}, map[string]any{"userId": "ann"}, map[string]any{"role": "customer", "token": nil}} {
		ack := c.ask("register", ok)
		if ack.error != nil || !slices.Equal(ack.data.Channels, []string{"all", "role:customer", "user:ann"}) {
			t.Errorf("%v: %s", ok, ack.raw)
		}
	}
	for _, bad := range []struct {
		data any
		want domain.Code
	}{
		{map[string]any{"userId": "bob"}, domain.CodeForbidden},
		{map[string]any{"role": "admin"}, domain.CodeForbidden},
		{map[string]any{"token": "x"}, domain.CodeInvalidRequest},
		{map[string]any{"lastSeq": 1}, domain.CodeInvalidRequest},
		{map[string]any{"rooms": []string{}}, domain.CodeInvalidRequest},
		{"ann", domain.CodeInvalidRequest},
		{[]int{1}, domain.CodeInvalidRequest},
	} {
		if ack := c.ask("register", bad.data); ack.error == nil || ack.error.Code != bad.want || ack.error.Message == "" {
			t.Errorf("%v: %s", bad.data, ack.raw)
		}
	}
	c.emit("register", map[string]any{"role": "admin"})
	if h := c.expect("error"); h.data.Code != string(domain.CodeForbidden) || h.at != "" {
		t.Errorf("got %s", h.raw)
	}
}

func TestEventsAreAnsweredByTheirAcknowledgementOrAnError(t *testing.T) {
	t.Parallel()
	n := newWorld().node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer)}).connect(n)
	for _, x := range []struct {
		event string
		args  []any
		want  domain.Code
	}{
		{"join:order", []any{"x"}, domain.CodeInvalidRequest},
		{"join:order", nil, domain.CodeInvalidRequest},
		{"join:order", []any{nil}, domain.CodeInvalidRequest},
		{"join:order", []any{deliverytest.Order3}, domain.CodeForbidden},
		{"join:order", []any{deliverytest.BrokenOrder}, domain.CodeUnavailable},
		{"order:new", []any{map[string]any{}}, session.CodeUnknownEvent},
		{"refresh", []any{map[string]any{"token": "x"}}, domain.CodeUnauthenticated},
		{"refresh", []any{map[string]any{"token": tokenOf("bob", domain.RoleCustomer)}}, domain.CodeForbidden},
		{"delivery:location", []any{map[string]any{"orderId": "x"}}, domain.CodeInvalidRequest},
		{"refresh", []any{map[string]any{"token": "Bearer " + tokenOf("ann", domain.RoleCustomer)}}, ""},
		{"join:order", []any{map[string]any{"orderId": deliverytest.Order1, "lastSeq": 0}}, ""},
		{"leave:order", []any{map[string]any{"orderId": deliverytest.Order1}}, ""},
		{"ping", nil, ""},
	} {
		ack := c.ask(x.event, x.args...)
		if x.want == "" && ack.error != nil || x.want != "" && (ack.error == nil || ack.error.Code != x.want) {
			t.Errorf("%s %v: %s", x.event, x.args, ack.raw)
		}
		if c.emit(x.event, x.args...); x.want != "" {
			if h := c.expect("error"); h.data.Code != string(x.want) {
				t.Errorf("%s %v: %s", x.event, x.args, h.raw)
			}
		}
	}

	nobody := newClient(t, nil).connect(n)
	for _, event := range []string{"join:order", "refresh", "delivery:location", "anything"} {
		if ack := nobody.ask(event, "x"); ack.error == nil || ack.error.Code != domain.CodeUnauthenticated {
			t.Errorf("nobody: %s: %s", event, ack.raw)
		}
	}
	nobody.emit("ping")
	if h := nobody.expect("pong"); h.at != "" {
		t.Errorf("%s is taken for an offset", h.raw)
	}
}

func TestAFrameIsToldWithItsSeqAndItsOffset(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{}`:                `["order:status:update",{"seq":7},"7"]`,
		`{"a": [1, {}]}`:    `["order:status:update",{"a":[1,{}],"seq":7},"7"]`,
		`null`:              `["order:status:update",null,"7"]`,
		`{"a":"\u2028 \""}`: `["order:status:update",{"a":"\u2028 \"","seq":7},"7"]`,
	} {
		f, err := delivery.NewFrame(projections.Notification{Seq: 7, Event: projections.EventOrderStatus, Data: json.RawMessage(data)})
		must(t, err)
		for range 2 {
			if got := string(eventOf(f)); got != want {
				t.Errorf("%s is told as %s, want %s", data, got, want)
			}
			want := strings.Replace(strings.Replace(want, "update", "changed", 1), `"7"`, `"7/1"`, 1)
			if got := string(changedOf(f)); got != want {
				t.Errorf("%s is told as %s, want %s", data, got, want)
			}
		}
	}
}

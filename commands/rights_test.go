package commands_test

import (
	"context"
	"maps"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
)

// Who may do what: each command, by each kind of person.
func TestRights(t *testing.T) {
	t.Parallel()
	const (
		yes = domain.Code("")
		no  = domain.CodeForbidden
	)
	nobody := commands.Actor{Role: domain.RoleAdmin}
	fake := commands.Actor{UserID: "x", Role: "root"}
	newPrice := int64(500)

	type rights map[commands.Actor]domain.Code
	adminOnly := rights{admin: yes, customer: no, stranger: no, raj: no, sam: no}
	status := func(at order.Status, to order.Status) func(context.Context, *shop, commands.Request) error {
		return func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.ChangeOrderStatus(ctx, req, commands.ChangeOrderStatus{OrderID: s.placedAt(at).ID, Status: string(to)})
			return err
		}
	}
	cancel := func(at order.Status) func(context.Context, *shop, commands.Request) error {
		return func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.CancelOrder(ctx, req, commands.CancelOrder{OrderID: s.placedAt(at).ID, Reason: "late"})
			return err
		}
	}
	for name, c := range map[string]struct {
		do  func(context.Context, *shop, commands.Request) error
		may rights
	}{
		"open the business": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.SetBusinessStatus(ctx, req, commands.SetBusinessStatus{IsOpen: true})
			return err
		}, adminOnly},
		"add a product": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.AddProduct(ctx, req, commands.AddProduct{Name: "Chai", Currency: "EUR"})
			return err
		}, adminOnly},
		"update a product": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.UpdateProduct(ctx, req, commands.UpdateProduct{ProductID: s.dosa.ID, Price: &newPrice})
			return err
		}, adminOnly},
		"archive a product": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.ArchiveProduct(ctx, req, commands.ArchiveProduct{ProductID: s.dosa.ID})
			return err
		}, adminOnly},
		"place an order": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.PlaceOrder(ctx, req, s.wanted())
			return err
		}, rights{admin: no, customer: yes, stranger: yes, raj: no, sam: no}},
		"confirm an order":         {status(order.StatusPlaced, order.StatusConfirmed), adminOnly},
		"have an order ready":      {status(order.StatusPreparing, order.StatusReady), adminOnly},
		"carry an order out":       {status(order.StatusReady, order.StatusOutForDelivery), rights{admin: yes, customer: no, stranger: no, raj: yes, sam: no}},
		"deliver an order":         {status(order.StatusOutForDelivery, order.StatusDelivered), rights{admin: yes, customer: no, stranger: no, raj: yes, sam: no}},
		"cancel a new order":       {cancel(order.StatusPlaced), rights{admin: yes, customer: yes, stranger: no, raj: no, sam: no}},
		"cancel one in the making": {cancel(order.StatusPreparing), rights{admin: yes, customer: domain.CodeInvalidTransition, stranger: no, raj: no, sam: no}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			may := maps.Clone(c.may)
			may[nobody], may[fake] = domain.CodeUnauthenticated, no
			for actor, code := range may {
				s := newShop(t)
				err := c.do(t.Context(), s, by(actor))
				if got := domain.CodeOf(err); got != code {
					t.Errorf("%+v: %v; want code %q", actor, err, code)
				}
			}
		})
	}
}

func TestARefusalLeavesNoEvent(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	before := len(s.store.Events())
	_, err := s.CancelOrder(t.Context(), keyed(stranger, "k"), commands.CancelOrder{OrderID: o.ID, Reason: "spite"})
	wantCode(t, err, domain.CodeForbidden)
	_, err = s.ChangeOrderStatus(t.Context(), by(admin), commands.ChangeOrderStatus{OrderID: o.ID, Status: "delivered"})
	wantCode(t, err, domain.CodeInvalidTransition)
	_, err = s.ChangeOrderStatus(t.Context(), by(admin), commands.ChangeOrderStatus{OrderID: s.dosa.ID, Status: "confirmed"})
	wantCode(t, err, domain.CodeNotFound)
	if after := len(s.store.Events()); after != before {
		t.Errorf("%d events were added", after-before)
	}
}

func TestARequestThatCannotBeStoredIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	long := make([]byte, 256)
	for i := range long {
		long[i] = 'k'
	}
	for name, req := range map[string]commands.Request{
		"long key":              {Actor: admin, Key: string(long)},
		"NUL in the key":        {Actor: admin, Key: "a\x00"},
		"long correlation":      {Actor: admin, CorrelationID: string(long)},
		"broken causation":      {Actor: admin, CausationID: "\xff"},
		"broken remote address": {Actor: admin, RemoteAddr: "\xff"},
	} {
		_, err := s.SetBusinessStatus(t.Context(), req, commands.SetBusinessStatus{IsOpen: true})
		if domain.CodeOf(err) != domain.CodeInvalidRequest {
			t.Errorf("%s: %v; want invalid_request", name, err)
		}
	}
	_, err := s.SetBusinessStatus(t.Context(), by(commands.Actor{UserID: "a\x00", Role: domain.RoleAdmin}), commands.SetBusinessStatus{})
	wantCode(t, err, domain.CodeUnauthenticated)
}

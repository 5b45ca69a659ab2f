package commands_test

import (
	"context"
	"maps"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
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
		"confirm an order":    {status(order.StatusPlaced, order.StatusConfirmed), adminOnly},
		"have an order ready": {status(order.StatusPreparing, order.StatusReady), adminOnly},
		"carry an order out":  {status(order.StatusReady, order.StatusOutForDelivery), rights{admin: yes, customer: no, stranger: no, raj: yes, sam: no}},
		"deliver an order":    {status(order.StatusOutForDelivery, order.StatusDelivered), rights{admin: yes, customer: no, stranger: no, raj: yes, sam: no}},
		"assign an order": {func(ctx context.Context, s *shop, req commands.Request) error {
			s.online(sam)
			_, err := s.AssignOrder(ctx, req, commands.AssignOrder{OrderID: s.placed().ID, AgentID: sam.UserID})
			return err
		}, adminOnly},
		"start a payment": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.StartPayment(ctx, req, commands.StartPayment{OrderID: s.placed().ID, Method: "card"})
			return err
		}, rights{admin: yes, customer: yes, stranger: no, raj: no, sam: no}},
		"collect cash": {func(ctx context.Context, s *shop, req commands.Request) error {
			s.online(raj)
			o := s.assign(s.placed(), raj)
			_, err := s.CollectPayment(ctx, req, commands.CollectPayment{PaymentID: s.start(o, "cod").ID})
			return err
		}, rights{admin: yes, customer: no, stranger: no, raj: yes, sam: no}},
		"refund a payment": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.RefundPayment(ctx, req, commands.RefundPayment{PaymentID: s.captured(s.placed()).ID, Reason: "cold"})
			return err
		}, adminOnly},
		"speak for the provider": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.ProviderEvent(ctx, req, commands.ProviderEvent{
				EventID: "e", PaymentID: s.start(s.placed(), "card").ID, Type: commands.ProviderFailed,
			})
			return err
		}, rights{provider: yes, admin: no, customer: no, stranger: no, raj: no, sam: no}},
		"settle a refund": {func(ctx context.Context, s *shop, req commands.Request) error {
			p := s.refunded(100)
			_, err := s.SettleRefund(ctx, req, commands.SettleRefund{PaymentID: p.ID, RefundID: p.Refunds[0].ID})
			return err
		}, rights{provider: yes, admin: no, customer: no, stranger: no, raj: no, sam: no}},
		"take orders": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.SetCourierStatus(ctx, req, commands.SetCourierStatus{Status: "online"})
			return err
		}, rights{admin: no, customer: no, stranger: no, raj: yes, sam: yes}},
		"report where an order is": {func(ctx context.Context, s *shop, req commands.Request) error {
			s.online(raj)
			_, err := s.ReportLocation(ctx, req, commands.ReportLocation{OrderID: s.assign(s.placed(), raj).ID})
			return err
		}, rights{admin: no, customer: no, stranger: no, raj: yes, sam: no}},
		"create an offer": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.CreateOffer(ctx, req, commands.CreateOffer{Terms: half()})
			return err
		}, adminOnly},
		"update an offer": {func(ctx context.Context, s *shop, req commands.Request) error {
			s.offer(func(*offer.Terms) {})
			_, err := s.UpdateOffer(ctx, req, commands.UpdateOffer{Code: "half", Change: offer.Change{MaxUses: &newPrice}})
			return err
		}, adminOnly},
		"withdraw an offer": {func(ctx context.Context, s *shop, req commands.Request) error {
			s.offer(func(*offer.Terms) {})
			_, err := s.WithdrawOffer(ctx, req, commands.WithdrawOffer{Code: "half"})
			return err
		}, adminOnly},
		"notify a user": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.Notify(ctx, req, commands.Notify{UserID: "c1", Title: "Hello", Message: "We moved", Type: "news"})
			return err
		}, adminOnly},
		"read an entry of a customer's inbox": {func(ctx context.Context, s *shop, req commands.Request) error {
			n := must(s.Notify(ctx, by(admin), commands.Notify{UserID: customer.UserID, Title: "Hello", Message: "We moved", Type: "news"}))(s.t)
			_, err := s.ReadNotification(ctx, req, commands.ReadNotification{ID: n.ID})
			return err
		}, rights{admin: no, customer: yes, stranger: no, raj: no, sam: no}},
		"read all of one's own inbox": {func(ctx context.Context, s *shop, req commands.Request) error {
			_, err := s.ReadAllNotifications(ctx, req)
			return err
		}, rights{admin: yes, customer: yes, stranger: yes, raj: yes, sam: yes}},
		"cancel a new order":       {cancel(order.StatusPlaced), rights{admin: yes, customer: yes, stranger: no, raj: no, sam: no}},
		"cancel one in the making": {cancel(order.StatusPreparing), rights{admin: yes, customer: domain.CodeInvalidTransition, stranger: no, raj: no, sam: no}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			may := maps.Clone(c.may)
			may[nobody], may[fake] = domain.CodeUnauthenticated, no
			if _, asked := may[provider]; !asked {
				may[provider] = no // the program itself asks for nothing else
			}
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

package rest

import (
	"context"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

func command[T any](w *world, req commands.Request, cmd any, value T) (commands.Outcome[T], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics {
		panic("secret of the house")
	}
	w.requests, w.cmds = append(w.requests, req), append(w.cmds, cmd)
	return commands.Outcome[T]{Value: value, Seq: 50, Replayed: w.replayed}, w.fail
}

func (w *world) SetBusinessStatus(_ context.Context, req commands.Request, cmd commands.SetBusinessStatus) (commands.Outcome[business.Business], error) {
	return command(w, req, cmd, business.Business{IsOpen: cmd.IsOpen, Message: cmd.Message})
}

func (w *world) AddProduct(_ context.Context, req commands.Request, cmd commands.AddProduct) (commands.Outcome[menu.Product], error) {
	return command(w, req, cmd, menu.Product{ID: productID, Name: cmd.Name})
}

func (w *world) UpdateProduct(_ context.Context, req commands.Request, cmd commands.UpdateProduct) (commands.Outcome[menu.Product], error) {
	return command(w, req, cmd, menu.Product{ID: cmd.ProductID})
}

func (w *world) ArchiveProduct(_ context.Context, req commands.Request, cmd commands.ArchiveProduct) (commands.Outcome[menu.Product], error) {
	return command(w, req, cmd, menu.Product{ID: cmd.ProductID, Archived: true})
}

func (w *world) PlaceOrder(_ context.Context, req commands.Request, cmd commands.PlaceOrder) (commands.Outcome[order.Order], error) {
	return command(w, req, cmd, w.order)
}

func (w *world) ChangeOrderStatus(_ context.Context, req commands.Request, cmd commands.ChangeOrderStatus) (commands.Outcome[order.Order], error) {
	return command(w, req, cmd, w.order)
}

func (w *world) CancelOrder(_ context.Context, req commands.Request, cmd commands.CancelOrder) (commands.Outcome[order.Order], error) {
	return command(w, req, cmd, w.order)
}

func (w *world) AssignOrder(_ context.Context, req commands.Request, cmd commands.AssignOrder) (commands.Outcome[order.Order], error) {
	return command(w, req, cmd, w.order)
}

func (w *world) StartPayment(_ context.Context, req commands.Request, cmd commands.StartPayment) (commands.Outcome[payment.Payment], error) {
	return command(w, req, cmd, w.payments[0])
}

func (w *world) CollectPayment(_ context.Context, req commands.Request, cmd commands.CollectPayment) (commands.Outcome[payment.Payment], error) {
	return command(w, req, cmd, w.payments[0])
}

func (w *world) RefundPayment(_ context.Context, req commands.Request, cmd commands.RefundPayment) (commands.Outcome[payment.Payment], error) {
	return command(w, req, cmd, w.payments[0])
}

func (w *world) ProviderEvent(_ context.Context, req commands.Request, cmd commands.ProviderEvent) (commands.Outcome[payment.Payment], error) {
	return command(w, req, cmd, w.payments[1])
}

func (w *world) SetCourierStatus(_ context.Context, req commands.Request, cmd commands.SetCourierStatus) (commands.Outcome[courier.Courier], error) {
	return command(w, req, cmd, courier.Courier{ID: req.Actor.UserID, Status: courier.Status(cmd.Status), Chosen: courier.Status(cmd.Status)})
}

func (w *world) ReportLocation(_ context.Context, req commands.Request, cmd commands.ReportLocation) (commands.Outcome[commands.Location], error) {
	return command(w, req, cmd, commands.Location{OrderID: cmd.OrderID, Kept: true, At: someTime})
}

func (w *world) CreateOffer(_ context.Context, req commands.Request, cmd commands.CreateOffer) (commands.Outcome[offer.Offer], error) {
	return command(w, req, cmd, offer.Offer{Terms: cmd.Terms})
}

func (w *world) UpdateOffer(_ context.Context, req commands.Request, cmd commands.UpdateOffer) (commands.Outcome[offer.Offer], error) {
	return command(w, req, cmd, w.offer)
}

func (w *world) WithdrawOffer(_ context.Context, req commands.Request, cmd commands.WithdrawOffer) (commands.Outcome[offer.Offer], error) {
	o := w.offer
	o.Withdrawn = true
	return command(w, req, cmd, o)
}

func (w *world) CheckOffer(_ context.Context, actor commands.Actor, cmd commands.CheckOffer) (commands.OfferCheck, int64, error) {
	out, err := command(w, commands.Request{Actor: actor}, cmd,
		commands.OfferCheck{Code: "HALF", Subtotal: 900, Discount: 450, TotalAmount: 450, Currency: "INR"})
	return out.Value, out.Seq, err
}

func (w *world) Notify(_ context.Context, req commands.Request, cmd commands.Notify) (commands.Outcome[inbox.Entry], error) {
	return command(w, req, cmd, w.entry)
}

func (w *world) ReadNotification(_ context.Context, req commands.Request, cmd commands.ReadNotification) (commands.Outcome[inbox.Entry], error) {
	e := w.entry
	e.Read = true
	return command(w, req, cmd, e)
}

func (w *world) ReadAllNotifications(_ context.Context, req commands.Request) (commands.Outcome[commands.AllRead], error) {
	return command(w, req, "read all", commands.AllRead{})
}

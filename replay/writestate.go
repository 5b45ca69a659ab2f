package replay

import (
	"bufio"
	"fmt"
	"io"

	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// WriteState writes an order as it was at a moment for people to read in a terminal; what is empty is left out. Characters
// that would drive the terminal are shown as a replacement.
func WriteState(w io.Writer, s State) error {
	out := bufio.NewWriter(w) // keeps its first error for Flush
	row := func(label, text string) {
		if text != "" {
			_, _ = fmt.Fprintf(out, "  %-10s %s\n", label, printable(text))
		}
	}
	_, _ = fmt.Fprintf(out, "%s after seq %d, %s %s (UTC)\n",
		printable(s.OrderNumber), s.Seq, s.At.UTC().Format(dayFormat), s.At.UTC().Format(timeFormat))
	row("order", s.ID.String())
	row("status", inWords(string(s.Status)))
	row("cancelled", s.CancelReason)
	customer := s.CustomerID
	if s.CustomerName != "" {
		customer = s.CustomerName + " (" + s.CustomerID + ")"
	}
	row("customer", customer)
	row("address", s.DeliveryAddress)
	row("note", s.Note)
	row("courier", s.AgentID)
	for _, i := range s.Items {
		row("item", fmt.Sprintf("%d × %s for %s", i.Quantity, i.Name, money(i.Total, s.Currency)))
	}
	row("total", total(s.Order))
	for _, p := range s.Payments {
		row("payment", paid(p))
		for _, r := range p.Refunds {
			text := money(r.Amount, p.Currency) + ", " + string(r.Status)
			if r.Reason != "" {
				text += ": " + r.Reason
			}
			row("refund", text)
		}
	}
	return out.Flush()
}

func total(o order.Order) string {
	text := money(o.TotalAmount, o.Currency)
	if o.Discount == 0 {
		return text
	}
	text += ", " + money(o.Discount, o.Currency) + " off"
	if o.OfferCode != "" {
		text += " with offer " + o.OfferCode
	}
	return text
}

// paid is a payment and what came of it, if anything did.
func paid(p payment.Payment) string {
	text := fmt.Sprintf("%s %s: %s", money(p.Amount, p.Currency), by(p.Method), inWords(string(p.Status)))
	for _, part := range []struct {
		amount int64
		what   string
	}{{p.Captured, "received"}, {p.Refunded, "given back"}, {p.RefundDue, "to be given back"}} {
		if part.amount != 0 {
			text += ", " + money(part.amount, p.Currency) + " " + part.what
		}
	}
	if p.FailureReason != "" {
		text += ": " + p.FailureReason
	}
	return text
}

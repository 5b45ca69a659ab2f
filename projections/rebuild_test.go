package projections_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// evening appends some of every type of event that a read model shows. It calls each after every event.
func (w *world) evening(t *testing.T, each func(seq int64)) (last int64) {
	t.Helper()
	pizza, entry, other := uuid.New(), uuid.New(), uuid.New()
	of := ofPayment
	dan := courier.StreamID("dan")
	end := time.Now().Add(time.Hour)
	for _, do := range []func() int64{
		func() int64 {
			return w.append(t, business.StreamType, business.StreamID, business.Opened{BusinessName: "Luigi"})
		},
		func() int64 {
			return w.append(t, menu.StreamType, pizza, menu.Added{ProductID: pizza, Name: "Pizza", Price: 900, Currency: "EUR"})
		},
		func() int64 { return w.offer(t, offer.Created{Terms: terms("TEN", nil)}) },
		func() int64 { return w.offer(t, offer.Created{Terms: terms("NINE", &end)}) },
		func() int64 { return w.append(t, order.StreamType, orderID, placed("ann", 1)) },
		func() int64 { return w.use(t, "TEN", offer.ScopeAll, 1) },
		func() int64 { return w.use(t, "TEN", offer.ScopeCustomer, 1) },
		func() int64 {
			return w.append(t, payment.StreamType, of.PaymentID, payment.Started{Of: of, Amount: 1800})
		},
		func() int64 {
			return w.append(t, order.StreamType, orderID, order.PaymentOpened{OrderID: orderID, PaymentID: of.PaymentID})
		},
		func() int64 {
			return w.append(t, payment.StreamType, of.PaymentID, payment.Captured{Of: of, Amount: 1800})
		},
		func() int64 {
			return w.append(t, inbox.StreamType, entry, inbox.Entered{ID: entry, UserID: "ann", Title: "Paid"})
		},
		func() int64 { return w.setStatus(t, "dan", courier.StatusOnline) },
		func() int64 {
			return w.append(t, order.StreamType, orderID, order.Assigned{OrderID: orderID, CustomerID: "ann", AgentID: "dan"})
		},
		func() int64 {
			return w.append(t, courier.StreamType, dan, courier.OrderTaken{AgentID: "dan", OrderID: orderID, CustomerID: "ann", Status: courier.StatusBusy})
		},
		func() int64 { return w.read(t, "ann", entry) },
		func() int64 {
			return w.append(t, courier.TrackStreamType, orderID, courier.Located{OrderID: orderID, AgentID: "dan", Point: courier.Point{Latitude: 1, Speed: ptr(2.0)}})
		},
		func() int64 {
			return w.append(t, courier.TrackStreamType, orderID, courier.Located{OrderID: orderID, AgentID: "dan", Point: courier.Point{Longitude: 1}})
		},
		func() int64 {
			return w.append(t, inbox.StreamType, other, inbox.Entered{ID: other, UserID: "ann", Title: "Late"})
		},
		func() int64 { return w.readAll(t, "ann") },
		func() int64 {
			return w.append(t, order.StreamType, orderID, order.Cancelled{OrderID: orderID, CustomerID: "ann", AgentID: "dan", RefundDue: 1800})
		},
		func() int64 {
			return w.append(t, payment.StreamType, of.PaymentID, payment.RefundDue{Of: of, Amount: 1800})
		},
		func() int64 {
			return w.append(t, courier.StreamType, dan, courier.OrderReleased{AgentID: "dan", OrderID: orderID, CustomerID: "ann", Status: courier.StatusOnline})
		},
		func() int64 {
			return w.append(t, offer.TallyStreamType, offer.TallyID("TEN", ""), offer.Returned{Code: "TEN", Scope: offer.ScopeAll, Uses: 0})
		},
		func() int64 { return w.use(t, "NINE", offer.ScopeAll, 1) },
		func() int64 {
			return w.append(t, payment.StreamType, of.PaymentID, payment.Refunded{Of: of, RefundID: "r", Amount: 1800})
		},
		func() int64 { return w.offer(t, offer.Withdrawn{Terms: terms("NINE", &end)}) },
	} {
		last = do()
		each(last)
	}
	return last
}

func TestReadModelsDerivedAnewAreTheOnesKeptLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	last := w.evening(t, func(seq int64) { w.waitFor(t, seq) }) // each event a segment of its own
	tables := []string{
		"business_view", "products_view", "orders_view", "payments_view", "couriers_view", "track_points", "offers_view", "inbox_view", "inbox_readers",
	}
	contents := func() map[string]string {
		found := make(map[string]string)
		for _, table := range tables {
			var rows string
			err := w.pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM %s t`, table)).Scan(&rows)
			if err != nil {
				t.Fatal(err)
			}
			if rows == "" {
				t.Errorf("%s is empty", table)
			}
			found[table] = rows
		}
		return found
	}
	live := contents()

	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }() // nothing, once it is committed
	if _, err := tx.Exec(t.Context(), `UPDATE checkpoints SET position = 0 WHERE group_name = 'views'`); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if _, err := tx.Exec(t.Context(), `TRUNCATE `+table); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.waitFor(t, last) // all of them in one segment
	for table, rows := range contents() {
		if rows != live[table] {
			t.Errorf("%s is derived as\n%s\nand was\n%s", table, rows, live[table])
		}
	}
}

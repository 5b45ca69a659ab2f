package domain_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
)

var (
	orderID   = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000a")
	productID = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000b")
)

// stored is how events lie in the log. The log is never rewritten: a line may be added
// here, and a field to a line, but nothing that is here may change.
var stored = []struct {
	event domain.Event
	typ   string
	data  string
}{
	{business.Opened{BusinessName: "Orderlog", Message: "open"}, "business.opened", `{"businessName":"Orderlog","message":"open"}`},
	{business.Closed{BusinessName: "Orderlog", Message: "closed"}, "business.closed", `{"businessName":"Orderlog","message":"closed"}`},
	{
		menu.Added{ProductID: productID, Name: "Dosa", Description: "crisp", Price: 450, Currency: "EUR", Available: true},
		"product.added",
		`{"productId":"0190b5a0-0000-7000-8000-00000000000b","name":"Dosa","description":"crisp","price":450,"currency":"EUR","available":true}`,
	},
	{
		menu.Updated{ProductID: productID, Price: new(int64(0)), Available: new(false)},
		"product.updated",
		`{"productId":"0190b5a0-0000-7000-8000-00000000000b","price":0,"available":false}`,
	},
	{menu.Archived{ProductID: productID}, "product.archived", `{"productId":"0190b5a0-0000-7000-8000-00000000000b"}`},
	{
		order.Placed{
			OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", CustomerName: "Ann",
			Items:    []order.Item{{Product: productID, Name: "Dosa", Quantity: 2, UnitPrice: 450, Total: 900}},
			Subtotal: 900, TotalAmount: 900, Currency: "EUR", DeliveryAddress: "1 Main St", PaymentMethod: "cod", Note: "hot",
		},
		"order.placed",
		`{"orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1","customerName":"Ann",` +
			`"items":[{"product":"0190b5a0-0000-7000-8000-00000000000b","name":"Dosa","quantity":2,"unitPrice":450,"total":900}],` +
			`"subtotal":900,"discount":0,"totalAmount":900,"currency":"EUR","deliveryAddress":"1 Main St","paymentMethod":"cod","note":"hot","offerCode":""}`,
	},
	{
		order.StatusChanged{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", AgentID: "a1", From: order.StatusReady, To: order.StatusOutForDelivery, Message: "soon"},
		"order.status_changed",
		`{"orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1","agentId":"a1","from":"ready","to":"out_for_delivery","message":"soon"}`,
	},
	{
		order.Cancelled{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", From: order.StatusPlaced, Reason: "late"},
		"order.cancelled",
		`{"orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1","agentId":"","from":"placed","reason":"late"}`,
	},
}

func TestEventsLieInTheLogAsTheyAlwaysDid(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range stored {
		names = append(names, s.typ)
		typ, data, err := domain.Encode(s.event)
		if err != nil || typ != s.typ || string(data) != s.data {
			t.Errorf("Encode(%T) = %s %s, %v\nwant %s %s", s.event, typ, data, err, s.typ, s.data)
		}
		back, err := domain.Decode(s.typ, []byte(s.data))
		if err != nil || !reflect.DeepEqual(back, s.event) {
			t.Errorf("Decode(%s) = %#v, %v\nwant %#v", s.typ, back, err, s.event)
		}
	}
	for _, registered := range domain.EventTypes() {
		if !slices.Contains(names, registered.Name) && !strings.HasPrefix(registered.Name, "test.") {
			t.Errorf("%s has no line in this table", registered.Name)
		}
	}
}

func TestDecodeIgnoresFieldsOfANewerProgram(t *testing.T) {
	t.Parallel()
	e, err := domain.Decode("business.opened", []byte(`{"businessName":"B","message":"m","until":"22:00"}`))
	if want := (business.Opened{BusinessName: "B", Message: "m"}); err != nil || e != want {
		t.Errorf("decoded %#v, %v; want %#v", e, err, want)
	}
}

type unregistered struct{}

func (unregistered) EventType() string { return "test.unregistered" }

type impostor struct{}

func (impostor) EventType() string { return "order.placed" }

func TestWhatIsNotRegisteredIsRefused(t *testing.T) {
	t.Parallel()
	for _, e := range []domain.Event{unregistered{}, impostor{}, &order.Placed{}} {
		if _, _, err := domain.Encode(e); !errors.Is(err, domain.ErrUnknownEventType) {
			t.Errorf("Encode(%T): error %v; want ErrUnknownEventType", e, err)
		}
	}
	if _, _, err := domain.Encode(nil); err == nil {
		t.Error("Encode(nil) gave no error")
	}
	if _, err := domain.Decode("test.unregistered", []byte(`{}`)); !errors.Is(err, domain.ErrUnknownEventType) {
		t.Errorf("Decode: error %v; want ErrUnknownEventType", err)
	}
	if _, err := domain.Decode("order.placed", []byte(`{"items":7}`)); err == nil || errors.Is(err, domain.ErrUnknownEventType) {
		t.Errorf("Decode of a wrong shape: error %v", err)
	}
}

type pointerEvent struct{}

func (*pointerEvent) EventType() string { return "test.pointer" }

func TestRegisterPanicsOnAMistake(t *testing.T) {
	t.Parallel()
	for name, register := range map[string]func(){
		"the same type twice":    func() { domain.Register[order.Placed](1) },
		"a name that is taken":   func() { domain.Register[impostor](1) },
		"a version below 1":      func() { domain.Register[unregistered](0) },
		"a pointer, not a value": func() { domain.Register[*pointerEvent](1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			register()
		}()
	}
}

// What Decode accepts is written back the same way for ever after.
func FuzzDecode(f *testing.F) {
	for _, s := range stored {
		f.Add(s.typ, []byte(s.data))
	}
	f.Add("order.placed", []byte(`{"items":[]}`))
	f.Add("order.placed", []byte(`{"orderId":"","items":[null]}`))
	f.Add("product.updated", []byte(`null`))
	f.Fuzz(func(t *testing.T, typ string, data []byte) {
		e, err := domain.Decode(typ, data)
		if err != nil {
			return
		}
		if e.EventType() != typ {
			t.Fatalf("decoded %q as %q", typ, e.EventType())
		}
		_, once, err := domain.Encode(e)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		again, err := domain.Decode(typ, once)
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if _, twice, err := domain.Encode(again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s became %s, %v", once, twice, err)
		}
		// No event may upset a fold, whatever is in it.
		_ = order.Order{}.Apply(e, domaintest.At)
		_ = menu.Product{}.Apply(e, domaintest.At)
		_ = business.Business{}.Apply(e, domaintest.At)
	})
}

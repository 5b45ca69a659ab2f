package domain_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

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

// What Decode accepts is written back the same way for ever after.
func FuzzDecode(f *testing.F) {
	goldens, err := readGoldens(os.DirFS(goldenDir))
	if err != nil {
		f.Fatal(err)
	}
	for _, g := range goldens {
		f.Add(g.Type, []byte(g.Data))
	}
	f.Add("test.meal_cooked", []byte(`{"dish":"Dosa","euros":4}`))
	f.Add("test.meal_cooked.v2", []byte(`{"name":"Dosa","price":400}`))
	f.Add("order.placed", []byte(`{"items":[]}`))
	f.Add("order.placed", []byte(`{"orderId":"","items":[null]}`))
	f.Add("product.updated", []byte(`null`))
	f.Fuzz(func(t *testing.T, typ string, data []byte) {
		e, err := domain.Decode(typ, data)
		if err != nil {
			return
		}
		if e.EventType() != domain.TypeName(typ) {
			t.Fatalf("decoded %q as %q", typ, e.EventType())
		}
		current, once, err := domain.Encode(e)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		again, err := domain.Decode(current, once)
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
		_ = payment.Payment{}.Apply(e, domaintest.At)
		_ = courier.Initial("a1").Apply(e, domaintest.At)
		_ = courier.Track{}.Apply(e, domaintest.At)
		_ = offer.Offer{}.Apply(e, domaintest.At)
		_ = offer.Tally{}.Apply(e, domaintest.At)
		_ = inbox.Entry{}.Apply(e, domaintest.At)
	})
}

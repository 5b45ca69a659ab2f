package domain_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
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

func TestOlderLinesOfTheLogAreStillRead(t *testing.T) {
	t.Parallel()
	for _, s := range olderLines {
		if back, err := domain.Decode(s.typ, []byte(s.data)); err != nil || !reflect.DeepEqual(back, s.event) {
			t.Errorf("Decode(%s) = %#v, %v\nwant %#v", s.typ, back, err, s.event)
		}
	}
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
		_ = payment.Payment{}.Apply(e, domaintest.At)
		_ = courier.Initial("a1").Apply(e, domaintest.At)
		_ = courier.Track{}.Apply(e, domaintest.At)
		_ = offer.Offer{}.Apply(e, domaintest.At)
		_ = offer.Tally{}.Apply(e, domaintest.At)
		_ = inbox.Entry{}.Apply(e, domaintest.At)
	})
}

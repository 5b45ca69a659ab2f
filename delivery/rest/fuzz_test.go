package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain/order"
)

// swapped are commands that can be exchanged behind a handler, which takes longer to make than a log.
type swapped struct{ Commands }

// Whatever a customer sends as an order, it is one or it is refused with a reason, and after a refusal nothing is in
// the log that was not there before.
func FuzzOrderBody(f *testing.F) {
	for _, body := range []string{
		"", "{}", "[]", "null", place, place + place, place[:len(place)/2],
		strings.Replace(place, ":2}", ":-2}", 1), strings.Replace(place, ":2}", ":1e30}", 1), strings.Replace(place, ":2}", ":2.5}", 1),
		strings.Replace(place, ":2}", ":999}", 1), strings.Replace(place, ":2}", `:"2"}`, 1), strings.Replace(place, ":2}", ":null}", 1),
		strings.Replace(place, "{", `{"offerCode":"HALF",`, 1), strings.Replace(place, "{", `{"offerCode":"\u0000",`, 1),
		strings.Replace(place, "{", `{"note":"\ud800","customerName":" ",`, 1), strings.Replace(place, "12 Hill Rd", "\xff", 1),
		strings.Replace(place, "{", `{"totalAmount":1,"items":[],`, 1), strings.Replace(place, "12 Hill Rd", strings.Repeat("é", 501), 1),
		strings.Replace(place, `"items":[`, `"items":[{"product":"0190c0de-0000-7000-8000-000000000002","quantity":1},`, 1),
		strings.Replace(place, "000000000002", "000000000001", 1), strings.Replace(place, "0190c0de-", "urn:uuid:0190c0de-", 1),
		strings.Replace(place, "cod", "gold", 1), strings.Repeat("[", 40), place + strings.Repeat(" ", 64<<10),
	} {
		f.Add([]byte(body))
	}
	behind := &swapped{}
	h := newWorld().handler(f, func(c *Config) { c.Commands, c.UserLimit, c.AddressLimit = behind, -1, -1 })
	f.Fuzz(func(t *testing.T, body []byte) {
		k := newKitchen(t)
		behind.Commands = k.service
		before := len(k.log.Events())

		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, prefix+"/orders", bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer asha")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)

		added := k.log.Events()[before:]
		switch {
		case w.Code == http.StatusCreated:
			placedAsAnswered(t, w.Body.Bytes(), len(added))
		case w.Code >= 400 && w.Code < 500:
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Detail == "" || p.Status != w.Code {
				t.Errorf("refused without a reason: %d %s", w.Code, w.Body)
			}
			if len(added) > 0 {
				t.Errorf("refused with %d, and the log has %d events more: %+v", w.Code, len(added), added)
			}
		default:
			t.Errorf("got %d: %s", w.Code, w.Body)
		}
	})
}

// placedAsAnswered holds an answer to what can be ordered: dosas of 450, with the offer or without.
func placedAsAnswered(t *testing.T, body []byte, events int) {
	t.Helper()
	var o order.Order
	if err := json.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	var dosas int64
	for _, item := range o.Items {
		if item.Product != productID || item.UnitPrice != 450 || item.Quantity < 1 || item.Quantity > order.MaxQuantity {
			t.Errorf("placed %+v", item)
		}
		dosas += item.Quantity
	}
	wantEvents, wantDiscount := 1, int64(0)
	if o.OfferCode != "" { // and it is counted in two tallies
		wantEvents, wantDiscount = 3, dosas*450/2
	}
	if dosas < 1 || o.Subtotal != dosas*450 || o.Discount != wantDiscount || o.TotalAmount != o.Subtotal-o.Discount || o.CustomerID != "asha" {
		t.Errorf("placed %+v", o)
	}
	if events != wantEvents {
		t.Errorf("%d events, want %d", events, wantEvents)
	}
}

package session

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
)

func TestNamesOfRooms(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 128)
	for id, ok := range map[string]bool{
		"d": true, "d:1 ~ü": true, long: true,
		"": false, long + "d": false, "a\nb": false, "a\x00": false, "\u0085": false, "a\xff": false,
	} {
		if _, got := parseRoom("delivery:" + id); got != ok {
			t.Errorf("delivery:%q: %v", id, got)
		}
	}
	for _, name := range []string{
		"", "order:", "order:5", "delivery", "user:ann", "role:admin", "all", "Order:" + deliverytest.Order1.String(),
	} {
		if _, ok := parseRoom(name); ok {
			t.Errorf("%q is taken for a room", name)
		}
	}
}

// Nothing that a client sends as data makes a decoder panic, and what is taken is well formed.
func FuzzDecodeData(f *testing.F) {
	for _, seed := range []string{
		`"11111111-1111-1111-1111-111111111111"`, `{"orderId":"11111111-1111-1111-1111-111111111111","lastSeq":0}`,
		`{"deliveryId":"d\u0000","lastSeq":0}`, `"d"`, `null`, `[]`, ``, `{"deliveryId":"d","lastSeq":-1}`, `{"lastSeq":1e3}`,
		`{"orderId":"11111111-1111-1111-1111-111111111111","latitude":1e1,"longitude":-0,"speed":null,"heading":3}`,
		`{"orderId":"11111111-1111-1111-1111-111111111111","latitude":1e999,"longitude":"NaN"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, ok := parseRoom(string(data)); ok {
			checkRoom(t, m)
		}
		for _, decode := range []func(json.RawMessage) (roomRequest, error){decodeOrderRoom, decodeDeliveryRoom} {
			want, err := decode(data)
			if err != nil {
				checkRefusal(t, err)
				continue
			}
			if want.lastSeq != nil && *want.lastSeq < 0 {
				t.Error("a negative cursor")
			}
			checkRoom(t, want.room)
		}
		if _, p, err := decodeLocation(data); err != nil {
			checkRefusal(t, err)
		} else if !(math.Abs(p.Latitude) <= 90 && math.Abs(p.Longitude) <= 180) {
			t.Errorf("the point %+v", p)
		}
	})
}

// checkRoom holds a room to its name: it is found again by it, and the notification log can carry it.
func checkRoom(t *testing.T, m room) {
	if again, ok := parseRoom(m.name); !ok || again != m {
		t.Errorf("room %q is %+v, then %+v", m.name, m, again)
	}
	if bytes.ContainsAny([]byte(m.name), "\n\x00") {
		t.Errorf("room %q", m.name)
	}
}

func checkRefusal(t *testing.T, err error) {
	if domain.CodeOf(err) != domain.CodeInvalidRequest {
		t.Errorf("refused with %v", err)
	}
}

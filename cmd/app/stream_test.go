package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
)

func TestRegistering(t *testing.T) {
	t.Parallel()
	s, order, log := caughtUpShop(t)
	own := fmt.Sprintf(`{"event":"registered","data":{"userId":"ada","role":"customer","log":%q,"seq":8,"recovered":false,`+
		`"channels":["all","role:customer","user:ada"],"refused":[]}}`, log)

	s.register(t, s.ada, "").hears(own)
	s.register(t, "Bearer "+s.ada, "").hears(own) // as the clients of before sent it
	s.register(t, s.ada, `,"userId":"ada","role":"customer"`).hears(own)
	s.register(t, s.ada, `,"color":"red","rooms":null,"lastSeq":null`).hears(own)
	header := s.dial(t, http.Header{"Authorization": {"Bearer " + s.ada}})
	header.say(`{"event":"register"}`)
	header.hears(own)

	rooms := fmt.Sprintf(`,"rooms":["order:%s","order:%s","role:admin","user:bob"]`, order, nobodysID)
	s.register(t, s.ada, rooms).hears(fmt.Sprintf(
		`{"data":{"channels":["all","role:customer","user:ada","order:%s"],"refused":["order:%s","role:admin","user:bob"]}}`, order, nobodysID))
	s.register(t, s.bob, rooms).hears(fmt.Sprintf(
		`{"data":{"channels":["all","role:customer","user:bob"],"refused":["order:%s","order:%s","role:admin","user:bob"]}}`, order, nobodysID))
	s.register(t, s.admin, rooms).hears(fmt.Sprintf(`{"data":{"role":"admin","channels":["all","role:admin","user:boss","order:%s"]}}`, order))

	numbered := s.dial(t, nil)
	numbered.say(`{"event":"register","data":{"token":"` + s.ada + `"},"id":0}`)
	numbered.hears(own)
	numbered.hears(`{"ack":0,"data":{"userId":"ada","seq":8}}`)
}

func TestWhereAClientGoesOn(t *testing.T) {
	t.Parallel()
	s, order, log := caughtUpShop(t)
	const elsewhere = `"0190c0de-0000-7000-8000-00000000000f"`
	const status, entry = "order:status:update", "notification:new"
	adas := []int64{1, 4, 5, 6, 7, 8} // what happened and is for her
	names := map[int64]string{1: "business:status:update", 4: entry, 5: status, 6: entry, 7: status, 8: entry}
	const caughtUp, recovered, not = `{"event":"caught_up","data":{"seq":8}}`, "true", "false"
	after := func(cursor int64) (frames []string) {
		prev := cursor
		for _, seq := range adas {
			if seq > cursor {
				frames = append(frames, fmt.Sprintf(`{"prev":%d,"seq":%d,"event":%q}`, prev, seq, names[seq]))
				prev = seq
			}
		}
		return append(frames, caughtUp)
	}
	resync := func(reason string) []string {
		return []string{fmt.Sprintf(`{"event":"resync","data":{"seq":8,"reason":%q}}`, reason)}
	}

	var sockets []*socket
	for _, tc := range []struct {
		more      string
		recovered string
		hears     []string
	}{
		{``, not, nil},
		{`,"lastSeq":0`, recovered, after(0)},
		{`,"lastSeq":1`, recovered, after(1)},
		{`,"lastSeq":2`, recovered, after(2)}, // 2 was not for ada
		{`,"lastSeq":3`, recovered, after(3)}, // nor was 3: her own order is news for others
		{`,"lastSeq":4`, recovered, after(4)},
		{`,"lastSeq":7`, recovered, after(7)},
		{`,"lastSeq":8`, recovered, after(8)},
		{`,"lastSeq":6,"log":"` + log + `"`, recovered, after(6)},
		{`,"lastSeq":4,"rooms":["order:` + order + `"]`, recovered, after(4)}, // some over two channels, once
		{`,"lastSeq":9`, not, resync("ahead")},
		{`,"lastSeq":9007199254740993`, not, resync("ahead")},
		{`,"lastSeq":4,"log":` + elsewhere, not, resync("different_log")},
		{`,"lastSeq":9,"log":` + elsewhere, not, resync("different_log")},
	} {
		k := s.register(t, s.ada, tc.more)
		k.hears(fmt.Sprintf(`{"event":"registered","data":{"seq":8,"recovered":%s}}`, tc.recovered))
		for _, want := range tc.hears {
			k.hears(want)
		}
		sockets = append(sockets, k)
	}
	// Whatever came before, they all were told of 8, and hear what is new once.
	s.move(t, order, "ready")
	s.await(t, 10)
	s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": false, "message": "sold out"})
	for _, k := range sockets {
		k.hears(fmt.Sprintf(`{"prev":8,"seq":9,"event":"order:status:update","data":{"orderId":%q,"status":"ready"}}`, order))
		k.hears(fmt.Sprintf(`{"prev":9,"seq":10,"event":"notification:new","data":{"orderId":%q,"title":"Order ready"}}`, order))
		k.hears(`{"prev":10,"seq":11,"event":"business:status:update","data":{"isOpen":false,"message":"sold out"}}`)
	}
}

// Who is told of what, and in which words. The feed over REST has the same objects.
func TestWhoIsToldOfWhat(t *testing.T) {
	t.Parallel()
	s, order, _ := caughtUpShop(t)
	s.must(t, 200, "POST", "/api/v1/orders/"+order+"/cancel", s.admin, map[string]any{"reason": "burnt"})
	s.await(t, 10)

	number := s.must(t, 200, "GET", "/api/v1/orders/"+order+"?min_seq=10", s.ada, nil).body["orderNumber"]
	opened := `{"seq":1,"event":"business:status:update","data":{"isOpen":true}}`
	placed := fmt.Sprintf(`{"seq":3,"event":"order:new","data":{"orderId":%q,"orderNumber":%q,"customerName":"ADA","totalAmount":1900}}`, order, number)
	status := func(seq int, status string) string {
		return fmt.Sprintf(`{"seq":%d,"event":"order:status:update","data":{"orderId":%q,"orderNumber":%q,"status":%q}}`, seq, order, number, status)
	}
	cancelled := fmt.Sprintf(`{"seq":9,"event":"order:cancelled","data":{"orderId":%q,"orderNumber":%q,"reason":"burnt"}}`, order, number)
	entry := func(seq int, title, message string) string {
		return fmt.Sprintf(`{"seq":%d,"event":"notification:new","data":{"type":"order","orderId":%q,"title":%q,"message":%q}}`,
			seq, order, title, message)
	}
	for _, tc := range []struct {
		token string
		hears []string
	}{
		{s.ada, []string{
			opened, entry(4, "Order received", fmt.Sprint("We have received your order ", number)),
			status(5, "confirmed"), entry(6, "Order confirmed", "Your order has been confirmed"),
			status(7, "preparing"), entry(8, "Order preparing", "Your order is being prepared"),
			cancelled, entry(10, "Order cancelled", fmt.Sprintf("Your order %s was cancelled: burnt", number)),
		}},
		{s.bob, []string{opened}},
		{s.admin, []string{opened, placed, status(5, "confirmed"), status(7, "preparing"), cancelled}},
		{s.dave, []string{opened, placed}},
	} {
		k := s.register(t, tc.token, `,"lastSeq":0`)
		k.hears(`{"event":"registered","data":{"recovered":true}}`)
		feed := s.must(t, 200, "GET", "/api/v1/feed?lastSeq=0&min_seq=10", tc.token, nil)
		items, _ := feed.body["items"].([]any)
		for i, want := range tc.hears {
			var got any
			if err := json.Unmarshal([]byte(k.hears(want)), &got); err != nil {
				t.Fatal(err)
			}
			if i >= len(items) || !reflect.DeepEqual(items[i], got) {
				t.Errorf("over the socket %v, in the feed %v", got, items)
			}
		}
		k.hears(`{"event":"caught_up","data":{"seq":10}}`)
		if len(items) != len(tc.hears) || feed.seq() != 10 {
			t.Errorf("the feed has %d at %d, want %d", len(items), feed.seq(), len(tc.hears))
		}
	}
}

func TestWhatARegisteredClientMaySay(t *testing.T) {
	t.Parallel()
	s, order, _ := caughtUpShop(t)
	room := "order:" + order
	k := s.register(t, s.ada, "")
	k.hears(`{"event":"registered"}`)
	point := `{"orderId":"` + order + `","latitude":45.07,"longitude":7.69}`
	fails := func(id, code string) string { return fmt.Sprintf(`{"ack":%s,"error":{"code":%q}}`, id, code) }
	for _, tc := range []struct{ says, hears string }{
		{`{"event":"ping"}`, `{"event":"pong"}`},
		{`{"event":"join:order","data":{"orderId":"` + order + `"},"id":1}`, `{"ack":1,"data":{"room":"` + room + `","seq":8,"events":[],"more":false}}`},
		{`{"event":"join:order","data":"` + order + `","id":0}`, `{"ack":0,"data":{"room":"` + room + `"}}`}, // the bare id, as before
		{`{"event":"leave:order","data":{"orderId":"` + order + `"},"id":2}`, `{"ack":2,"data":{"room":"` + room + `"}}`},
		{`{"event":"leave:order","data":"` + order + `","id":3}`, `{"ack":3,"data":{"room":"` + room + `"}}`},
		{`{"event":"join:order","data":{"orderId":"` + nobodysID + `"},"id":4}`, fails("4", "not_found")},
		{`{"event":"join:order","data":{"orderId":"pizza"},"id":5}`, fails("5", "invalid_request")},
		{`{"event":"join:order","id":6}`, fails("6", "invalid_request")},
		{`{"event":"order:cancel","data":{},"id":7}`, fails("7", "unknown_event")},
		{`{"event":"order:cancel"}`, `{"event":"error","data":{"code":"unknown_event"}}`},
		{`{"event":"join:order","data":{"orderId":"` + nobodysID + `"}}`, `{"event":"error","data":{"code":"not_found"}}`},
		{`{"event":"register","data":{"token":"` + s.ada + `"},"id":8}`, fails("8", "already_registered")},
		{`{"event":"refresh","data":{"token":"` + s.ada + `"},"id":9}`, `{"ack":9,"data":{}}`},
		{`{"event":"refresh","data":{"token":"x"},"id":10}`, fails("10", "unauthenticated")},
		{`{"event":"join:delivery","data":{"deliveryId":"dave"},"id":11}`, fails("11", "forbidden")}, // he carries nothing of hers
		{`{"event":"join:delivery","data":"dave"}`, `{"event":"error","data":{"code":"forbidden"}}`},
		{`{"event":"join:delivery","data":{"deliveryId":""},"id":12}`, fails("12", "invalid_request")},
		{`{"event":"join:delivery","id":13}`, fails("13", "invalid_request")},
		{`{"event":"leave:delivery","data":{"deliveryId":"dave"},"id":14}`, `{"ack":14,"data":{"room":"delivery:dave","seq":8,"events":[],"more":false}}`},
		{`{"event":"leave:delivery","data":"dave","id":15}`, `{"ack":15,"data":{"room":"delivery:dave"}}`},
		{`{"event":"delivery:location","data":` + point + `,"id":16}`, fails("16", "forbidden")},
		{`{"event":"delivery:location","data":` + strings.Replace(point, "45.07", "90.01", 1) + `,"id":17}`, fails("17", "invalid_request")},
		{`{"event":"delivery:location","data":{"orderId":"` + order + `"},"id":18}`, fails("18", "invalid_request")},
	} {
		k.say(tc.says)
		if got := k.hears(tc.hears); includes(t, got, `{"seq":0}`) {
			t.Errorf("only what comes from the log has a seq: %s", got)
		}
	}
	// The room's past comes in the answer, what is new in the stream.
	k.say(`{"event":"join:order","data":{"orderId":"` + order + `","lastSeq":5},"id":19}`)
	var joined struct {
		Data struct {
			Seq    int64
			Events []struct {
				Prev, Seq int64
				Event     string
			}
		}
	}
	if err := json.Unmarshal([]byte(k.hears(`{"ack":19,"data":{"room":"`+room+`","seq":8,"more":false}}`)), &joined); err != nil {
		t.Fatal(err)
	}
	// The entries of ada's inbox are hers and not the room's.
	if e := joined.Data.Events; len(e) != 1 || e[0].Prev != 5 || e[0].Seq != 7 || e[0].Event != "order:status:update" {
		t.Errorf("joined with %+v", joined.Data)
	}
	s.move(t, order, "ready")
	k.hears(`{"prev":8,"seq":9,"event":"order:status:update"}`)
	k.hears(`{"prev":9,"seq":10,"event":"notification:new"}`)

	for _, stranger := range []string{s.bob, s.dave} {
		k := s.register(t, stranger, "")
		k.hears(`{"event":"registered"}`)
		k.say(`{"event":"join:order","data":{"orderId":"` + order + `"},"id":1}`)
		k.hears(fails("1", "forbidden"))
		k.say(`{"event":"delivery:location","data":` + point + `,"id":2}`) // the order is not assigned to him
		k.hears(fails("2", "forbidden"))
	}
	for token, hears := range map[string]string{
		s.dave:                                  `{"ack":1,"data":{"room":"delivery:dave","seq":10,"events":[],"more":false}}`,
		s.admin:                                 `{"ack":1,"data":{"room":"delivery:dave","seq":10,"events":[],"more":false}}`,
		s.bob:                                   fails("1", "forbidden"),
		tokenFor(t, "eve", domain.RoleDelivery): fails("1", "forbidden"),
	} {
		k := s.register(t, token, "")
		k.hears(`{"event":"registered"}`)
		k.say(`{"event":"join:delivery","data":{"deliveryId":"dave"},"id":1}`)
		k.hears(hears)
	}
}

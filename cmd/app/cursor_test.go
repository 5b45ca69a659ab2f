package main

import (
	"fmt"
	"testing"
)

// Whoever got an answer and then connects is told of what was answered before it is told that it has caught up.
func TestWhatWasAnsweredComesBeforeCaughtUp(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	for i := range 30 {
		n := s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": true, "message": fmt.Sprint(i)}).seq()
		k := s.register(t, s.ada, fmt.Sprintf(`,"lastSeq":%d`, n-1))
		k.hears(fmt.Sprintf(`{"event":"registered","data":{"seq":%d,"recovered":true}}`, n))
		k.hears(fmt.Sprintf(`{"prev":%d,"seq":%d}`, n-1, n))
		k.hears(fmt.Sprintf(`{"event":"caught_up","data":{"seq":%d}}`, n))
	}
}

// Joining with a cursor that the log has not reached is refused, and leaving is answered in the same shape as joining.
func TestTheCursorOfARoom(t *testing.T) {
	t.Parallel()
	s, order, _ := caughtUpShop(t)
	k := s.register(t, s.ada, "")
	k.hears(`{"event":"registered"}`)
	k.say(`{"event":"join:order","data":{"orderId":"` + order + `","lastSeq":9},"id":1}`)
	k.hears(`{"ack":1,"error":{"code":"cursor_ahead"}}`)
	k.say(`{"event":"join:order","data":{"orderId":"` + order + `","lastSeq":8},"id":2}`)
	k.hears(`{"ack":2,"data":{"room":"order:` + order + `","seq":8,"events":[],"more":false}}`)
	k.say(`{"event":"leave:order","data":{"orderId":"` + order + `"},"id":3}`)
	k.hears(`{"ack":3,"data":{"room":"order:` + order + `","seq":8,"events":[],"more":false}}`)
}

package main

import (
	"fmt"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
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

// A cursor from before what retention keeps is told so, over the socket and over REST; what is new still comes.
func TestACursorExpires(t *testing.T) {
	t.Parallel()
	env := serverSettings(t, pgtest.Database(t))
	env["NOTIFICATION_RETENTION"] = "1s"
	s := start(t, env)
	s.openShop(t)
	admin := tokenFor(t, "boss", domain.RoleAdmin)
	last := s.must(t, 200, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": true}).seq()
	parttest.Eventually(t, "the first events to expire", func() bool {
		a, err := s.call(t.Context(), "GET", "/api/v1/feed?lastSeq=1", admin, nil)
		return err == nil && a.status == 410 && a.body["code"] == "cursor_expired"
	})
	parttest.Eventually(t, "the last event to expire", func() bool {
		a, err := s.call(t.Context(), "GET", fmt.Sprintf("/api/v1/feed?lastSeq=%d", last-1), admin, nil)
		return err == nil && a.status == 410
	})
	k := s.register(t, admin, `,"lastSeq":1`)
	k.hears(fmt.Sprintf(`{"event":"registered","data":{"recovered":false,"seq":%d}}`, last))
	k.hears(fmt.Sprintf(`{"event":"resync","data":{"reason":"expired","seq":%d}}`, last))
	current, all := s.register(t, admin, fmt.Sprintf(`,"lastSeq":%d`, last)), s.register(t, admin, `,"lastSeq":0`)
	for _, k := range []*socket{current, all} { // a cursor at the head of a quiet log stays good
		k.hears(`{"event":"registered","data":{"recovered":true}}`)
		k.hears(fmt.Sprintf(`{"event":"caught_up","data":{"seq":%d}}`, last))
	}
	s.must(t, 200, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": false})
	for _, k := range []*socket{k, current, all} {
		k.hears(fmt.Sprintf(`{"prev":%d,"seq":%d,"event":"business:status:update","data":{"isOpen":false}}`, last, last+1))
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

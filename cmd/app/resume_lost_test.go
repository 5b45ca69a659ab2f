package main

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// A cursor that cannot be resumed is answered with resync, in the stream, over every transport; and from there the client
// goes on as if nothing had been.

func TestACursorAheadOfTheLogIsToldSo(t *testing.T) {
	t.Parallel()
	s, _, _ := caughtUpShop(t)
	overEveryTransport(t, func(t *testing.T, made func() driver) {
		ada := newClient(t, made(), "ada", domain.RoleCustomer)
		ada.arrive(t, s.url).cut()
		ada.claim(9) // as if the log had been set back to an older one since
		ada.last = 9
		ada.returnsLost(t, s.url, "ahead", 8).cut()
		k := ada.begin(t, s.url)
		k.hears(t, "caught_up", 8)
	})
}

func TestACursorOfAnotherLogIsToldSo(t *testing.T) {
	t.Parallel()
	old, _, log := caughtUpShop(t)
	url, newLog := pgtest.Database(t), uuid.NewString()
	if _, err := pgtest.Pool(t, url).Exec(t.Context(), `UPDATE log_head SET log_id = $1`, newLog); err != nil { // the tests' databases are copies of one
		t.Fatal(err)
	}
	s := openedShopOn(t, url)
	for s.await(t, 2); s.note(t, "ada") < 12; {
	}
	overEveryTransport(t, func(t *testing.T, made func() driver) {
		ada := newClient(t, made(), "ada", domain.RoleCustomer)
		ada.log = log
		ada.arrive(t, old.url).cut()
		ada.returnsLost(t, s.url, "different_log", 12).cut()
		ada.log = newLog
		k := ada.begin(t, s.url)
		k.hears(t, "caught_up", 12)
	})
}

// A cursor from before what retention keeps is told so, over every transport and over REST; what is new still comes.
func TestACursorExpires(t *testing.T) {
	t.Parallel()
	env := serverSettings(t, pgtest.Database(t))
	env["NOTIFICATION_RETENTION"] = "1s"
	s := start(t, env)
	s.openShop(t)
	admin := tokenFor(t, "boss", domain.RoleAdmin)
	var gone, quick []*client // those who left before the last event, and after it
	for _, transport := range transports {
		boss := newClient(t, transport.driver(), "boss", domain.RoleAdmin)
		boss.arrive(t, s.url).cut()
		gone = append(gone, boss)
	}
	last := s.must(t, 200, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": true}).seq()
	for _, transport := range transports {
		boss := newClient(t, transport.driver(), "boss", domain.RoleAdmin)
		k := boss.arrive(t, s.url)
		if boss.last != last {
			t.Errorf("caught up with %d, want %d", boss.last, last)
		}
		k.cut()
		quick = append(quick, boss)
	}
	parttest.Eventually(t, "the first events to expire", func() bool {
		a, err := s.call(t.Context(), "GET", "/api/v1/feed?lastSeq=1", admin, nil)
		return err == nil && a.status == 410 && a.body["code"] == "cursor_expired"
	})
	parttest.Eventually(t, "the last event to expire", func() bool {
		a, err := s.call(t.Context(), "GET", fmt.Sprintf("/api/v1/feed?lastSeq=%d", last-1), admin, nil)
		return err == nil && a.status == 410
	})
	var all []*connection
	for i := range transports {
		all = append(all, gone[i].returnsLost(t, s.url, "expired", last))
		k := quick[i].begin(t, s.url) // a cursor at the head of a quiet log stays good
		k.hears(t, "caught_up", last)
		all = append(all, k)
		everything := newClient(t, transports[i].driver(), "boss", domain.RoleAdmin).begin(t, s.url) // of which nothing is left
		everything.hears(t, "caught_up", last)
		all = append(all, everything)
	}
	s.must(t, 200, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": false})
	for _, k := range all {
		if f := k.hears(t, "business:status:update", last+1); !includes(t, string(f.data), `{"isOpen":false}`) {
			t.Errorf("heard %s", f.data)
		}
	}
}

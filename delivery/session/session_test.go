package session

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

var room1 = projections.ChannelOrder(deliverytest.Order1)

func TestAnAnonymousClientIsToldWhatIsForAll(t *testing.T) {
	t.Parallel()
	w := run(t, nil, func(f *deliverytest.Feed) { f.Add("all"); f.Add("user:"); f.Add("role:"); f.Add(room1); f.Add("all") })
	x, err := w.service.OpenAnonymous(t.Context(), Start{LastSeq: at(0), Rooms: []string{room1, "delivery:broken"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	wantTold(t, x, "0<1 1<5 caught_up:5")
	if !x.Expires().IsZero() || w.service.Users() != 0 || len(w.service.Roles()) != 0 {
		t.Errorf("it expires at %v; %d users, %v", x.Expires(), w.service.Users(), w.service.Roles())
	}
	var r struct {
		UserID, Role, Seq any
		Channels, Refused []string
	}
	text, err := json.Marshal(x.Registered())
	if err != nil || json.Unmarshal(text, &r) != nil {
		t.Fatalf("%s, %v", text, err)
	}
	if r.UserID != nil || r.Role != nil || r.Seq != 5.0 || !slices.Equal(r.Channels, []string{"all"}) || len(r.Refused) != 2 {
		t.Errorf("registered %s", text)
	}
	for _, e := range append(ClientEvents(), ClientEvent{Name: "no:such"}) {
		if _, err := x.Do(t.Context(), e.Name, nil); domain.CodeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
}

func TestRoomsThatComeBackCountFromTheirOwnSeqs(t *testing.T) {
	t.Parallel()
	room2 := projections.ChannelOrder(deliverytest.Order2)
	w := run(t, nil, func(f *deliverytest.Feed) {
		f.Add("user:ann") // 1
		f.Add(room1)      // 2: before the room was joined
		f.Add(room2)      // 3: a room without a seq counts from the cursor
		f.Add(room1)      // 4
		f.Add("delivery:dora", "user:bob")
	})
	w.rights.Assign(deliverytest.Order1, "dora")
	x := w.open("ann", domain.RoleCustomer, Start{
		LastSeq: at(1), Rooms: []string{room1, room2, "delivery:dora", "order:no", projections.ChannelOrder(deliverytest.Order3)},
		RoomsFrom: map[string]int64{room1: 2, "delivery:dora": 2},
	})
	if r := x.Registered(); len(r.Refused) != 2 || len(r.Channels) != 6 {
		t.Errorf("got %+v", r)
	}
	wantTold(t, x, "1<3 3<4 4<5 caught_up:5")
	w.reach(w.feed.Add("delivery:dora"))
	wantTold(t, x, "5<6")
}

// What an agent did may be of the orders of others.
func TestTheRoomOfADeliveryAgentComesBackForAsMuchAsIsTheCustomers(t *testing.T) {
	t.Parallel()
	const room = "delivery:dora"
	w := run(t, nil, func(f *deliverytest.Feed) {
		for range 4 {
			f.Add(room)
		}
	})
	w.rights.Assign(deliverytest.Order1, "dora")
	for _, tc := range []struct {
		what  string
		from  map[string]int64 // where the client was in it
		since int64            // she carries the customer's order
		told  string
	}{
		{"it was not in the room", nil, 1, "caught_up:4"},
		{"it was in the room", map[string]int64{room: 2}, 1, "2<3 3<4 caught_up:4"},
		{"she carries it since later", map[string]int64{room: 2}, 3, "2<4 caught_up:4"},
	} {
		w.rights.Since = tc.since
		x := w.open("ann", domain.RoleCustomer, Start{LastSeq: at(2), Rooms: []string{room}, RoomsFrom: tc.from})
		if got := told(t, x, time.Now()); got != tc.told {
			t.Errorf("%s: told %q, want %q", tc.what, got, tc.told)
		}
	}
}

func TestARoomIsLeftBehindTheAnswerToItsJoining(t *testing.T) {
	t.Parallel()
	w := run(t, nil, nil)
	w.rights.Assign(deliverytest.Order1, "dora")
	x := w.open("dora", domain.RoleDelivery, Start{})
	r, err := x.Do(t.Context(), "join:order", []byte(`"`+deliverytest.Order1.String()+`"`))
	if err != nil || r.Room != room1 || !r.Answered || !r.Joined || r.From != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	w.reach(w.feed.Append(projections.Notification{
		Event: "e", Channels: []string{room1}, Endings: []projections.Ending{{Channel: room1, User: "dora", Role: "delivery"}},
	}))
	wantTold(t, x, "")
	x.Answered(r)
	wantTold(t, x, "left:"+room1)
}

func TestAJoinThatIsTakenBackWasNone(t *testing.T) {
	t.Parallel()
	w := run(t, nil, nil)
	x := w.open("ann", domain.RoleCustomer, Start{})
	join := []byte(`{"orderId":"` + deliverytest.Order1.String() + `"}`)
	r, err := x.Do(t.Context(), "join:order", join)
	if err != nil {
		t.Fatal(err)
	}
	if r = x.TakeBack(r); r.Joined || !r.Answered || r.Data != nil {
		t.Errorf("got %+v", r)
	}
	x.Answered(r)
	w.reach(w.feed.Add(room1))
	wantTold(t, x, "")
	// One that was in the room before stays.
	do(t, x, "join:order", "%s", join)
	r, err = x.Do(t.Context(), "join:order", join)
	if err != nil {
		t.Fatal(err)
	}
	x.Answered(x.TakeBack(r))
	w.reach(w.feed.Add(room1))
	wantTold(t, x, "0<2")
	do(t, x, "leave:order", "%s", join)
	w.reach(w.feed.Add(room1))
	wantTold(t, x, "")
}

func TestUsersAreCountedBetweenOpenAndClose(t *testing.T) {
	t.Parallel()
	w := run(t, nil, nil)
	ann, again, dora := w.open("ann", domain.RoleCustomer, Start{}), w.open("ann", domain.RoleCustomer, Start{}), w.open("dora", domain.RoleDelivery, Start{})
	check := func(customers, deliveries int64, users ...string) {
		t.Helper()
		roles := map[domain.Role]int64{"customer": customers, "delivery": deliveries}
		if s := w.service; !slices.Equal(s.Online(), users) || s.Users() != int64(len(users)) || !maps.Equal(s.Roles(), roles) {
			t.Errorf("online %v, %d users, %v", s.Online(), s.Users(), s.Roles())
		}
	}
	check(2, 1, "ann", "dora")
	again.Close()
	again.Close()
	check(1, 1, "ann", "dora")
	ann.Close()
	check(0, 1, "dora")
	dora.Close()
	check(0, 0)
}

func TestSessionsThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	w := run(t, nil, nil)
	ann := auth.Identity{UserID: "ann", Role: domain.RoleCustomer}
	if _, err := w.service.Open(t.Context(), ann, "", Start{Rooms: []string{"delivery:broken"}}); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.service.Open(ctx, ann, "", Start{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if w.service.Users() != 0 {
		t.Error("they are counted")
	}
}

func TestTokensAreJudged(t *testing.T) {
	t.Parallel()
	w := run(t, nil, nil)
	good := deliverytest.Token("ann", domain.RoleCustomer, time.Hour)
	for token, code := range map[string]domain.Code{
		good: "", "Bearer " + good: "", "": domain.CodeUnauthenticated, "nonsense": domain.CodeUnauthenticated,
		deliverytest.Token("ann", domain.RoleCustomer, -time.Hour): delivery.CodeTokenExpired, "unavailable": domain.CodeUnavailable,
	} {
		user, err := w.service.Authenticate(t.Context(), token)
		if code == "" {
			if err != nil || user.UserID != "ann" {
				t.Errorf("%q: %+v, %v", token, user, err)
			}
			continue
		}
		var known *domain.Error
		if !errors.As(err, &known) || known.Code != code || known.Message == "" {
			t.Errorf("%q: %v, want %s", token, err, code)
		}
	}
}

func TestWhatAClientIsToldOfAnError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err   error
		code  domain.Code
		logIt bool
	}{
		{domain.Errorf(domain.CodeNotFound, "no"), domain.CodeNotFound, false},
		{delivery.ErrExpired, delivery.CodeCursorExpired, false},
		{delivery.ErrEnded, domain.CodeUnavailable, false},
		{deliverytest.ErrDatabase, domain.CodeUnavailable, true},
	} {
		if f, logIt := FailureOf(tc.err); f.Code != tc.code || f.Message == "" || logIt != tc.logIt {
			t.Errorf("%v: %+v, %v", tc.err, f, logIt)
		}
	}
}

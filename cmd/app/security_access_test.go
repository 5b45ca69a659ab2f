package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// namespaces say who may enter them: no role means everybody with a token.
var namespaces = map[string]domain.Role{"/": "", "/admin": domain.RoleAdmin, "/delivery": domain.RoleDelivery, "/customer": domain.RoleCustomer}

// TestWhoMaySendWhatOverSocketIO holds every namespace to the table of /ws: who may enter it, and what every event that the
// server describes is answered there.
func TestWhoMaySendWhatOverSocketIO(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	o := w.carried(t)
	roles := [len(askers)]domain.Role{
		theCustomer: domain.RoleCustomer, anotherCustomer: domain.RoleCustomer, theCourier: domain.RoleDelivery, anotherCourier: domain.RoleDelivery, theAdmin: domain.RoleAdmin,
	}
	events := w.clientEvents(t)
	for i, who := range askers {
		for namespace, role := range namespaces {
			k, refusal := w.enter(t, namespace, w.tokens[i])
			want := ""
			switch {
			case i == nobody && namespace == "/":
				want = "" // nobody is let in there, and hears what is for all
			case i == nobody:
				want = "unauthenticated"
			case i == expired:
				want = "token_expired"
			case role != "" && role != roles[i]:
				want = "forbidden"
			}
			if refusal != want {
				t.Errorf("%s into %s: %q, want %q", who, namespace, refusal, want)
			}
			if refusal != "" {
				continue
			}
			for _, name := range events {
				row := socketPermissions[name]
				if row.data == nil {
					continue // register and refresh, which have rules of their own, and ping
				}
				want := row.may[i]
				if i == nobody && row.may[anotherCustomer] != "" || i == nobody && name == "join:order" {
					want = "unauthenticated"
				}
				if got := k.says(t, namespace, name, row.data(o)); got != want && (i != nobody || got == "") {
					t.Errorf("%s in %s as %s: %q, want %q", name, namespace, who, got, want)
				}
			}
		}
	}
	if len(events) < 8 {
		t.Errorf("only %v are described", events)
	}
}

// engineClient is a Socket.IO client of one namespace.
type engineClient struct{ *enginetest.Client }

// enter connects to a namespace and returns the code of the refusal, if there is one.
func (w *ward) enter(t *testing.T, namespace, token string) (engineClient, string) {
	t.Helper()
	engine, err := enginetest.Dial(t.Context(), w.url, enginetest.Options{Transport: enginetest.WebSocket, Path: "/socket.io/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Cut)
	auth := map[string]any{}
	if token != "" {
		auth["token"] = token
	}
	text, err := json.Marshal(auth)
	if err != nil {
		t.Fatal(err)
	}
	k := engineClient{engine}
	if err := k.Send(t.Context(), "0"+within(namespace)+string(text)); err != nil {
		t.Fatal(err)
	}
	answer := k.until(t, "0", "4")
	if answer[0] == '0' {
		return k, ""
	}
	var refusal struct{ Data struct{ Code string } }
	if err := json.Unmarshal([]byte(answer[strings.IndexByte(answer, '{'):]), &refusal); err != nil || refusal.Data.Code == "" {
		t.Fatalf("refused with %s", answer)
	}
	return k, refusal.Data.Code
}

// within is how a packet names its namespace.
func within(namespace string) string {
	if namespace == "/" {
		return ""
	}
	return namespace + ","
}

// says sends an event and returns the code with which it is refused, if it is.
func (k engineClient) says(t *testing.T, namespace, event string, data any) string {
	t.Helper()
	text, err := json.Marshal([]any{event, data})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Send(t.Context(), "2"+within(namespace)+"7"+string(text)); err != nil {
		t.Fatal(err)
	}
	answer := k.until(t, "3")
	var acked []struct{ Error *struct{ Code string } }
	if err := json.Unmarshal([]byte(answer[strings.IndexByte(answer, '['):]), &acked); err != nil || len(acked) != 1 {
		t.Fatalf("%s is acknowledged with %s", event, answer)
	}
	if acked[0].Error == nil {
		return ""
	}
	return acked[0].Error.Code
}

// until reads up to a packet of one of the kinds.
func (k engineClient) until(t *testing.T, kinds ...string) string {
	t.Helper()
	for {
		m, err := k.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Data) > 0 && slices.Contains(kinds, string(m.Data[:1])) {
			return string(m.Data)
		}
	}
}

// TestATokenInAnAddressIsNeverTaken: addresses end up in logs, histories and Referer headers.
func TestATokenInAnAddressIsNeverTaken(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	for _, name := range []string{"token", "access_token", "jwt", "auth", "authorization"} {
		query := "?" + name + "=" + s.admin
		for _, path := range []string{"/api/v1/orders", "/api/v1/feed", "/api/v1/events", "/api/v1/audit/verify", "/api/v1/socket/status"} {
			if a := s.ask(t, "GET", path+query, "", ""); a.status != 401 && a.status != 400 {
				t.Errorf("GET %s?%s is answered %d", path, name, a.status)
			}
		}
		conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/ws"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		k := &socket{Conn: conn, t: t, Conversation: s.sockets.Conversation()}
		k.say(`{"event":"register","data":{}}`)
		k.ends(4401, "unauthenticated")
	}
	engine, err := enginetest.Dial(t.Context(), s.url, enginetest.Options{Transport: enginetest.WebSocket, Path: "/socket.io/?EIO=4&token=" + s.admin + "&more="})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Cut)
	k := engineClient{engine}
	if err := k.Send(t.Context(), `0/admin,{}`); err != nil {
		t.Fatal(err)
	}
	if answer := k.until(t, "0", "4"); !strings.Contains(answer, `"unauthenticated"`) {
		t.Errorf("a token in the address is answered %s", answer)
	}
}

// What I may not see live I may not see by coming back either, whatever I say that I was told: as another user, in a room of
// others, with the right gone, or with another role than before.
func TestWhatIsNotSeenLiveIsNotSeenByResume(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	orders := s.placed(t, len(transports))
	overEveryTransport(t, func(t *testing.T, made func() driver) {
		order, user := <-orders, own(t, "boss")
		s.move(t, order, "confirmed")
		last := s.move(t, order, "preparing").seq()
		s.awaitFeed(t, last)

		// As an admin she saw the orders of all. With her new token she is a customer, and keeps her cursor.
		c := newClient(t, made(), user, domain.RoleAdmin, "order:"+order)
		c.quick = true
		k := c.arrive(t, s.url)
		if !slices.Contains(c.got, last) {
			t.Fatalf("an admin got %v, without %d", c.got, last)
		}
		k.cut()
		c.token, c.role, c.got = tokenFor(t, user, domain.RoleCustomer), domain.RoleCustomer, nil
		for _, cursor := range []int64{0, last - 1} {
			c.claim(cursor)
			c.last = cursor
			s.seesNothing(t, c, order)
		}

		// Another customer who guesses: a cursor, the order's room, and over Socket.IO also the pid that was hers.
		thief := newClient(t, c.driver, "bob", domain.RoleCustomer, "order:"+order, "delivery:dave")
		thief.claim(last - 1)
		thief.last = last - 1
		s.seesNothing(t, thief, order)
		thief = newClient(t, made(), "bob", domain.RoleCustomer, "order:"+order)
		s.seesNothing(t, thief, order)
	})
}

// seesNothing reads all that a client is told as it comes back. None of it may be about the order, in data or as a room.
func (s shop) seesNothing(t *testing.T, c *client, order string) {
	t.Helper()
	l, err := c.driver.connect(t.Context(), s.url, c)
	if err != nil {
		t.Fatal(err)
	}
	defer l.cut()
	for {
		f, err := l.next(t.Context())
		if err != nil && !isFault(err) {
			t.Fatalf("heard %s %s: %v", f.event, f.data, err)
		}
		if f.logged && strings.Contains(string(f.data), order) {
			t.Errorf("%s: it is told %s of %d: %s", c.role, f.event, f.seq, f.data)
		}
		if f.event == "caught_up" || f.event == "resync" {
			return
		}
	}
}

// awaitFeed waits until notifications are told up to a seq.
func (s shop) awaitFeed(t *testing.T, seq int64) {
	t.Helper()
	s.must(t, 200, "GET", fmt.Sprintf("/api/v1/feed?min_seq=%d", seq), s.admin, nil)
}

// A feed is read by page, and a room's past by joining it: by the same rights.
func TestAPastIsReadByTheRightsOfNow(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	order := s.place(t, s.ada)
	s.goes(t, "dave", "online")
	s.assign(t, order, "dave")
	last := s.move(t, order, "confirmed").seq()
	s.awaitFeed(t, last)
	for who, token := range map[string]string{
		"another customer": s.bob, "the admin with a customer's token": tokenFor(t, "boss", domain.RoleCustomer),
		"the customer's name with a courier's token": tokenFor(t, "ada2", domain.RoleDelivery),
	} {
		for cursor := range last {
			a := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/feed?lastSeq=%d", cursor), token, nil)
			for _, item := range a.body["items"].([]any) {
				if event := item.(map[string]any); strings.Contains(fmt.Sprint(event["data"]), order) && event["event"] != "order:new" {
					t.Errorf("the feed of %s has %v", who, event)
				}
			}
		}
		k := s.register(t, token, "")
		k.hears(`{"event":"registered"}`)
		k.say(`{"event":"join:order","data":{"orderId":"` + order + `","lastSeq":0},"id":1}`)
		k.hears(`{"ack":1,"error":{"code":"forbidden"}}`)
		k.say(`{"event":"join:delivery","data":{"deliveryId":"dave","lastSeq":0},"id":2}`)
		k.hears(`{"ack":2,"error":{"code":"forbidden"}}`)
	}
	// Who carried the order and does not any more reads no more of its past.
	s.goes(t, "erin", "online")
	s.assign(t, order, "erin")
	k := s.register(t, s.dave, "")
	k.hears(`{"event":"registered"}`)
	k.say(`{"event":"join:order","data":{"orderId":"` + order + `","lastSeq":0},"id":1}`)
	k.hears(`{"ack":1,"error":{"code":"forbidden"}}`)
	// A token for another role, or of another user, refreshes nothing.
	for _, token := range []string{s.admin, tokenFor(t, "ada", domain.RoleAdmin), s.bob} {
		k := s.register(t, s.ada, "")
		k.hears(`{"event":"registered"}`)
		k.say(fmt.Sprintf(`{"event":"refresh","data":{"token":%q},"id":1}`, token))
		k.ends(4403, "forbidden")
	}
}

// A refusal says of what is refused no more than that.
func TestARefusalSaysNothingOfWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	o := w.carried(t)
	for _, asked := range []string{
		"GET /api/v1/orders/" + o.order, "GET /api/v1/orders/" + o.order + "/payments", "GET /api/v1/payments/" + o.payment,
		"GET /api/v1/delivery/orders/" + o.order + "/track", "GET /api/v1/delivery/agents/dave", "GET /api/v1/audit/orders/" + o.order,
		"POST /api/v1/orders/" + o.order + `/payments {"method":"card"}`, "POST /api/v1/orders/" + o.order + `/cancel {"reason":"x"}`,
	} {
		method, path, _ := strings.Cut(asked, " ")
		path, body, _ := strings.Cut(path, " ")
		a := w.ask(t, method, path, w.bob, body)
		refused(t, a, 403, "forbidden")
		for name := range maps.Keys(a.body) {
			if !slices.Contains([]string{"type", "title", "status", "code", "detail", "roles"}, name) {
				t.Errorf("%s: the refusal has %s: %v", path, name, a.body)
			}
		}
		for _, secret := range []string{"ada", "ADA", "Via Roma", "1900", "dave's", o.payment} {
			if strings.Contains(fmt.Sprint(a.body["detail"]), secret) {
				t.Errorf("%s: the refusal says %v", path, a.body["detail"])
			}
		}
	}
}

// A ticket is as good as its holder's token for one stream, and for nothing else.
func TestATicketIsNoToken(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	ticket := func() string {
		return s.must(t, 201, "POST", "/api/v1/events/ticket", s.ada, nil).body["ticket"].(string)
	}
	for _, path := range []string{"/api/v1/orders", "/api/v1/feed", "/api/v1/notifications"} {
		if a := s.ask(t, "GET", path, ticket(), ""); a.status != 401 {
			t.Errorf("%s with a ticket as token is answered %d", path, a.status)
		}
		if a := s.ask(t, "GET", path+"?ticket="+ticket(), "", ""); a.status != 401 && a.status != 400 {
			t.Errorf("%s?ticket= is answered %d", path, a.status)
		}
	}
	used, seen := ticket(), map[string]bool{}
	if a := s.ask(t, "GET", "/api/v1/events?ticket="+used, "", ""); a.status != 200 {
		t.Errorf("a ticket is answered %d", a.status)
	}
	for _, guess := range []string{used, used[:42] + "A", used + "A", strings.Repeat("A", 43), "", "null"} {
		if a := s.ask(t, "GET", "/api/v1/events?ticket="+guess, "", ""); a.status != 401 && a.status != 400 {
			t.Errorf("the ticket %q is answered %d", guess, a.status)
		}
	}
	for range 50 {
		one := ticket()
		if len(one) != 43 || seen[one[:8]] || seen[one[35:]] { // 256 bits
			t.Fatalf("the ticket %s can be guessed", one)
		}
		seen[one[:8]], seen[one[35:]] = true, true
	}
	short, err := auth.Sign([]byte(jwtSecret), auth.Identity{UserID: "ada", Role: domain.RoleCustomer, ExpiresAt: time.Now().Add(2 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	a := s.must(t, http.StatusCreated, "POST", "/api/v1/events/ticket", short, nil)
	until, err := time.Parse(time.RFC3339, fmt.Sprint(a.body["expiresAt"]))
	if err != nil || time.Until(until) > 2*time.Second {
		t.Errorf("a ticket outlives the token that it was issued for: %v, %v", a.body, err)
	}
}

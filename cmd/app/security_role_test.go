package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// granted is the address of a database for a role that `app migrate grant` let run nodes, and nothing else.
func granted(t *testing.T, owners string) (address string) {
	t.Helper()
	address, role := pgtest.Role(t, owners)
	if line := output(t, []string{"migrate", "grant", role}, serverSettings(t, owners)); !strings.Contains(line, role) {
		t.Fatalf("granting says %s", line)
	}
	return address
}

// TestANodeRunsAsARoleThatOwnsNothing takes an order from the menu to its refund, with a courier, an offer, an inbox and
// every kind of connection, on a node whose role has no more than was granted; and then what a node does by itself.
func TestANodeRunsAsARoleThatOwnsNothing(t *testing.T) {
	t.Parallel()
	owners := pgtest.Database(t)
	url := granted(t, owners)
	s := openedShopOn(t, url)

	s.does(t, 201, s.admin, "POST", "/offers", `{"code":"TENTH","description":"A tenth off","discountType":"percent","discountValue":10,"maxUses":5}`, `{}`)
	s.does(t, 200, s.admin, "PATCH", "/products/"+s.product, `{"price":900}`, `{}`)
	order := s.does(t, 201, s.ada, "POST", "/orders",
		fmt.Sprintf(`{"items":[{"product":%q,"quantity":2}],"deliveryAddress":"Via Roma 1","paymentMethod":"card","offerCode":"TENTH"}`, s.product), `{}`).
		body["id"].(string)
	for _, status := range []string{"confirmed", "preparing", "ready"} {
		s.move(t, order, status)
	}
	s.goes(t, "dave", "online")
	s.assign(t, order, "dave")
	for _, transport := range transports {
		c := newClient(t, transport.driver(), "ada", domain.RoleCustomer, "order:"+order)
		c.arrive(t, s.url).cut() // remembers the room
		c.arrive(t, s.url).cut() // and finds it again
	}
	s.does(t, 200, s.dave, "POST", "/delivery/location", fmt.Sprintf(`{"orderId":%q,"latitude":48.2,"longitude":16.37}`, order), `{"kept":true}`)
	s.listensByTicket(t, s.ada)
	s.move(t, order, "out_for_delivery")
	s.move(t, order, "delivered")
	payment := s.does(t, 201, s.ada, "POST", "/orders/"+order+"/payments", `{"method":"card"}`, `{"amount":1620}`).body["id"].(string)
	hook := fmt.Sprintf(`{"eventId":"e","paymentId":%q,"type":"payment.captured","amount":1620,"currency":"EUR"}`, payment)
	if a := s.ask(t, "POST", "/api/v1/payments/webhook", "", hook, "X-Signature", paysandbox.Sign([]byte(jwtSecret), []byte(hook))); a.status != 200 {
		t.Fatalf("the provider is answered %d %v", a.status, a.body)
	}
	s.does(t, 200, s.admin, "POST", "/payments/"+payment+"/refund", `{"amount":100,"reason":"cold"}`, `{}`)
	s.inbox(t, s.ada, 6)
	last := s.does(t, 200, s.ada, "POST", "/notifications/read-all", "", `{}`)
	for _, path := range []string{
		"/audit/verify?", "/audit/checkpoint?", "/audit/orders/" + order + "?", "/audit/orders/" + order + "/state?", "/audit/events?actor=ada",
		"/offers?limit=9", "/payments/" + payment + "?", "/orders?limit=9", "/delivery/agents?limit=9", "/delivery/orders/" + order + "/track?limit=9",
	} {
		s.reads(t, last, s.admin, path, `{}`)
	}

	s.stop()
	s.server = start(t, serverSettings(t, url)) // it needs no right to migrate where nothing is to be migrated
	s.does(t, 200, s.ada, "GET", "/orders/"+order, "", `{"status":"delivered"}`)
	s.must(t, 200, "GET", fmt.Sprintf("/api/v1/notifications?min_seq=%d", s.placeMore(t)), s.ada, nil)

	tools := serverSettings(t, url)
	for _, command := range []string{"migrate status", "migrate up", "audit verify", "audit history " + order, "audit export", "projections status"} {
		output(t, strings.Fields(command), tools)
	}
	for command, says := range map[string]string{
		"projections rebuild views": "does not own", // that is for the owner
		"migrate grant postgres":    "only the tables' owner",
	} {
		err := run(t.Context(), strings.Fields(command), tools.getenv, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", command, err, says)
		}
	}
	s.keepsPartitions(t, pgtest.Pool(t, owners), url)
}

// placeMore places one more order of ada's and returns its seq.
func (s shop) placeMore(t *testing.T) int64 {
	t.Helper()
	return s.must(t, 201, "POST", "/api/v1/orders", s.ada, orderOf(s.product)).seq()
}

// listensByTicket opens a stream of events as a browser does.
func (s shop) listensByTicket(t *testing.T, token string) {
	t.Helper()
	ticket := s.must(t, 201, "POST", "/api/v1/events/ticket", token, nil).body["ticket"].(string)
	if a := s.ask(t, "GET", "/api/v1/events?ticket="+ticket, "", ""); a.status != 200 {
		t.Errorf("a ticket is answered %d %v", a.status, a.body)
	}
}

// keepsPartitions looks whether the node has made partitions of the log ahead, which are the owner's, and drops some of old
// notifications as a node does.
func (s shop) keepsPartitions(t *testing.T, owners *pgxpool.Pool, node string) {
	t.Helper()
	const look = `SELECT count(*) FROM pg_class WHERE relispartition AND relname = $1 AND relowner = (SELECT relowner FROM pg_class WHERE oid = 'events'::regclass)`
	there := func(name string) (n int) {
		if err := owners.QueryRow(t.Context(), look, name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	parttest.Eventually(t, "a partition ahead", func() bool { return there("events_p00000002") == 1 })

	pool := pgtest.Pool(t, node)
	if _, err := pool.Exec(t.Context(), `UPDATE notification_floor SET floor = 199999`); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `SELECT add_partitions('notification_log', 100000, 300000)`); err != nil {
		t.Fatal(err)
	}
	if err := projections.NewRetention(pool, time.Hour, slog.New(slog.DiscardHandler)).Expire(t.Context(), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if there("notification_log_p00000001") != 0 || there("notification_channels_p00000001") != 0 || there("notification_log_p00000003") != 1 {
		t.Error("the notifications below the floor are not dropped, or others are")
	}
}

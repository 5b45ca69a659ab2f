package main

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/localpg"
	"github.com/orderlog/orderlog/internal/parttest"
)

// TestTheDatabaseGoesAwayAndComesBack: commands are refused in words while it is away, nothing that was
// answered is lost, and clients that stayed connected get what happens afterwards.
func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	config := localpg.Config{Dir: filepath.Join(dataFolder(t), "postgres"), NoSync: true, Settings: map[string]string{"fsync": "off"}}
	pg, err := localpg.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := pg.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	}
	s := start(t, serverSettings(pg.URL("")))
	product := s.openShop(t)
	customer := tokenFor(t, "carl", domain.RoleCustomer)
	before := s.must(t, http.StatusCreated, "POST", "/api/v1/orders", customer, orderOf(product))

	admin := &client{token: tokenFor(t, "ada", domain.RoleAdmin)}
	conn, err := admin.connect(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	for admin.last < before.seq() {
		if _, err := conn.next(); err != nil {
			t.Fatal(err)
		}
	}

	stop()
	refused := s.must(t, http.StatusServiceUnavailable, "POST", "/api/v1/orders", customer, orderOf(product))
	if refused.body["code"] != "unavailable" || refused.header.Get("Retry-After") == "" {
		t.Errorf("without a database a command is answered %v, Retry-After %q", refused.body, refused.header.Get("Retry-After"))
	}
	s.must(t, http.StatusServiceUnavailable, "GET", "/ready", "", nil)
	s.must(t, http.StatusOK, "GET", "/health", "", nil)

	if pg, err = localpg.Start(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	defer stop()
	defer s.stop()
	var after answer
	parttest.Eventually(t, "commands to be taken again", func() bool {
		after, err = s.call(t.Context(), "POST", "/api/v1/orders", customer, orderOf(product))
		return err == nil && after.status == http.StatusCreated
	})
	if after.seq() != before.seq()+1 {
		t.Errorf("the order before the outage has seq %d, the one after it %d", before.seq(), after.seq())
	}
	defer conn.cut()               // first: the server waits for a client to take its leave
	for admin.last < after.seq() { // on the connection that was there all the time
		if _, err := conn.next(); err != nil {
			t.Fatal(err)
		}
	}
	parttest.Eventually(t, "the server to be ready again", func() bool {
		a, err := s.call(t.Context(), "GET", "/ready", "", nil)
		return err == nil && a.status == http.StatusOK
	})
}

package main

import (
	"context"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/localpg"
	"github.com/orderlog/orderlog/internal/parttest"
)

// While the database is away commands are refused in words; what was answered is there when it is back, and
// clients that stayed connected get what happens afterwards.
func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(*testing.T, *localpg.Server){
		"stopped": stopDatabase,
		"killed": func(t *testing.T, pg *localpg.Server) {
			if err := syscall.Kill(pg.PID(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-pg.Done()
			_ = pg.Stop(context.WithoutCancel(t.Context())) // it has ended, and not in order
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			outage(t, end)
		})
	}
}

func stopDatabase(t *testing.T, pg *localpg.Server) {
	t.Helper()
	if err := pg.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("stop PostgreSQL: %v", err)
	}
}

func outage(t *testing.T, end func(*testing.T, *localpg.Server)) {
	config := localpg.Config{Dir: filepath.Join(dataFolder(t), "postgres"), NoSync: true, Settings: map[string]string{"fsync": "off"}}
	pg, err := localpg.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, serverSettings(pg.URL("")))
	product := s.openShop(t)
	customer := tokenFor(t, "carl", domain.RoleCustomer)
	var before answer
	for range 20 {
		before = s.must(t, http.StatusCreated, "POST", "/api/v1/orders", customer, orderOf(product))
	}

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

	end(t, pg)
	var refused answer
	parttest.Eventually(t, "commands to be refused", func() bool { // what is left of a killed server may still do some
		if refused, err = s.call(t.Context(), "POST", "/api/v1/orders", customer, orderOf(product)); refused.status == http.StatusCreated {
			before = refused
		}
		return err != nil || refused.status != http.StatusCreated
	})
	if err != nil || refused.status != http.StatusServiceUnavailable {
		t.Errorf("without a database a command is answered %v, %v", refused, err)
	}
	unknown := int64(0) // orders that may have been stored, and the caller was told so
	if refused.body["code"] == "outcome_unknown" {
		unknown = 1
	} else if refused.body["code"] != "unavailable" || refused.header.Get("Retry-After") == "" {
		t.Errorf("without a database a command is answered %v, Retry-After %q", refused.body, refused.header.Get("Retry-After"))
	}
	s.must(t, http.StatusServiceUnavailable, "GET", "/ready", "", nil)
	s.must(t, http.StatusOK, "GET", "/health", "", nil)

	if pg, err = localpg.Start(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	defer stopDatabase(t, pg)
	defer s.stop()
	defer conn.cut() // first: the server waits for a client to take its leave
	var after answer
	parttest.Eventually(t, "commands to be taken again", func() bool {
		after, err = s.call(t.Context(), "POST", "/api/v1/orders", customer, orderOf(product))
		return err == nil && after.status == http.StatusCreated
	})
	if next := before.seq() + 1; after.seq() < next || after.seq() > next+unknown { // nothing that was answered is gone, and what was refused is not there
		t.Errorf("the last order before the outage has seq %d, the first one after it %d", before.seq(), after.seq())
	}
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

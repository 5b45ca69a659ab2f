package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/localpg"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
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
	s := start(t, serverSettings(t, pg.URL("")))
	product := s.openShop(t)
	customer := tokenFor(t, "carl", domain.RoleCustomer)
	var placed []answered
	unknown := 0 // orders that may have been stored, and the caller was told so
	place := func() (answer, error) {
		a, err := s.call(t.Context(), "POST", "/api/v1/orders", customer, orderOf(product))
		if err == nil && a.status == http.StatusCreated {
			placed = append(placed, answered{uuid.MustParse(a.body["id"].(string)), a.seq()})
		}
		if err == nil && a.body["code"] == "outcome_unknown" {
			unknown++
		}
		return a, err
	}
	for range 20 {
		if a, err := place(); err != nil || a.status != http.StatusCreated {
			t.Fatalf("an order is answered %v, %v", a, err)
		}
	}

	var admins []*subscriber
	var connections []*connection
	for i, transport := range transports {
		admin := subscribe(t, transport.driver(), fmt.Sprint("admin-", i), domain.RoleAdmin)
		admins, connections = append(admins, admin), append(connections, admin.begin(t, s.url))
	}
	hear := func(seq int64) {
		for i, k := range connections {
			for k.c.last < seq {
				if _, err := k.next(t.Context()); err != nil {
					t.Fatalf("%s: %v", transports[i].name, err)
				}
			}
		}
	}
	hear(placed[len(placed)-1].seq)

	end(t, pg)
	var refused answer
	parttest.Eventually(t, "commands to be refused", func() bool { // what is left of a killed server may still do some
		refused, err = place()
		return err != nil || refused.status != http.StatusCreated
	})
	if err != nil || refused.status != http.StatusServiceUnavailable {
		t.Errorf("without a database a command is answered %v, %v", refused, err)
	}
	if refused.body["code"] != "outcome_unknown" && (refused.body["code"] != "unavailable" || refused.header.Get("Retry-After") == "") {
		t.Errorf("without a database a command is answered %v, Retry-After %q", refused.body, refused.header.Get("Retry-After"))
	}
	s.must(t, http.StatusServiceUnavailable, "GET", "/ready", "", nil)
	s.must(t, http.StatusOK, "GET", "/health", "", nil)

	if pg, err = localpg.Start(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	defer stopDatabase(t, pg)
	defer s.stop()
	defer func() { // first: the server waits for clients to take their leave
		for _, k := range connections {
			k.cut()
		}
	}()
	var after answer
	parttest.Eventually(t, "commands to be taken again", func() bool {
		after, err = place()
		return err == nil && after.status == http.StatusCreated
	})
	hear(after.seq()) // on the connections that were there all the time
	parttest.Eventually(t, "the server to be ready again", func() bool {
		a, err := s.call(t.Context(), "GET", "/ready", "", nil)
		return err == nil && a.status == http.StatusOK
	})

	// Nothing that was answered is gone, what was refused is not there, and all of it is told of.
	pool := pgtest.Pool(t, pg.URL(""))
	atRest(t, pool)
	log := checkLog(t, eventstore.Open(pool, eventstore.Options{}), placed)
	entries := checkInboxes(t, log)
	if n := len(entries["carl"]); n < len(placed) || n > len(placed)+unknown {
		t.Errorf("the log has %d orders: %d were answered, and %d may be there", n, len(placed), unknown)
	}
	feed := projections.NewFeedLog(pool)
	awaitFeed(t, feed, int64(len(log)))
	for _, admin := range admins {
		admin.check(t, feed, entries)
	}
}

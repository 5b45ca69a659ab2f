package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	library "github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/migrations"
)

// A new version is brought in while the one before it still runs: the schema is brought up to date under a node that
// appends as the programs before migration 6 did, which is stopped by nothing, and then by two new nodes that start at once.
func TestTheSchemaIsBroughtUpToDateUnderAnOldNode(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	before(t, url)
	pool := pgtest.Pool(t, url)
	ctx, enough := context.WithCancel(t.Context())
	var appended atomic.Int64
	var old sync.WaitGroup
	defer old.Wait()
	defer enough()
	old.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			if err := appendAsBefore(t.Context(), pool); err != nil {
				t.Errorf("an old node can't append: %v", err)
				return
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("an old node stood for %s", d)
			}
			appended.Add(1)
		}
	})
	some := func() {
		upTo := appended.Load() + 20
		parttest.Eventually(t, "the old node to append", func() bool { return appended.Load() >= upTo })
	}
	some()
	if got := output(t, []string{"migrate", "up"}, settings{"DATABASE_URL": url}); !strings.Contains(got, "up to date") {
		t.Errorf("migrate up printed %q", got)
	}
	some()
	var nodes [2]*server
	var starting sync.WaitGroup
	for i := range nodes {
		starting.Go(func() { nodes[i] = startProcess(t, serverSettings(t, url)) })
	}
	starting.Wait()
	if t.Failed() {
		return
	}
	product := nodes[0].openShop(t)
	for _, node := range nodes {
		node.must(t, http.StatusCreated, "POST", "/api/v1/orders", tokenFor(t, "carl", domain.RoleCustomer), orderOf(product))
	}
	some()
	enough()
	old.Wait()
	atRest(t, pool)
	checkLog(t, eventstore.Open(pool, eventstore.Options{}), nil)
}

// A node goes on when a newer program has brought the schema further under it: migrations only add, until no node needs
// what they replace. It is not started on it again.
func TestANodeGoesOnUnderANewerSchema(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	env := serverSettings(t, url)
	s := start(t, env)
	product := s.openShop(t)
	if _, err := pgtest.Pool(t, url).Exec(t.Context(), `UPDATE schema_migrations SET version = 9999; CREATE TABLE of_the_next_version (n int)`); err != nil {
		t.Fatal(err)
	}
	a := s.must(t, http.StatusCreated, "POST", "/api/v1/orders", tokenFor(t, "carl", domain.RoleCustomer), orderOf(product))
	s.must(t, http.StatusOK, "GET", fmt.Sprintf("/api/v1/products?min_seq=%d", a.seq()), tokenFor(t, "carl", domain.RoleCustomer), nil)
	s.must(t, http.StatusOK, "GET", "/ready", "", nil)

	env["PORT"] = "0"
	err := run(t.Context(), []string{"serve"}, env.getenv, io.Discard, io.Discard)
	if exitCode(err) != 1 || !strings.Contains(err.Error(), migrations.ErrNewerSchema.Error()) {
		t.Errorf("a second node of the old version ended with %v", err)
	}
}

// before brings an empty database to the schema of the version before.
func before(t *testing.T, url string) {
	t.Helper()
	source, err := iofs.New(migrations.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	m, err := library.NewWithSourceInstance("iofs", source, "pgx5"+strings.TrimPrefix(url, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	status, err := migrations.ReadStatus(url)
	if err == nil {
		err = m.Migrate(status.Latest - 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	if sourceErr, databaseErr := m.Close(); sourceErr != nil || databaseErr != nil {
		t.Fatal(sourceErr, databaseErr)
	}
}

// appendAsBefore appends an event to a stream of its own by the function that stays for old nodes.
func appendAsBefore(ctx context.Context, pool *pgxpool.Pool) error {
	stream := uuid.NewString()
	_, err := pool.Exec(ctx, `
SELECT append_events(
	ARRAY['business'], ARRAY[$1::uuid], ARRAY[0::bigint],
	ARRAY[$2::uuid], ARRAY['business'], ARRAY[$1::uuid], ARRAY[1::bigint], ARRAY['business.opened'],
	ARRAY['{"businessName":"Old","message":""}'], ARRAY['{}'],
	ARRAY['business'], ARRAY[$1::uuid], ARRAY[1::bigint], ARRAY[1::bigint], ARRAY[1::bigint],
	'{}', '{}', '{}', '{}', '{}', '{}', 'orderlog_events')`, stream, uuid.NewString())
	return err
}

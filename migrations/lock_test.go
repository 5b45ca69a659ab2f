package migrations_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/migrations"
)

// A machine that vanished may hold the lock for a while: a node that has nothing to migrate starts all the same.
func TestWhoHasNothingToMigrateWaitsForNobody(t *testing.T) {
	t.Parallel()
	databaseURL := pgtest.Database(t)
	holder, err := pgtest.Pool(t, databaseURL).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Release()
	if _, err := holder.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, migrations.AloneKey); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- migrations.Up(ctx, databaseURL) }()
	if err := parttest.Await(t, "it to find that nothing is to be done", done); err != nil {
		t.Error(err)
	}
}

// Each connection of whoever migrates, the library's too, asks the server to notice when its machine vanishes: it may hold a
// lock.
func TestTheServerNoticesThatWhoMigratesHasVanished(t *testing.T) {
	t.Parallel()
	databaseURL, sent := overheard(t, pgtest.Empty(t))
	if err := migrations.Up(t.Context(), databaseURL); err != nil {
		t.Fatal(err)
	}
	all := sent()
	if len(all) < 3 {
		t.Fatalf("%d connections were heard", len(all))
	}
	for _, said := range all {
		asked, locked := strings.Index(said, "SET tcp_keepalives_idle"), strings.Index(said, "pg_try_advisory_lock")
		if asked < 0 || (locked >= 0 && locked < asked) {
			t.Errorf("a connection does not ask for it first: %q", said)
		}
	}
}

// overheard is another address of a database, and what was said to it, connection by connection.
func overheard(t *testing.T, databaseURL string) (address string, sent func() []string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	network, to := "tcp", fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
	if strings.HasPrefix(cfg.Host, "/") {
		network, to = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", cfg.Host, cfg.Port)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	var said []*bytes.Buffer
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), network, to)
			if err != nil {
				_ = client.Close()
				continue
			}
			heard := &bytes.Buffer{}
			said = append(said, heard)
			hand := func(to io.Writer, from net.Conn) func() {
				return func() {
					_, _ = io.Copy(to, from)
					_, _ = client.Close(), server.Close()
				}
			}
			open.Go(hand(io.MultiWriter(server, heard), client))
			open.Go(hand(client, server))
		}
	})
	sent = func() (all []string) {
		_ = listener.Close()
		open.Wait() // what reads the connections has ended
		for _, heard := range said {
			all = append(all, heard.String())
		}
		return all
	}
	t.Cleanup(func() { sent() })
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: listener.Addr().String(), Path: "/" + cfg.Database, RawQuery: "sslmode=disable",
	}
	return u.String(), sent
}

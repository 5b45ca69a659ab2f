package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// output carries out a command that has to succeed, and returns its first line.
func output(t *testing.T, args []string, env settings) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), args, env.getenv, &out, io.Discard); err != nil {
		t.Fatalf("app %s: %v", strings.Join(args, " "), err)
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	return line
}

func TestExitCodesAndWhatToDoNext(t *testing.T) {
	t.Parallel()
	const nowhere = "postgres://app:hunter2@127.0.0.1:1/orders"
	key := strings.Repeat("k", 32)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())

	for _, tc := range []struct {
		command string
		env     settings
		code    int
		says    string // in the one line of an error
	}{
		{"version", nil, 0, ""},
		{"help", nil, 0, ""},
		{"token --help", nil, 0, ""},
		{"token --user ada --role customer", settings{"JWT_SECRET": key}, 0, ""},
		{"token --user ada --role customer", nil, 0, ""}, // the key is generated and kept
		{"token --user ada --role customer", settings{"DATABASE_URL": nowhere, "JWT_SECRET": key}, 0, ""},
		{"audit --help", nil, 0, ""},
		{"audit help", nil, 0, ""},
		{"audit history --help", nil, 0, ""},
		{"audit export -h", nil, 0, ""},
		{"audit verify-bundle x --help", nil, 0, ""},
		{"audit key --new", nil, 0, ""},
		{"projections --help", nil, 0, ""},
		{"projections rebuild --help", nil, 0, ""},

		{"bake", nil, 2, "app help"},
		{"serve now", nil, 2, "usage"},
		{"version 2", nil, 2, "usage"},
		{"migrate", nil, 2, "up|status"},
		{"migrate sideways", nil, 2, "up|status"},
		{"token --role admin", nil, 2, "--user"},
		{"token --user ada", nil, 2, "customer"},
		{"token --user ada --role king", nil, 2, "customer"},
		{"token --user ada --role admin --ttl soon", nil, 2, "ttl"},
		{"token --user ada --role admin --ttl -1h", nil, 2, "ttl"},
		{"listen", nil, 2, "--token"},
		{"listen --token x --last-seq -1", nil, 2, "last-seq"},
		{"listen --token x --room kitchen", nil, 2, "order:ID"},
		{"listen --token x --url pizza", nil, 2, "--url"},
		{"audit", nil, 2, "usage: app audit history|export"},
		{"audit bake", nil, 2, "verify-bundle"},
		{"audit history", nil, 2, "ORDER"},
		{"audit history pizza", nil, 2, "ORD-000123"},
		{"audit history ORD-000001 ORD-000002", nil, 2, "usage"},
		{"audit history ORD-000001 --yaml", nil, 2, "usage"},
		{"audit history ORD-000001 --seq 0", nil, 2, "from 1 on"},
		{"audit history ORD-000001 --at noon", nil, 2, "2026-11-23T18:30:00Z"},
		{"audit history ORD-000001 --seq 3 --at 2026-11-23", nil, 2, "give one"},
		{"audit history --diff ORD-000001 --seq 3", nil, 2, "--diff"},
		{"audit export orders", nil, 2, "usage"},
		{"audit export --from 0", nil, 2, "from 1 on"},
		{"audit export --from 3 --to 2", nil, 2, "before --from"},
		{"audit export --format xml", nil, 2, "ndjson or csv"},
		{"audit export --since yesterday", nil, 2, "2026-11-23"},
		{"audit export --actor=", nil, 2, "leave the flag out"},
		{"audit export --type=", nil, 2, "leave the flag out"},
		{"audit export --type ,", nil, 2, "leave the flag out"},
		{"audit export --stream=", nil, 2, "leave the flag out"},
		{"audit export --since=", nil, 2, "leave the flag out"},
		{"audit export --actor a --actor b", nil, 2, "give it once"},
		{"audit export --from 1 --from 1", nil, 2, "give it once"},
		{"audit history --seq 1 ORD-000001 --seq 2", nil, 2, "give it once"},
		{"audit verify now", nil, 2, "usage"},
		{"audit bundle pizza", nil, 2, "ORD-000123"},
		{"audit bundle ORD-000001 --force", nil, 2, "--out"},
		{"audit verify-bundle", nil, 2, "FILE"},
		{"audit verify-bundle x --key pizza", nil, 2, "app audit key"},
		{"audit key pizza", nil, 2, "--new"},
		{"projections", nil, 2, "status|rebuild"},
		{"projections bake", nil, 2, "status|rebuild"},
		{"projections status now", nil, 2, "usage"},
		{"projections rebuild", nil, 2, "NAME"},
		{"projections rebuild pizzas", nil, 2, "orders"},
		{"projections rebuild orders --fast", nil, 2, "usage"},

		{"serve", settings{"DATABASE_URL": nowhere}, 1, "JWT_SECRET"},
		{"", settings{"DATABASE_URL": nowhere}, 1, "JWT_SECRET"}, // serve
		{"token --user ada --role admin", settings{"DATABASE_URL": nowhere}, 1, "JWT_SECRET"},
		{"serve", settings{"JWT_SECRET": "short"}, 1, "at least 32"},
		{"serve", settings{"DATABASE_URL": nowhere, "JWT_SECRET": key, "CLIENT_URL": "*"}, 1, "CLIENT_URL"},
		{"serve", settings{"HOST": "0.0.0.0"}, 1, "JWT_SECRET"},
		{"serve", settings{"PORT": "http"}, 1, "PORT"},
		{"serve", settings{"NOTIFICATION_RETENTION": "a month"}, 1, "NOTIFICATION_RETENTION"},
		{"serve", settings{"LOG_LEVEL": "loud", "PORT": "x"}, 1, "LOG_LEVEL"},
		{"serve", settings{"PORT": takenPort}, 1, "PORT"},
		{"serve", settings{"DATABASE_URL": nowhere + "?sslmode=pizza", "JWT_SECRET": key, "PORT": "0"}, 1, "DATABASE_URL"},
		{"migrate status", settings{"DATABASE_URL": nowhere}, 1, "DATABASE_URL"}, // and needs no key
		{"migrate up", settings{"DATABASE_URL": "mysql://x"}, 1, "DATABASE_URL"},
		{"token --user ada --role admin", settings{"JWT_JWKS_URL": "http://127.0.0.1:1/keys"}, 1, "JWT_SECRET"},
		{"audit history ORD-000001", nil, 1, "app serve"},                                  // there is no database, and none is made
		{"audit history ORD-000001", settings{"DATABASE_URL": nowhere}, 1, "DATABASE_URL"}, // and needs no key
		{"audit export", settings{"DATABASE_URL": nowhere}, 1, "DATABASE_URL"},
		{"audit verify", settings{"PORT": "x", "DATABASE_URL": nowhere}, 1, "PORT"},
		{"audit verify", nil, 1, "app serve"},
		{"audit bundle ORD-000001", nil, 1, "app serve"},
		{"audit verify-bundle /nowhere/bundle.json", nil, 1, "/nowhere/bundle.json"},
		{"audit key", nil, 1, "AUDIT_KEY"},
		{"audit key", settings{"AUDIT_KEY": "PRIVATE+KEY+hunter2"}, 1, "AUDIT_KEY"},
		{"projections status", nil, 1, "app serve"},
		{"projections rebuild orders", settings{"DATABASE_URL": nowhere}, 1, "DATABASE_URL"},
	} {
		t.Run(tc.command, func(t *testing.T) {
			t.Parallel()
			env := settings{"DATA_DIR": filepath.Join(t.TempDir(), "data")}
			for name, value := range tc.env {
				env[name] = value
			}
			var out bytes.Buffer
			err := run(t.Context(), strings.Fields(tc.command), env.getenv, &out, io.Discard)
			if exitCode(err) != tc.code {
				t.Fatalf("ended with %d %v, want %d", exitCode(err), err, tc.code)
			}
			if tc.code == 0 {
				if out.Len() == 0 {
					t.Error("said nothing")
				}
				return
			}
			if said := err.Error(); !strings.Contains(said, tc.says) || strings.Contains(said, "\n") || strings.Contains(said, "hunter2") {
				t.Errorf("said %q, want one line with %q", said, tc.says)
			}
			if out.Len() > 0 {
				t.Errorf("wrote %q to where results go", out.String())
			}
		})
	}
}

func TestMigrating(t *testing.T) {
	t.Parallel()
	env := settings{"DATABASE_URL": pgtest.Empty(t)}
	for _, step := range []struct{ command, says string }{
		{"status", "version 0 of "}, {"status", "app migrate up"}, {"up", "up to date"}, {"up", "up to date"}, {"status", "up to date"},
	} {
		if got := output(t, []string{"migrate", step.command}, env); !strings.Contains(got, step.says) {
			t.Errorf("migrate %s printed %q, want %q in it", step.command, got, step.says)
		}
	}
}

// Without any settings the program has a database, a key and an address of its own.
func TestAProgramOfItsOwn(t *testing.T) {
	t.Parallel()
	env := settings{"DATA_DIR": dataFolder(t), "PORT": "0", "CLIENT_URL": "*", "LOG_LEVEL": "warn"}
	// The key is there before the server is, and the same one afterwards.
	token := output(t, []string{"token", "--user", "boss", "--role", "admin"}, env)
	s := start(t, env)
	s.must(t, 200, "PATCH", "/api/v1/business/status", token, map[string]any{"isOpen": true})

	err := run(t.Context(), []string{"serve"}, env.getenv, io.Discard, io.Discard)
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "DATA_DIR") {
		t.Errorf("a second program on the folder ended with %v", err)
	}
	s.stop()
	s = start(t, env)
	a := s.must(t, 200, "GET", "/api/v1/business", output(t, []string{"token", "--user", "eve", "--role", "customer"}, env), nil)
	if a.body["isOpen"] != true || a.seq() != 1 {
		t.Errorf("after a restart: %v at %d", a.body, a.seq())
	}
}

// printed is what `app listen` wrote.
type printed struct {
	mu    sync.Mutex
	lines []string
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		p.lines = append(p.lines, line)
	}
	return len(b), nil
}

// events returns the frames of the log among the lines, as EVENT STATUS.
func (p *printed) events(t *testing.T) (events []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		var frame struct {
			Seq   int64
			Event string
			Data  struct{ Status string }
		}
		if err := json.Unmarshal([]byte(line), &frame); err != nil {
			t.Errorf("printed %q: %v", line, err)
		}
		if frame.Seq > 0 {
			events = append(events, strings.TrimSpace(frame.Event+" "+frame.Data.Status))
		}
	}
	return events
}

func TestListeningGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	env := serverSettings(t, pgtest.Database(t))
	s := start(t, env)
	_, env["PORT"], _ = strings.Cut(strings.TrimPrefix(s.url, "http://"), ":") // where it comes back
	shop := shop{server: s, product: s.openShop(t), admin: tokenFor(t, "boss", domain.RoleAdmin), ada: tokenFor(t, "ada", domain.RoleCustomer)}
	order := shop.place(t, shop.ada)
	shop.await(t, 4) // the entry in ada's inbox

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out printed
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"listen", "--token", shop.ada, "--last-seq", "0", "--room", "order:" + order}, env.getenv, &out, io.Discard)
	}()
	shop.move(t, order, "confirmed")
	parttest.Eventually(t, "four events", func() bool { return len(out.events(t)) >= 4 })
	s.stop()
	shop.server = start(t, env)
	shop.move(t, order, "preparing")
	parttest.Eventually(t, "the other two", func() bool { return len(out.events(t)) >= 6 })
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	want := "business:status:update, notification:new, order:status:update confirmed, notification:new, " +
		"order:status:update preparing, notification:new"
	if got := strings.Join(out.events(t), ", "); got != want {
		t.Errorf("printed %s\nwant %s", got, want)
	}
}

func TestListeningEndsWhereComingBackIsInVain(t *testing.T) {
	t.Parallel()
	s := start(t, serverSettings(t, pgtest.Database(t)))
	for _, tc := range []struct {
		args []string
		says string
	}{
		{[]string{"--url", s.url, "--token", "x"}, "new token"},
		{[]string{"--url", s.url + "/sockets", "--token", "x"}, "404"},
	} {
		err := run(t.Context(), append([]string{"listen"}, tc.args...), settings{}.getenv, io.Discard, io.Discard)
		if exitCode(err) != 1 || !strings.Contains(err.Error(), tc.says) || errors.Is(err, context.Canceled) {
			t.Errorf("listen %v ended with %v", tc.args, err)
		}
	}
}

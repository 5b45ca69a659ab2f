package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestSimulatingSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	const nowhere = "postgres://app:hunter2@127.0.0.1:1/orders"
	key := strings.Repeat("k", 32)
	for _, tc := range []struct {
		command string
		env     settings
		code    int
		says    string
	}{
		{"--orders 0", nil, 2, "--orders"},
		{"--orders many", nil, 2, "usage"},
		{"--rate -1", nil, 2, "--rate"},
		{"--rate NaN", nil, 2, "--rate"},
		{"--clients 0", nil, 2, "--clients"},
		{"--couriers -1", nil, 2, "--couriers"},
		{"--drop 1.5", nil, 2, "--drop"},
		{"--drop NaN", nil, 2, "--drop"},
		{"--url pizza", nil, 2, "--url"},
		{"--url ws://127.0.0.1:5000/ws", nil, 2, "--url"},
		{"now", nil, 2, "usage"},
		{"", settings{"PORT": "0"}, 2, "--url"},

		{"", settings{"PORT": "1"}, 1, "make run"},
		{"--url http://127.0.0.1:1", nil, 1, "make run"},
		{"", settings{"DATABASE_URL": nowhere}, 1, "JWT_SECRET"},
		{"", settings{"DATABASE_URL": nowhere, "JWT_SECRET": key}, 1, "PAYMENT_WEBHOOK_SECRET"},
		{"", settings{"JWT_JWKS_URL": "http://127.0.0.1:1/keys"}, 1, "JWT_SECRET"},
	} {
		t.Run(tc.command, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "data")
			env := settings{"DATA_DIR": folder, "PORT": "1"}
			for name, value := range tc.env {
				env[name] = value
			}
			var out printed
			err := run(t.Context(), append([]string{"simulate"}, strings.Fields(tc.command)...), env.getenv, &out, io.Discard)
			if exitCode(err) != tc.code || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("ended with %d %v, want %d and %q", exitCode(err), err, tc.code, tc.says)
			}
			if len(out.lines) > 0 {
				t.Errorf("wrote %q to where results go", out.lines)
			}
			// No secret is made for a server that is not there.
			if left, _ := filepath.Glob(folder + "*"); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// An evening on a server with a history, then one that is cut short on a business that is open.
func TestSimulatingProvesThatNothingIsMissed(t *testing.T) {
	t.Parallel()
	env := serverSettings(t, pgtest.Database(t))
	s := start(t, env)
	admin := tokenFor(t, "boss", domain.RoleAdmin)
	s.openShop(t)
	for _, open := range []bool{false, true} {
		found := s.must(t, 200, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": open, "message": "as found"})
		s.must(t, 200, "GET", fmt.Sprintf("/api/v1/business?min_seq=%d", found.seq()), admin, nil) // who comes next sees it so
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		args := []string{"simulate", "--url", s.url, "--orders", "15", "--clients", "8", "--drop", "0.5", "--rate", "0"}
		if open { // ended by Ctrl-C
			args = append(args, "--orders", "100000", "--rate", "5")
		}
		var out, progress printed
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, args, env.getenv, &out, &progress) }()
		if open {
			parttest.Eventually(t, "an order under way", func() bool {
				a := s.must(t, 200, "GET", "/api/v1/orders?status=out_for_delivery", admin, nil)
				return len(a.body["items"].([]any)) > 0
			})
			cancel()
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("ended with %v:\n%s", err, strings.Join(out.lines, ""))
			}
		case <-time.After(90 * time.Second):
			t.Fatal("it does not end")
		}
		last := out.lines[len(out.lines)-1]
		if !strings.HasPrefix(last, "SIMULATED orders=") || !strings.HasSuffix(last, " missing=0 repeated=0 out_of_order=0\n") ||
			(!open && !strings.Contains(last, " orders=15 ")) || strings.Contains(last, " events=0 ") {
			t.Errorf("ended with %q", last)
		}
		a := s.must(t, 200, "GET", "/api/v1/business", admin, nil)
		if a.body["isOpen"] != open || a.body["message"] != "as found" {
			t.Errorf("left the business as %v", a.body)
		}
		if a := s.must(t, 200, "GET", "/api/v1/products", admin, nil); len(a.body["items"].([]any)) != 1 {
			t.Errorf("left the menu as %v", a.body)
		}
		for _, status := range []string{"placed", "confirmed", "preparing", "ready", "out_for_delivery"} {
			if a := s.must(t, 200, "GET", "/api/v1/orders?status="+status, admin, nil); len(a.body["items"].([]any)) > 0 {
				t.Errorf("left %d orders %s", len(a.body["items"].([]any)), status)
			}
		}
	}
}

func TestSimulatingWithAnotherSecret(t *testing.T) {
	t.Parallel()
	env := serverSettings(t, pgtest.Database(t))
	s := start(t, env)
	for _, name := range []string{"JWT_SECRET", "PAYMENT_WEBHOOK_SECRET"} {
		other := maps.Clone(env)
		other[name] = strings.Repeat("k", 32)
		var out printed
		err := run(t.Context(), []string{"simulate", "--url", s.url}, other.getenv, &out, io.Discard)
		if exitCode(err) != 1 || !strings.Contains(err.Error(), name) || len(out.lines) > 0 {
			t.Errorf("with another %s it ended with %v and wrote %q", name, err, out.lines)
		}
	}
}

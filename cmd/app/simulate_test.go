package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
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

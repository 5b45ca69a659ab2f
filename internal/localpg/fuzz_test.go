package localpg

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// write writes the file that a fuzzer made up, over the one before.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever is left in the file that a server keeps, it names a process that may be ended, and an address that leads to
// that folder or to this machine, or it is refused.
func FuzzAServersFileNamesItsProcessAndAddress(f *testing.F) {
	f.Add([]byte("4711\n/var/lib/orderlog/data\n1700000000\n5432\n/var/lib/orderlog/run\n\n  5432001   3\nready   \n"))
	f.Add([]byte("4711\n/data\n1700000000\n40001\n\n127.0.0.1\n  1 2\nready\n"))
	f.Add([]byte("4711\n/data\n1700000000\n5432\n/a b,c?d&e=f\n\n1 2\nready\n"))
	f.Add([]byte("4711\n/data\n1700000000\n5432\n/run\n\n1 2\nstarting\n"))
	f.Add([]byte("1\n"))
	f.Add([]byte("-4711\n\n\n0\n\n\n\nready"))
	f.Add([]byte("99999999999999999999"))
	f.Add([]byte("+2\r\n\r\n\r\n65536\r\n\r\n\r\n\r\nready"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "postmaster.pid")
		write(t, path, content)
		e, pid, err := readEndpoint(path)
		if err != nil {
			if e != (endpoint{}) {
				t.Fatalf("%q is refused, and is %+v", content, e)
			}
			return
		}
		first, _, _ := strings.Cut(string(content), "\n")
		if named, err := strconv.Atoi(strings.TrimSpace(first)); err != nil || named != pid || pid <= 1 {
			t.Fatalf("%q names process %d", content, pid)
		}
		if e.port < 1 || e.port > 65535 || e.folder != "" && !filepath.IsAbs(e.folder) {
			t.Fatalf("%q is taken for %+v", content, e)
		}
		address := e.url("role", "word", "base")
		cfg, err := pgx.ParseConfig(address)
		if err != nil {
			if _, bad := url.Parse(address); bad == nil && !strings.ContainsAny(e.folder, ",\x00") { // which no folder of ours has: see socketsWork
				t.Fatalf("%q makes the address %q: %v", content, address, err)
			}
			return
		}
		host := e.folder
		if host == "" {
			host = "127.0.0.1"
		}
		if !strings.Contains(host, ",") && (cfg.Host != host || int(cfg.Port) != e.port || cfg.User != "role" || cfg.Database != "base") {
			t.Fatalf("%q leads to %s:%d as %s", content, cfg.Host, cfg.Port, cfg.User)
		}
	})
}

// Whatever is left in the files of a place, it is a folder, and a secret that is long enough, or it is refused or made
// anew.
func FuzzAPlacesFilesAreReadOrRefused(f *testing.F) {
	for _, content := range []string{"/var/lib/orderlog/cluster-1\n", "", "\n", "relative", "/a/../b", "/a\x00b", strings.Repeat("0123456789abcdef", 4) + "\n", strings.Repeat(" ", 64), strings.Repeat("\x00", 65)} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		home := t.TempDir()
		write(t, filepath.Join(home, locationFile), content)
		if place, err := readLocation(home); err == nil && (!filepath.IsAbs(place) || !strings.Contains(string(content), place)) {
			t.Fatalf("%q leads to %q", content, place)
		}
		write(t, filepath.Join(home, secretFile), content)
		secret, made, err := readOrMakeSecret(home)
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if len(secret) < secretAtLeast || !made && secret != strings.TrimSpace(string(content)) {
			t.Fatalf("%q is the secret %q", content, secret)
		}
		if again, made, err := readOrMakeSecret(home); err != nil || made || again != secret {
			t.Fatalf("%q is the secret %q, then %q, %v", content, secret, again, err)
		}
	})
}

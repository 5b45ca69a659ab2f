package main

import (
	"context"
	"debug/elf"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestThePackagesRunWithoutRights(t *testing.T) {
	t.Parallel()
	unit := packaged(t, "orderlog.service")
	for _, line := range []string{
		"DynamicUser=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities=", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes",
		"PrivateDevices=yes", "PrivateUsers=yes", "ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectControlGroups=yes", "ProtectProc=invisible",
		"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "RestrictNamespaces=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes",
		"SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources", "SystemCallArchitectures=native",
		"StateDirectory=orderlog", "StateDirectoryMode=0700", "UMask=0077", "LimitNOFILE=65536", "LimitCORE=0", "MemoryMax=2G",
		"EnvironmentFile=/etc/orderlog.env", "KillSignal=SIGTERM", "TimeoutStopSec=30s",
	} {
		if !slices.Contains(unit, line) {
			t.Errorf("the service lacks %s", line)
		}
	}
	if slices.Contains(unit, "ProcSubset=pid") { // it hides /proc/sys/net/core/somaxconn
		t.Error("of those who come at once the kernel keeps 128, however many it may")
	}
	file := packaged(t, "Dockerfile")
	last := slices.IndexFunc(file, func(l string) bool { return l == "FROM scratch" })
	if last < 0 {
		t.Fatal("the image begins with more than nothing")
	}
	user := regexp.MustCompile(`^USER ([1-9][0-9]{3,}):([1-9][0-9]{3,})$`)
	if !slices.ContainsFunc(file[last:], user.MatchString) {
		t.Error("the image runs as root, or by a name that it cannot look up")
	}
	for _, line := range []string{`ENTRYPOINT ["/app"]`, `CMD ["serve"]`, "STOPSIGNAL SIGTERM", "VOLUME /data"} {
		if !slices.Contains(file[last:], line) {
			t.Errorf("the image lacks %s", line)
		}
	}
	for _, line := range append(file, unit...) {
		if secret := regexp.MustCompile(`(ARG|ENV|Environment=).*(SECRET|KEY|PASSWORD|DATABASE_URL)`); secret.MatchString(line) {
			t.Errorf("a secret in %s", line)
		}
		if strings.HasPrefix(line, "RUN ") && strings.Contains(line, "go build") && !strings.Contains(line, "CGO_ENABLED=0") {
			t.Errorf("needs libraries: %s", line)
		}
		if strings.HasPrefix(line, "FROM ") && strings.HasSuffix(line, ":latest") {
			t.Errorf("of no version: %s", line)
		}
	}
	if ignored := packaged(t, "Dockerfile.dockerignore"); ignored[0] != "*" {
		t.Error("whatever lies about is sent to be built, generated secrets too")
	}
}

// packaged are the lines of a file that are no comments.
func packaged(t *testing.T, name string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "packaging", name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// The program as it is packaged: static, as a user without rights, without a home or a folder that it may write to.
func TestTheStaticProgramRunsWithoutAHome(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // containers and systemd are of Linux
	}
	dir := dataFolder(t)
	program := filepath.Join(dir, "app")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	binary, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	if slices.ContainsFunc(binary.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Error("the program needs a loader and libraries")
	}

	env := serverSettings(t, overTCP(t, granted(t, pgtest.Database(t))))
	env["DATA_DIR"] = "/nonexistent/data"
	cmd := exec.CommandContext(t.Context(), program, "serve")
	cmd.Dir, cmd.Env = "/", []string{"HOME=/nonexistent"}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	said := newWatch(t)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	s := &server{url: said.await(t, done)}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/ready", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("it is not ready: %d\n%s", response.StatusCode, said.said())
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := <-done; err != nil {
		t.Errorf("it ended with %v\n%s", err, said.said())
	}
}

// overTCP hands connections on to a database that is on a socket of the tests' user alone, and returns the address for others.
func overTCP(t *testing.T, databaseURL string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
	if strings.HasPrefix(cfg.Host, "/") {
		network, address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", cfg.Host, cfg.Port)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			both := func(to, from net.Conn) func() {
				return func() {
					_, _ = io.Copy(to, from)
					_ = to.Close()
					_ = from.Close()
				}
			}
			open.Go(both(server, client))
			open.Go(both(client, server))
		}
	})
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: listener.Addr().String(), Path: "/" + cfg.Database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// asProgram makes the test binary be the program, for tests that need a process of its own to kill.
const asProgram = "ORDERLOG_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	pgtest.Main(m)
}

const jwtSecret = "a secret for tests, of 32 bytes at least"

// auditSigner is the key that the tests' nodes sign with.
var auditSigner = func() string {
	signer, _, err := config.GenerateAuditKey()
	if err != nil {
		panic(err)
	}
	return signer
}()

// settings are an environment for run.
type settings map[string]string

func (s settings) getenv(name string) string { return s[name] }

// serverSettings are those of a node on a database; nodes on the same one keep the audit's key and checkpoints together.
func serverSettings(t *testing.T, databaseURL string) settings {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(os.TempDir(), "orderlog-node-"+strings.Trim(u.Path, "/"))
	t.Cleanup(func() {
		if err := os.RemoveAll(data); err != nil {
			t.Error(err)
		}
	})
	return settings{
		"DATABASE_URL": databaseURL, "JWT_SECRET": jwtSecret, "PAYMENT_WEBHOOK_SECRET": jwtSecret, "AUDIT_KEY": auditSigner,
		"PORT": "0", "LOG_LEVEL": "warn", "LOG_FORMAT": "text", "DATA_DIR": data, "DRAIN_DELAY": "0s",
	}
}

// server is a running program: in this process, or in one of its own.
type server struct {
	url  string      // http://HOST:PORT
	kill func()      // kill -9; nil in this process
	stop func()      // orderly; joins it
	pid  int         // of a process of its own
	exit func() int  // the exit code of a process that has ended; nil in this process
	over func() bool // a process has ended; nil in this process
	said func() string
	documents
}

// start runs the server in this process until the test ends.
func start(t *testing.T, s settings) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	said := newWatch(t)
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"serve"}, s.getenv, io.Discard, said) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(stop)
	url := said.await(t, done)
	return &server{url: url, stop: stop, documents: describe(t, url)}
}

// startProcess runs the server in a process of its own until the test ends or it is killed.
func startProcess(t *testing.T, s settings) *server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "serve")
	cmd.Env = []string{asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for name, value := range s {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	said := newWatch(t)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		done <- cmd.Wait()
		close(gone)
	}()
	end := func(signal os.Signal) func() {
		return func() {
			_ = cmd.Process.Signal(signal)
			<-gone
		}
	}
	t.Cleanup(end(os.Kill))
	url := said.await(t, done)
	return &server{
		url: url, kill: end(os.Kill), stop: end(syscall.SIGTERM), documents: describe(t, url),
		pid: cmd.Process.Pid, exit: func() int { return cmd.ProcessState.ExitCode() }, said: said.said,
		over: func() bool {
			select {
			case <-gone:
				return true
			default:
				return false
			}
		},
	}
}

var readyLine = regexp.MustCompile(`ready on (http://\S+)`)

// watch takes what the program writes, and sees when it is ready.
type watch struct {
	t     *testing.T
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan string
}

func newWatch(t *testing.T) *watch { return &watch{t: t, ready: make(chan string, 1)} }

func (w *watch) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b)
	if m := readyLine.FindSubmatch(w.text.Bytes()); m != nil {
		select {
		case w.ready <- string(m[1]):
		default:
		}
	}
	return len(b), nil
}

func (w *watch) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *watch) await(t *testing.T, done <-chan error) string {
	t.Helper()
	select {
	case url := <-w.ready:
		return url
	case err := <-done:
		t.Fatalf("the server ended before it was ready: %v\n%s", err, w.said())
	case <-time.After(60 * time.Second):
		t.Fatalf("the server is not ready after 60 s:\n%s", w.said())
	}
	return ""
}

// dataFolder is a folder for a test's private PostgreSQL. Its server's user can enter it, unlike t.TempDir's.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "orderlog-data-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func tokenFor(t *testing.T, user string, role domain.Role) string {
	t.Helper()
	token, err := auth.Sign([]byte(jwtSecret), auth.Identity{UserID: user, Role: role, Name: strings.ToUpper(user), ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) seq() int64 {
	n, err := strconv.ParseInt(a.header.Get("X-Seq"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// call asks the API; err is of the transport, or says that the answer is not as it is described.
func (s *server) call(ctx context.Context, method, path, token string, body any, headers ...string) (answer, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, payload)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Transport: transport, Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode, header: response.Header, body: map[string]any{}}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.body); err != nil {
			return answer{}, fmt.Errorf("%s %s answered %d with %q: %w", method, path, a.status, text, err)
		}
	}
	return a, s.rest.Check(method, path, a.status, a.header, text)
}

// transport keeps no connection: a test that ends leaves none.
var transport = &http.Transport{DisableKeepAlives: true}

// must calls and expects a status.
func (s *server) must(t *testing.T, want int, method, path, token string, body any, headers ...string) answer {
	t.Helper()
	a, err := s.call(t.Context(), method, path, token, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != want {
		t.Fatalf("%s %s answered %d %v, want %d", method, path, a.status, a.body, want)
	}
	return a
}

// openShop opens the business and puts a pizza on the menu.
func (s *server) openShop(t *testing.T) (product string) {
	t.Helper()
	admin := tokenFor(t, "boss", domain.RoleAdmin)
	s.must(t, 200, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": true})
	a := s.must(t, 201, "POST", "/api/v1/products", admin,
		map[string]any{"name": "Margherita", "description": "The one", "price": 950, "currency": "EUR", "available": true})
	return a.body["id"].(string)
}

func orderOf(product string) map[string]any {
	return map[string]any{
		"items":           []map[string]any{{"product": product, "quantity": 2}},
		"deliveryAddress": "Via Roma 1", "paymentMethod": "cod",
	}
}
